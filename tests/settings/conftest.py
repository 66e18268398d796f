"""A good configuration, and ways to spoil it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import settings

REMOVED: Any = object()


@pytest.fixture
def good() -> dict[str, Any]:
    """A configuration that uses most keys."""
    return {
        "network": {"create": {"cidr": "10.20.0.0/16", "zones": 3, "natGatewayPerZone": True}},
        "certificates": {"administrators": ["arn:aws:iam::123456789012:user/operator"]},
        "selfManaged": {
            "major": 17,
            "privateDns": {"zone": "db.internal", "name": "postgres"},
            "allowedClients": {"networks": ["10.30.0.0/16", "fd00:30::/48"]},
            "databases": {"app": {"extensions": ["pgcrypto"]}},
            "roles": {
                "app_user": {
                    "database": "app",
                    "networks": ["10.30.1.0/24", "fd00:30:0:1::/64"],
                    "secretReaders": ["arn:aws:iam::123456789012:role/app"],
                    "grants": [
                        {"schema": "public", "privileges": ["usage"]},
                        {"schema": "public", "onAll": "tables", "privileges": ["select", "insert"]},
                    ],
                }
            },
            "serverSettings": {"shared_buffers": "256MB"},
        },
        "tags": {"environment": "test"},
    }


@pytest.fixture
def spoilt(good: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """A copy of the good configuration with values put at dotted places; REMOVED takes one out."""

    def spoil(**places: Any) -> dict[str, Any]:
        for dotted, value in places.items():
            *way, last = dotted.split(".")
            where = good
            for step in way:
                where = where.setdefault(step, {})
            if value is REMOVED:
                del where[last]
            else:
                where[last] = value
        return good

    return spoil


@pytest.fixture
def findings() -> Callable[[dict[str, Any]], list[str]]:
    """The lines of the error that a configuration leads to."""

    def find(config: dict[str, Any]) -> list[str]:
        with pytest.raises(settings.SettingsError) as caught:
            settings.load(config)
        return str(caught.value).splitlines()

    return find
