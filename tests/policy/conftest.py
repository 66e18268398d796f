"""A stack on the real engine, as the stand-in providers' tests have it."""

from __future__ import annotations

from tests.emulator.conftest import pulumi, serve, stack

__all__ = ["pulumi", "serve", "stack"]
