"""`make bench`: measurements of a running sandbox, as ratios to a baseline of the same run.

Absolute numbers depend on the machine and the moment; compare the ratios. The measurements leave nothing in
the sandbox, and fail no test.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from engine.errors import CommandError
from engine.progress import Progress
from pgpasswordless import stack as deployed
from runtime.files import replace_file
from sandbox.bench.gateway import gateway
from sandbox.bench.measurement import Measurement
from sandbox.bench.rds_endpoint import RDS, rds_endpoint
from sandbox.deployment import STACK
from sandbox.state import State

__all__ = ["as_text", "bench"]


def bench(state: State, progress: Progress, seconds: int) -> list[Measurement]:
    """Measure, and keep the result in the state folder as bench.json.

    Args:
        state: A running sandbox.
        progress: Shows what is being measured.
        seconds: Duration of the long measurements; the short ones take a quarter of it.

    Raises:
        CommandError: The sandbox has no RDS instance, or a program that measures fails.
    """
    stack = deployed.load(STACK)
    if RDS not in stack.connections.databases:
        raise CommandError("The sandbox has no RDS instance to measure; deploy one with `make up`.")
    measured = [
        *rds_endpoint(stack, state, progress, seconds),
        *gateway(stack, state, progress, seconds),
    ]
    document = {
        "schemaVersion": 1,
        "measurements": [{**asdict(each), "ratio": round(each.ratio, 4)} for each in measured],
    }
    replace_file(state.root / "bench.json", json.dumps(document, indent=2) + "\n")
    return measured


def as_text(measured: list[Measurement]) -> list[str]:
    """The measurements as text for people."""
    return [f"{each.name}: {each.summary()}" for each in measured]
