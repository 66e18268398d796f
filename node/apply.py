"""One run of the timer: repair what drifted, start the server if it is down, apply a new desired state.

Nearly all runs find no change, and they share the machine with the database. So such a run imports
neither the SDK nor pydantic, and asks the server one query.
"""

from __future__ import annotations

import datetime
import fcntl
import re
import sys
from pathlib import Path
from typing import Any

from node import machine_platform, published_metrics, server_log, server_process
from node.drift import Drift
from node.layout import Layout
from node.reconcile import Reconciliation
from node.state import Applied, LastAttempt, NewestManifest, State
from runtime import files
from runtime.errors import FailedError
from runtime.instance_metadata import InstanceMetadata
from runtime.signed_requests import Credentials, SignedRequests

DONE = 0
REFUSED = 65
OTHER_NODE = 66
FAILED = 75
STATUS = {"applied": DONE, "refused": REFUSED, "failed": FAILED, "other node": OTHER_NODE}


def apply(layout: Layout) -> int:
    """Bring the machine to its desired state; the exit status, one of the four above.

    Runs never overlap: one that finds another running ends at once. The next run finishes or undoes
    what a killed run left half done.
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
    """SHA-256 of the running artifact, by its file name; None for a checkout."""
    name = re.fullmatch(r"([0-9a-f]{64})\.zip", Path(sys.argv[0]).name)
    return name[1] if name else None


def serves(layout: Layout, applied: Applied | None) -> bool:
    """Whether the server runs, accepts connections and reads that generation."""
    if applied is None or layout.current_generation() != applied.generation:
        return False
    processes = (server_process.find(layout.data(major)) for major in layout.initialised_majors())
    return any(process is not None and process.ready for process in processes)


def keep_serving(layout: Layout, state: State) -> None:
    """Start the server if it should run and does not: after a boot or a kill, and also without AWS.

    Raises:
        FailedError: it starts neither on the current generation nor on the one applied last.
    """
    majors = layout.initialised_majors()
    if layout.current_generation() is None or not majors:
        return
    if server_process.find(layout.data(majors[-1])) is not None:
        return
    platform = machine_platform.of(layout)
    if (other := platform.package_work()) is not None:
        # A server that is started on half of an upgrade goes on running the old programs.
        print(f"node: the server is down while {other} changes packages", file=sys.stderr)
        return
    try:
        platform.start(majors[-1])
    except FailedError:
        applied = state.applied
        if applied is None or applied.generation == layout.current_generation():
            raise
        files.replace_link(layout.current, Path("generations") / applied.generation)
        platform.start(majors[-1])


def _run(layout: Layout) -> int:
    machine = files.read_json_object(layout.machine)
    if machine is None:
        raise FailedError(f"{layout.machine} is missing or not a JSON object; user-data writes it")
    state = State.load(layout.state)
    reconciliation = _reconciliation(layout, state)
    start_failure = None
    if reconciliation is not None:
        reconciliation.restore_files()
    try:
        keep_serving(layout, state)
    except FailedError as error:
        # A new desired state may repair it.
        start_failure = error
        print(f"node: {error}", file=sys.stderr)
    machine_platform.of(layout).install_own()
    if reconciliation is not None:
        reconciliation.check_server()
        reconciliation.compare_catalogues()
        try:
            reconciliation.keep()
        except OSError as error:
            # On a full disk the machine still has to say so.
            print(f"node: {error}", file=sys.stderr)
    server_log.remove_closed(layout)
    try:
        requests = SignedRequests(region=machine["region"], credentials=Credentials.find())
        newest = NewestManifest.read(requests, machine["bucket"], InstanceMetadata().account_id())
        log_group = machine["logGroup"]
    except KeyError as error:
        raise FailedError(f"{layout.machine} has no {error}") from error
    status = _apply_if_needed(layout, machine, state, newest, reconciled=reconciliation is not None)
    if status == REFUSED and start_failure is not None:
        status = FAILED
    if reconciliation is not None:
        now = datetime.datetime.now(datetime.UTC)
        try:
            published_metrics.publish(layout, reconciliation.pristine, requests, log_group, now)
        except OSError as error:
            print(f"node: {error}", file=sys.stderr)
    if server_log.has_unshipped_lines(layout):
        server_log.LogShipper(layout=layout, requests=requests, log_group=log_group).ship()
    return status


def _report_is_current(layout: Layout) -> bool:
    """Whether the bucket has the last report, and it says what had drifted."""
    said = (files.read_json_object(layout.report) or {}).get("drift", [])
    return layout.report_is_delivered() and said == Drift.load(layout).reported()


def _reconciliation(layout: Layout, state: State) -> Reconciliation | None:
    try:
        return Reconciliation.of(layout, state, datetime.datetime.now(datetime.UTC))
    except FailedError as error:
        # A new desired state may still be applied, and its own report says this.
        print(f"node: {error}", file=sys.stderr)
        return None


def _apply_if_needed(
    layout: Layout,
    machine: dict[str, Any],
    state: State,
    newest: NewestManifest,
    *,
    reconciled: bool,
) -> int:
    attempt = LastAttempt(serial=newest.serial, manifest=newest.manifest, node=own_node(), outcome="")
    last = state.last_attempt
    outcome = last.outcome if last and last.repeats(attempt) else None
    decided = outcome == "refused" or (
        # A state that node cannot repair is applied once more.
        outcome == "applied" and reconciled and serves(layout, state.applied)
    )
    if decided and _report_is_current(layout):
        return DONE if outcome == "applied" else REFUSED
    from node import deployment

    if decided:
        deployment.deliver_report(layout, machine)
        return DONE if outcome == "applied" else REFUSED
    return STATUS[deployment.deploy(layout, machine, state, newest, attempt)]
