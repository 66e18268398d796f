"""The real engine, as in the tests of the stand-in providers."""

from __future__ import annotations

from tests.emulator.conftest import pulumi

__all__ = ["pulumi"]
