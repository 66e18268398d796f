"""`make bench` of a sandbox that has nothing to measure."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import CommandError
from pgpasswordless import stack
from pgpasswordless.connections import Connections
from sandbox.bench import bench


def test_a_sandbox_without_rds_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = stack.Stack(name="sandbox", connections=Connections(stack="sandbox"))
    monkeypatch.setattr(stack, "load", lambda _: empty)
    nothing: Any = None
    with pytest.raises(CommandError, match="no RDS instance to measure; deploy one with `make up`"):
        bench(nothing, nothing, 4)
