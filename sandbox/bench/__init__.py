"""`make bench`: what things cost, as ratios to a floor that is measured in the same run.

Absolute numbers are of this machine and this moment; the ratios are what to compare. The measurements
use a running sandbox, leave nothing in it, and fail no test.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from engine.errors import CommandError
from engine.progress import Progress
from pgpasswordless import stack as deployed
from runtime.files import replace_file
from sandbox.bench.gateway import gateway
from sandbox.bench.measurement import Measurement, said
from sandbox.bench.rds_endpoint import RDS, rds_endpoint
from sandbox.deployment import STACK
from sandbox.state import State

__all__ = ["as_text", "bench"]


def bench(state: State, progress: Progress, seconds: int) -> list[Measurement]:
    """Measure, and keep the result in the state folder as bench.json.

    Args:
        state: A sandbox that runs.
        progress: Where to say what is being measured.
        seconds: How long the long measurements take; the short ones a quarter of it.

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
    """The measurements for people."""
    return [f"{each.name}: {said(each)}" for each in measured]
