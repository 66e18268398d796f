"""Starting, asking and ending the resident process, from the commands."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from http import HTTPStatus

import grpc

from emulator.core.credentials import REGION, Credentials
from engine import processes
from engine.errors import CommandError
from engine.progress import Progress
from engine.project import CHECKOUT
from sandbox.serve import HAND_OVER, PORT_NAMES, Addresses, code_fingerprint, log_tail, read_addresses
from sandbox.state import State

PART = "serve"
STARTING_SECONDS = 60.0
ANSWERING_SECONDS = 5.0
STOPPING_SECONDS = 30.0
_POLL_SECONDS = 0.05


class ResidentError(CommandError):
    """The resident process does not start; the text has the end of its log."""


def operator_environment(state: State, addresses: Addresses) -> dict[str, str]:
    """Environment with which AWS's tools act as the operator on the sandbox."""
    return {
        "AWS_ENDPOINT_URL": addresses.aws_endpoint,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        **Credentials(state.root / "aws").operator.environment(),
    }


def _endpoint_answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=ANSWERING_SECONDS):
            return True
    except urllib.error.HTTPError as answer:
        # An unsigned request is refused, which proves as much as an answer.
        return answer.code < HTTPStatus.INTERNAL_SERVER_ERROR
    except OSError:
        return False


def _port_answers(port: int) -> bool:
    channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.enable_http_proxy", 0)])
    try:
        grpc.channel_ready_future(channel).result(timeout=ANSWERING_SECONDS)
    except grpc.FutureTimeoutError:
        return False
    else:
        return True
    finally:
        channel.close()


def running(state: State) -> Addresses | None:
    """The resident process when it lives and everything in it answers; None otherwise."""
    addresses = read_addresses(state)
    if addresses is None or not addresses.identity.is_alive:
        return None
    answers = _endpoint_answers(addresses.aws_endpoint) and all(
        _port_answers(port) for port in addresses.providers.values()
    )
    return addresses if answers else None


def ensure(state: State, progress: Progress) -> Addresses:
    """The resident process, started when there is none, or one that does not answer or runs old code.

    Raises:
        ResidentError: it does not start.
    """
    with progress.step("sandbox") as step:
        found = running(state)
        if found is not None and found.code == code_fingerprint():
            step.result = f"running, AWS at {found.aws_endpoint}"
            return found
        if found is not None:
            step.detail = "its code has changed; starting a new one, PostgreSQL goes on"
            processes.send(found.identity, HAND_OVER)
            processes.wait_until_gone([found.identity], STOPPING_SECONDS)
        else:
            step.detail = "ending what is left of an earlier one"
        _end_resident(state)
        step.detail = "starting"
        addresses = _start(state)
        step.result = f"started, AWS at {addresses.aws_endpoint}"
        return addresses


def _start(state: State) -> Addresses:
    # Asked before, since a port that our own stopped servers leave is free by now.
    state.ports(PORT_NAMES, is_ours=lambda _: False)
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
    deadline = time.monotonic() + STARTING_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise _failure(state, f"ended with status {process.returncode} while it started")
        addresses = read_addresses(state)
        if addresses is not None and addresses.pid == process.pid:
            return addresses
        time.sleep(_POLL_SECONDS)
    stop(state)
    raise _failure(state, f"was not ready after {STARTING_SECONDS:.0f} s")


def _failure(state: State, what: str) -> ResidentError:
    return ResidentError(
        f"The sandbox's resident process {what}. The end of its log {state.serve_log}:\n"
        f"{log_tail(state.serve_log, 15)}"
    )


def _without_credentials() -> dict[str, str]:
    # The machines must get their credentials from the metadata service or not at all.
    return {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}


def _end_resident(state: State) -> list[processes.Identity]:
    """End a resident process that answers no more, or never got as far; its servers go on."""
    ended = processes.end(processes.ours(state.root, PART), STOPPING_SECONDS)
    state.serve_file.unlink(missing_ok=True)
    return ended


def stop(state: State) -> bool:
    """End the resident process and everything it started; True when there was anything.

    The servers end in order (fast shutdown), so that data is as after any restart.
    """
    ended = _end_resident(state)
    # After a kill there are machines and servers without a resident process.
    ended += processes.end(processes.ours(state.root), STOPPING_SECONDS)
    return bool(ended)
