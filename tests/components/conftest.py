"""What the tests of components share."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def sealed_from_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the credentials or the configuration of who runs it."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "PULUMI_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
