"""The declarations whose traces the catalogues may hold, and the order that keeps them known.

An apply that was killed or refused half way leaves its own trace, until a whole one has undone it. So
each executor records a declaration before it runs the first of its steps, wherever it keeps the record.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from postgres.declaration import Declaration, DeclarationError
from postgres.steps import Step


class DamagedRecord(ValueError):
    """A record that cannot be read; guessing could leave a removed role with its login."""


def traces_to_json(traces: Sequence[Declaration]) -> str:
    """The record, oldest first."""
    return json.dumps([json.loads(trace.to_json()) for trace in traces])


def traces_from_json(text: str | bytes) -> list[Declaration]:
    """What `traces_to_json` wrote.

    Raises:
        DamagedRecord: it is something else.
    """
    try:
        return [Declaration.from_json(json.dumps(document)) for document in json.loads(text)]
    except (ValueError, TypeError, DeclarationError) as error:
        raise DamagedRecord(str(error)) from error


def apply_after_traces(
    desired: Declaration,
    traces: Sequence[Declaration],
    *,
    plan: Callable[[Declaration | None], Sequence[Step]],
    record: Callable[[Sequence[Declaration]], None],
    run: Callable[[Sequence[Step]], None],
) -> None:
    """Lead from every recorded declaration to `desired`, which is all that is recorded then.

    Args:
        desired: What shall be.
        traces: What is recorded.
        plan: The steps from an earlier declaration, None for none, to `desired`. What it raises comes
            before anything is recorded or run.
        record: Replaces the record.
        run: Runs steps.
    """
    earlier: list[Declaration | None] = [trace for trace in traces if trace != desired]
    plans = [plan(previous) for previous in earlier or [None]]
    if desired not in traces:
        record([*traces, desired])
    for steps in plans:
        run(steps)
    record([desired])
