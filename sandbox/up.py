"""`up`: deploy the sandbox, from nothing or from whatever an earlier run has left."""

from __future__ import annotations

import importlib
import json
import threading
from datetime import UTC, datetime
from pathlib import Path

from emulator.postgresql_server import binaries as postgresql_binaries
from engine import installation as engine
from engine.errors import CommandError
from engine.progress import Progress
from node.desired_state import drift_lines
from runtime.files import replace_file
from sandbox import resident, stack_file
from sandbox.deployment import STACK, Deployment
from sandbox.state import State

PORTS = (stack_file.SELF_MANAGED_PORT, stack_file.RDS_PORT, stack_file.GATEWAY_PORT)


def up(state: State, file: Path, progress: Progress) -> list[str]:
    """Deploy the stack file, and return the lines that tell how its databases are reached.

    Raises:
        CommandError: a part of it failed; everything that served before goes on serving.
    """
    wanted = stack_file.read(file)
    found = engine.ensure(progress)
    psql = _install_postgresql(state, wanted.majors, progress)
    addresses = resident.ensure(state, progress)
    resident.wait_for_servers(state)
    aws = resident.operator_environment(state, addresses)
    ports = state.ports(PORTS, ours=state.listening_ports)
    # It takes long to import, and this process is idle while the engine works.
    threading.Thread(target=importlib.import_module, args=("sandbox.endpoints",), daemon=True).start()
    deployment = Deployment(state, found, addresses.providers, aws)
    try:
        deployed = deployment.up(wanted, ports, progress)
    except CommandError as error:
        _record(state, outcome="failed", summary=str(error))
        raise
    from sandbox import endpoints, stack_context, status

    stack_context.write(STACK, state, deployed.connections, aws, psql)
    _record(state, outcome="unchanged" if deployed.unchanged else "deployed", summary=deployed.summary)
    machines = status.status(state)["machines"]
    drift = [f"{each['server']}: drift {line}" for each in machines for line in drift_lines(each["drift"])]
    return [f"deployment: {deployed.summary}", *drift, *endpoints.wait(wanted.roles)]


def _install_postgresql(state: State, majors: list[int], progress: Progress) -> Path | None:
    """Install all releases; returns the newest psql, which can talk to every one of them."""
    # The program refuses a release that does not exist, together with everything else that is wrong.
    wanted = [major for major in majors if any(major in pins for pins in postgresql_binaries.PINS.values())]
    if not wanted:
        return None
    folders = postgresql_binaries.ensure(wanted, state.postgresql, progress)
    return folders[max(wanted)] / "psql"


def _record(state: State, *, outcome: str, summary: str) -> None:
    document = {
        "schemaVersion": 1,
        "outcome": outcome,
        "summary": summary,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    replace_file(state.deployment, json.dumps(document, indent=2) + "\n")
