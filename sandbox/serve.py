"""The resident process: the emulated AWS, the providers, machines and databases.

It outlives the command that started it. While it runs it holds a lock, so that a state folder has only one,
and it writes its addresses when everything in it answers.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from engine import processes
from engine.processes import Identity, identity_of
from engine.project import CHECKOUT
from postgres.versions import SUPPORTED_MAJORS
from runtime.files import replace_file
from sandbox.state import State

PORT_NAMES = ("aws", "metadata", "provider-aws", "provider-tls", "provider-postgresql")
HAND_OVER = signal.SIGHUP
FOLDER_CHECK_SECONDS = 1.0
# What the resident process loads; when it changes on disk, `up` starts a new one.
CODE = ("sandbox", "emulator", "engine", "runtime", "documents", "postgres", "gateway", "node")

_log = logging.getLogger("sandbox.serve")


class Addresses(BaseModel):
    """What the resident process writes when it is ready; contains no secret.

    Attributes:
        pid: its process number; `started` is that of `processes.Identity`.
        aws_endpoint: URL of the emulated AWS.
        providers: gRPC port of the provider for each package.
        code: fingerprint of the code that it runs.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    pid: int
    started: int
    aws_endpoint: str
    providers: dict[str, int]
    code: str

    @property
    def identity(self) -> Identity:
        """The process, told from any later one with the same number."""
        return Identity(pid=self.pid, started=self.started)


def read_addresses(state: State) -> Addresses | None:
    """The addresses that the resident process of a state folder has written, if any."""
    try:
        return Addresses.model_validate_json(state.serve_file.read_text())
    except (OSError, ValidationError):
        return None


def code_fingerprint() -> str:
    """SHA-256 of the names and contents of the code that the resident process runs."""
    digest = hashlib.sha256()
    for folder in CODE:
        for file in sorted((CHECKOUT / folder).rglob("*.py")):
            digest.update(f"{file.relative_to(CHECKOUT)}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


@contextlib.contextmanager
def _lock(state: State) -> Iterator[bool]:
    """Hold the lock of the state folder; yields False when another process holds it."""
    with state.serve_lock.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _folder_exists(state: State, inode: int) -> bool:
    """Whether the state folder is still there; the process ends when somebody removes it."""
    try:
        return state.serve_lock.stat().st_ino == inode
    except OSError:
        return False


@contextlib.contextmanager
def _services(
    state: State, ports: dict[str, int], handing_over: Callable[[], bool]
) -> Iterator[tuple[str, dict[str, int]]]:
    """Start all services, and stop them in the opposite order; yields AWS's URL and the providers' ports.

    PostgreSQL is stopped too, unless another resident process takes over.
    """
    # They take long to import, and the commands import this module, too.
    from emulator.acm.service import Certificates
    from emulator.autoscaling import api as autoscaling_api
    from emulator.autoscaling.service import Groups
    from emulator.aws import AwsProvider
    from emulator.core.servicer import ProviderServer
    from emulator.ec2.machines import Machines
    from emulator.elb.service import LoadBalancers
    from emulator.endpoint.aws_endpoint import AwsEndpoint
    from emulator.lambda_ import api as lambda_api
    from emulator.lambda_.service import Functions
    from emulator.postgresql import PostgresqlProvider
    from emulator.rds import api as rds_api
    from emulator.rds.databases import Databases
    from emulator.tls.provider import TlsProvider

    with contextlib.ExitStack() as stack:
        endpoint = AwsEndpoint(state.root, ports["aws"], ports["metadata"])
        endpoint.start()
        stack.callback(endpoint.stop)
        _log.info("AWS endpoint at %s", endpoint.url)
        # `up` downloads a release before a deployment needs it.
        binaries = {major: state.postgresql / str(major) / "bin" for major in SUPPORTED_MAJORS}
        server_user = state.user.name if state.user.switched else None
        machines = Machines(state.root, endpoint.url, endpoint.metadata, binaries, server_user)
        stack.callback(lambda: machines.stop() if handing_over() else machines.stop_all())
        endpoint.on_write(machines.notice)
        databases = Databases(state.root, endpoint, binaries, server_user)
        stack.callback(lambda: databases.stop() if handing_over() else databases.stop_all())
        lambda_functions = Functions(state.root, endpoint)
        stack.callback(lambda_functions.stop)
        certificates = Certificates(state.root)
        balancers = LoadBalancers(state.root, certificates)
        stack.callback(balancers.stop)
        groups = Groups(state.root, endpoint, balancers, state.user)
        stack.callback(lambda: groups.stop() if handing_over() else groups.stop_all())
        endpoint.serve(autoscaling_api.SERVICE, partial(autoscaling_api.answer, groups))
        endpoint.serve(rds_api.SERVICE, partial(rds_api.answer, databases))
        endpoint.serve(lambda_api.SERVICE, partial(lambda_api.answer, lambda_functions))
        served: dict[str, int] = {}
        for provider in (
            AwsProvider(endpoint, machines, databases, lambda_functions, certificates, balancers, groups),
            TlsProvider(),
            PostgresqlProvider(endpoint.operator),
        ):
            server = ProviderServer(provider, ports[f"provider-{provider.package}"])
            server.start()
            stack.callback(server.stop)
            served[provider.package] = server.port
            _log.info("provider %s on port %d", provider.package, server.port)
        machines.start()
        databases.start()
        certificates.prepare()
        # Before the groups, which register their instances with it.
        balancers.start()
        groups.start()
        yield endpoint.url, served


def serve(state: State, ports: dict[str, int]) -> int:
    """Serve until SIGTERM, SIGINT or SIGHUP, or until the state folder is removed; returns the exit status.

    After SIGHUP PostgreSQL goes on, and the next resident process takes it over.
    """
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    for noisy in ("botocore", "boto3", "werkzeug", "urllib3", "moto"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    os.umask(0o022)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    handing_over = threading.Event()

    def hand_over(*_: object) -> None:
        handing_over.set()
        stopping.set()

    signal.signal(HAND_OVER, hand_over)
    with _lock(state) as alone:
        if not alone:
            _log.error("another resident process serves %s", state.root)
            return 1
        inode = state.serve_lock.stat().st_ino
        state.serve_file.unlink(missing_ok=True)
        code = code_fingerprint()
        own = identity_of(os.getpid())
        if own is None:
            raise RuntimeError("/proc has no entry for this process; the sandbox needs Linux with /proc")
        with _services(state, ports, handing_over.is_set) as (endpoint, providers):
            addresses = Addresses(
                pid=own.pid, started=own.started, aws_endpoint=endpoint, providers=providers, code=code
            )
            replace_file(state.serve_file, addresses.model_dump_json(by_alias=True, indent=2) + "\n")
            _log.info("ready")
            while not stopping.wait(FOLDER_CHECK_SECONDS):
                if not _folder_exists(state, inode):
                    _log.info("the state folder is gone")
                    break
            _log.info("ending")
        state.serve_file.unlink(missing_ok=True)
        if not state.root.exists():
            # The providers cannot stop servers whose data is gone; they are still found by their arguments.
            processes.terminate(processes.find(state.root))
    _log.info("ended")
    return 0
