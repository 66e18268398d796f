"""`up`: from nothing, or from whatever an earlier run has left, to a PostgreSQL that answers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from emulator.postgresql_server import binaries as postgresql_binaries
from engine import installation as engine
from engine import processes
from engine.errors import CommandError
from engine.progress import Progress
from pgpasswordless.directories import identity_directory
from pgpasswordless.errors import PgpasswordlessError
from pgpasswordless.gateway_client import GATEWAY, curl_command, gateway_target
from pgpasswordless.show import show
from pgpasswordless.stack import Stack, load
from runtime.files import replace_file
from sandbox import reachability, resident, stack_context, stack_file
from sandbox.deployment import STACK, Deployed, Deployment, DeploymentError
from sandbox.state import State

PORTS = (stack_file.SELF_MANAGED_PORT, stack_file.RDS_PORT, stack_file.GATEWAY_PORT)


def up(state: State, file: Path, progress: Progress) -> list[str]:
    """Deploy the stack file; the lines that tell how PostgreSQL is reached.

    Raises:
        CommandError: a part of it failed; everything that served before goes on serving.
    """
    wanted = stack_file.read(file)
    found = engine.ensure(progress)
    psql = _programs(state, wanted.majors, progress)
    addresses = resident.ensure(state, progress)
    reachability.wait_for_return(state.connections)
    aws = resident.operator_environment(state, addresses)
    ports = state.ports(PORTS, is_ours=lambda port: processes.listens(state.root, port))
    deployment = Deployment(state, found, addresses.providers, aws)
    try:
        deployed = deployment.up(wanted, ports, progress)
    except DeploymentError as error:
        _record(state, outcome="failed", summary=str(error))
        raise
    stack_context.write(STACK, state, deployed.connections, aws, psql)
    _record(state, outcome="unchanged" if deployed.unchanged else "deployed", summary=deployed.summary)
    return _reached(deployed, wanted.roles)


def _programs(state: State, majors: list[int], progress: Progress) -> Path | None:
    """Have the programs of all releases; the newest psql, which talks to every one of them."""
    # A release that does not exist is for the program to refuse, with everything else that is wrong.
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


def _reached(deployed: Deployed, order: list[str]) -> list[str]:
    """How each database is reached, with a psql line for the role that the stack file names first."""
    lines = [f"deployment: {deployed.summary}"]
    stack = load(STACK)
    for name, database in stack.connections.databases.items():
        roles = sorted(database.roles, key=lambda role: order.index(role) if role in order else len(order))
        lines += [
            "",
            f"{name}: PostgreSQL listens on {database.host}:{database.port}, roles {', '.join(roles)}",
        ]
        for role in roles[:1]:
            try:
                # Beside the stack context: sandboxes that run at the same time must not share key files.
                directory = identity_directory(STACK, name, role, stack_context.contexts_folder().parent)
                shown = show(stack, database=name, role=role, directory=directory)
            except PgpasswordlessError as error:
                raise CommandError(f"{name} is deployed, but role {role} cannot be shown: {error}") from error
            if database.authentication == "iam":
                # A login needs a token, and proves no more here than that the endpoint speaks TLS.
                reachability.wait_for_tls(database.host, database.port, database.server_ca.pem)
            else:
                reachability.wait_for_login(shown.connection_string)
            lines.append(shown.psql)
    return [*lines, *_gateway_reached(stack)]


def _gateway_reached(stack: Stack) -> list[str]:
    """How the gateway is called, with a curl line for the first client that is let in."""
    gateway = stack.connections.gateway
    if gateway is None:
        return []
    names = ", ".join(gateway.clients)
    lines = ["", f"gateway: {gateway.url} asks for client certificates, clients {names}"]
    for name in (name for name, client in gateway.clients.items() if client.secret_arn):
        try:
            directory = identity_directory(STACK, GATEWAY, name, stack_context.contexts_folder().parent)
            target = gateway_target(stack, name, directory)
        except PgpasswordlessError as error:
            raise CommandError(f"The gateway is deployed, but not for client {name}: {error}") from error
        # One that is revoked shows nothing; the next one may.
        if reachability.wait_for_gateway(target):
            return [*lines, curl_command(target)]
    return lines
