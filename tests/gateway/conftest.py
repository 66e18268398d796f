"""Fixtures of the gateway's tests."""

from __future__ import annotations

import pytest

from tests.gateway.certificates import Authority


@pytest.fixture(scope="session")
def authority() -> Authority:
    """The client authority that the documents of these tests trust."""
    return Authority.root()
