"""The resident process as the commands see it: start it, ask whether it answers, stop it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from http import HTTPStatus

import grpc

from emulator.core.state_layout import AWS
from emulator.endpoint.credentials import Credentials
from engine import processes
from engine.errors import CommandError
from engine.progress import Progress
from engine.project import CHECKOUT
from sandbox.logs import last_lines
from sandbox.serve import HAND_OVER, PORT_NAMES, Addresses, code_fingerprint, read_addresses
from sandbox.state import State

PART = "serve"
START_SECONDS = 60.0
ANSWER_SECONDS = 5.0
STOP_SECONDS = 30.0
SERVERS_SECONDS = 30.0
_POLL_SECONDS = 0.05


class ResidentError(CommandError):
    """The resident process does not start; the text contains the end of its log."""


def operator_environment(state: State, addresses: Addresses) -> dict[str, str]:
    """Variables with which AWS's tools reach the emulated AWS as its operator."""
    return Credentials(state.root / AWS).operator.environment_at(addresses.aws_endpoint)


def _endpoint_answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=ANSWER_SECONDS):
            return True
    except urllib.error.HTTPError as answer:
        # It refuses an unsigned request; that proves as much as an answer.
        return answer.code < HTTPStatus.INTERNAL_SERVER_ERROR
    except OSError:
        return False


def _port_answers(port: int) -> bool:
    # Any call that every provider answers. A channel's own readiness is watched by a thread that takes
    # 0.2 s to end.
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            channel.unary_unary("/pulumirpc.ResourceProvider/GetPluginInfo")(b"", timeout=ANSWER_SECONDS)
        except grpc.RpcError:
            return False
    return True


def running(state: State) -> Addresses | None:
    """The resident process if it runs and everything in it answers."""
    addresses = read_addresses(state)
    if addresses is None or not addresses.identity.is_alive:
        return None
    answers = _endpoint_answers(addresses.aws_endpoint) and all(
        _port_answers(port) for port in addresses.providers.values()
    )
    return addresses if answers else None


def ensure(state: State, progress: Progress) -> Addresses:
    """Return the resident process; start it if it does not run, does not answer or runs old code.

    Raises:
        ResidentError: it does not start.
    """
    with progress.step("sandbox") as step:
        found = running(state)
        if found is not None and found.code == code_fingerprint():
            step.result = f"running, AWS at {found.aws_endpoint}"
            return found
        if found is not None:
            step.detail = "its code has changed; starting a new one while PostgreSQL goes on"
            processes.send_signal(found.identity, HAND_OVER)
            processes.wait_until_gone([found.identity], STOP_SECONDS)
        else:
            step.detail = "terminating what is left of an earlier one"
        _terminate(state)
        step.detail = "starting"
        addresses = _start(state)
        step.result = f"started, AWS at {addresses.aws_endpoint}"
        return addresses


def _start(state: State) -> Addresses:
    # Our own resident process has ended: any port that is in use now belongs to somebody else.
    state.ports(PORT_NAMES)
    state.serve_file.unlink(missing_ok=True)
    with state.serve_log.open("ab") as log:
        state.serve_log.chmod(0o600)
        process = subprocess.Popen(
            [sys.executable, "-m", "sandbox", "serve", "--state", str(state.root)],
            cwd=CHECKOUT,
            env=processes.marked_environment(state.root, PART, _without_credentials()),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise _failure(state, f"ended with status {process.returncode} while it started")
        addresses = read_addresses(state)
        if addresses is not None and addresses.pid == process.pid:
            return addresses
        time.sleep(_POLL_SECONDS)
    stop(state)
    raise _failure(state, f"was not ready after {START_SECONDS:.0f} s")


def _failure(state: State, what: str) -> ResidentError:
    return ResidentError(
        f"The sandbox's resident process {what}. The end of its log {state.serve_log}:\n"
        + "\n".join(last_lines(state.serve_log, 15))
    )


def _without_credentials() -> dict[str, str]:
    # The machines must get their credentials from the metadata service.
    return {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}


def _terminate(state: State) -> list[processes.Identity]:
    """Terminate a resident process that no longer answers or never did; its servers go on."""
    ended = processes.terminate(processes.find(state.root, PART), STOP_SECONDS)
    state.serve_file.unlink(missing_ok=True)
    return ended


def stop(state: State) -> bool:
    """Terminate the resident process and everything it started; returns whether anything ran.

    PostgreSQL servers get a fast shutdown, so that their data is complete.
    """
    ended = _terminate(state)
    # A killed resident process leaves its machines and servers behind.
    ended += processes.terminate(processes.find(state.root), STOP_SECONDS)
    return bool(ended)


def wait_for_servers(state: State) -> None:
    """Wait up to 30 s for the servers of the last deployment, which may just have been started again.

    A server that does not return is no error here: the deployment may repair it.
    """
    try:
        databases = json.loads(state.connections.read_text())["databases"]
        addresses = [(database["host"], int(database["port"])) for database in databases.values()]
    except (OSError, ValueError, KeyError):
        return
    deadline = time.monotonic() + SERVERS_SECONDS
    for address in addresses:
        while time.monotonic() < deadline:
            try:
                socket.create_connection(address, timeout=1).close()
            except OSError:
                time.sleep(_POLL_SECONDS)
            else:
                break
