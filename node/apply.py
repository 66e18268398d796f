"""One run of the timer: keep the server up, look whether the desired state changed, act only then.

A run without a change is what nearly all runs are, on the same machine as the database. It imports
neither the SDK nor pydantic and connects to no server.
"""

from __future__ import annotations

import fcntl
import re
import sys
from pathlib import Path
from typing import Any

from node import pointer, server_log, server_process
from node.layout import Layout
from node.state import Applied, Judged, State
from runtime import files
from runtime.errors import FailedError
from runtime.signed_requests import Credentials, SignedRequests

DONE = 0
REFUSED = 65
OTHER_NODE = 66
FAILED = 75
STATUS = {"applied": DONE, "refused": REFUSED, "failed": FAILED, "other node": OTHER_NODE}


def apply(layout: Layout) -> int:
    """Bring the machine to its desired state; the exit status, one of the four above.

    Runs never overlap: one that finds another under way ends at once. What a killed run left half
    done is finished or undone by the next one.
    """
    try:
        layout.make_home()
        with layout.lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return _run(layout)
    except BlockingIOError:
        return DONE
    except (FailedError, OSError) as error:
        print(f"node: {error}", file=sys.stderr)
        return FAILED


def own_node() -> str | None:
    """SHA-256 of the artifact that is running, by its file name; None for a checkout."""
    name = re.fullmatch(r"([0-9a-f]{64})\.zip", Path(sys.argv[0]).name)
    return name[1] if name else None


def serves(layout: Layout, applied: Applied | None) -> bool:
    """Whether the server runs, accepts connections and reads that generation."""
    if applied is None or layout.current_generation() != applied.generation:
        return False
    processes = (server_process.find(layout.data(major)) for major in layout.initialised_majors())
    return any(process is not None and process.ready for process in processes)


def keep_serving(layout: Layout, state: State) -> None:
    """Start the server if it should run and does not: after a boot, a kill, also while AWS is away.

    Raises:
        FailedError: it does not start, neither on what `current` names nor on what was applied last.
    """
    majors = layout.initialised_majors()
    if layout.current_generation() is None or not majors:
        return
    if server_process.find(layout.data(majors[-1])) is not None:
        return
    from node import machine_platform

    here = machine_platform.of(layout)
    try:
        here.start(majors[-1])
    except FailedError:
        applied = state.applied
        if applied is None or applied.generation == layout.current_generation():
            raise
        files.replace_link(layout.current, Path("generations") / applied.generation)
        here.start(majors[-1])


def _run(layout: Layout) -> int:
    machine = files.read_json_object(layout.machine)
    if machine is None:
        raise FailedError(f"{layout.machine} is missing or no JSON object; user-data writes it")
    state = State.load(layout.state)
    trouble = None
    try:
        keep_serving(layout, state)
    except FailedError as error:
        # A new desired state may be what repairs it.
        trouble = error
        print(f"node: {error}", file=sys.stderr)
    try:
        requests = SignedRequests(region=machine["region"], credentials=Credentials.find())
        newest = pointer.read(requests, machine["pointer"])
        log_group = machine["logGroup"]
    except KeyError as error:
        raise FailedError(f"{layout.machine} has no {error}") from error
    status = _judge(layout, machine, state, newest)
    if status == REFUSED and trouble is not None:
        status = FAILED
    if server_log.has_unshipped_lines(layout):
        server_log.LogShipper(layout=layout, requests=requests, log_group=log_group).ship()
    return status


def _judge(
    layout: Layout,
    machine: dict[str, Any],
    state: State,
    newest: pointer.PointerVersion,
) -> int:
    question = Judged(serial=newest.serial, manifest=newest.manifest, node=own_node(), outcome="")
    outcome = state.judged.outcome if state.judged and state.judged.same_question(question) else None
    answered = outcome == "refused" or (outcome == "applied" and serves(layout, state.applied))
    if answered and layout.report_is_delivered():
        return DONE if outcome == "applied" else REFUSED
    from node import deployment

    if answered:
        deployment.deliver_report(layout, machine)
        return DONE if outcome == "applied" else REFUSED
    return STATUS[deployment.deploy(layout, machine, state, newest, question)]
