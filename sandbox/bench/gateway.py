"""The throughput of the gateway's application, with one worker and with two.

It is the shipped artifact with a client authority of its own. It reaches the RDS instance as the role `ROLE`
with the operator's credentials. The baselines are the same query on a bare pool in one process, and on a new
connection with a new token each time. The workers share two cores with their clients and the database.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from artifacts.dependencies import this_platform
from artifacts.gateway import gateway_artifact
from emulator.core.ports import new_port
from emulator.elb.data_plane.forwarded_headers import verify_headers
from emulator.elb.data_plane.upstream import any_certificate
from emulator.tls.certificates import CertificateInputs, create_request, issued, self_signed
from engine.errors import CommandError
from engine.progress import Progress
from engine.project import CHECKOUT
from gateway.application import WHOAMI
from gateway.document import AllowedIdentity, GatewayDocument
from gateway.header_names import SUFFIX_LENGTH, header_names
from pgpasswordless.connections import Database
from pgpasswordless.stack import Stack
from runtime.files import replace_file
from sandbox.bench.load.messages import LoadResult
from sandbox.bench.measurement import Measurement
from sandbox.bench.rds_endpoint import RDS
from sandbox.resident import operator_environment
from sandbox.serve import read_addresses
from sandbox.state import State

ROLE = "app_user"
WORKERS = {1: "one worker", 2: "two workers"}
CLIENTS = 16
NAIVE_CLIENTS = 8
POOL_SIZE = 10
IDENTITY = "spiffe://bench.passwordless/client"
_START_SECONDS = 30
_LIFE_HOURS = 24


def gateway(stack: Stack, state: State, progress: Progress, seconds: int) -> Iterator[Measurement]:
    """Requests per second of the gateway's application beside two ways without it.

    Args:
        stack: The sandbox's stack; without the role `ROLE` on RDS nothing is measured.
        state: The sandbox's state.
        progress: Shows what is being measured.
        seconds: Duration of the long measurements; the others take half of it.

    Raises:
        CommandError: A program that measures fails.
    """
    database = stack.database(RDS)
    if ROLE not in database.roles:
        return
    with (
        progress.step("bench gateway") as step,
        tempfile.TemporaryDirectory(prefix="bench-gateway-", dir=state.root) as name,
    ):
        folder = Path(name)
        environment = _operator(state)
        root_certificate = folder / "root.crt"
        root_certificate.write_text(database.server_ca.pem)
        query = {
            "seconds": max(seconds / 2, 1),
            "query": WHOAMI,
            "host": database.host,
            "port": database.port,
            "database": database.roles[ROLE].database,
            "user": ROLE,
            "region": database.region,
            "root_certificate": str(root_certificate),
        }
        served = {}
        for workers, label in WORKERS.items():
            step.detail = label
            with _application(database, folder, environment, workers) as (port, headers):
                through = {"port": port, "path": "/whoami", "headers": headers, "clients": CLIENTS}
                _run("requests", {**through, "seconds": 1}, environment)
                served[label] = _run("requests", {**through, "seconds": seconds}, environment)
        step.detail = "a bare pool"
        pool = _run("pool", {**query, "clients": CLIENTS, "pool_size": POOL_SIZE}, environment)
        step.detail = "a new connection each time"
        naive = _run("connections", {**query, "clients": NAIVE_CLIENTS}, environment)
        found = [
            Measurement(
                name=f"gateway application, {label}, {CLIENTS} connections over TLS",
                value=through.rate,
                floor=floor.rate,
                floor_name=floor_name,
                unit="requests/s",
                errors=through.errors,
            )
            for label, through in served.items()
            for floor, floor_name in (
                (pool, "the same query on a bare psycopg pool in one process"),
                (naive, "a new connection with a new token for each request"),
            )
        ]
        step.result = "; ".join(each.summary() for each in found)
    yield from found


@contextmanager
def _application(
    database: Database, folder: Path, environment: Mapping[str, str], workers: int
) -> Iterator[tuple[int, dict[str, str]]]:
    """Run the shipped artifact; yields its port and the headers of one caller."""
    program = folder / "program"
    if not program.exists():
        with zipfile.ZipFile(gateway_artifact(this_platform()).path) as archive:
            archive.extractall(program)
    authority, leaf = _identities()
    suffix = secrets.token_hex(SUFFIX_LENGTH // 2)
    document = GatewayDocument(
        serial=1,
        database=database,
        client_authorities=authority.public_bytes(Encoding.PEM).decode(),
        header_suffixes=(suffix,),
        identities=(AllowedIdentity(kind="uri", value=IDENTITY, role=ROLE),),
    )
    file = folder / "document.json"
    replace_file(file, document.to_json())
    port = new_port(set())
    metrics_port = new_port({port})
    with (folder / "gateway.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "gateway", "--document", str(file)),
                *("--port", str(port), "--metrics-port", str(metrics_port), "--workers", str(workers)),
            ],
            cwd=folder,
            env={**environment, "PYTHONPATH": str(program), "PATH": os.environ["PATH"]},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_ready(process, port, folder / "gateway.log")
        renamed = vars(header_names(suffix))
        original = verify_headers(leaf)
        prefix = "X-Amzn-Mtls-Clientcert-"
        yield port, {name: original[prefix + key.replace("_", "-").title()] for key, name in renamed.items()}
    finally:
        process.terminate()
        process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    context = any_certificate()
    try:
        patience = {"stop": stop_after_delay(_START_SECONDS), "wait": wait_fixed(0.1)}
        for attempt in Retrying(retry=retry_if_exception_type(OSError), **patience):
            with attempt:
                if process.poll() is not None:
                    break
                urlopen(f"https://127.0.0.1:{port}/healthz", context=context, timeout=5).close()
                return
    except RetryError:
        pass
    raise CommandError(f"The gateway did not start: {log.read_text(errors='replace').strip()[-2000:]}")


def _identities() -> tuple[x509.Certificate, x509.Certificate]:
    """A client authority and a certificate of it; headers contain no key, so nobody needs the client's."""
    now = datetime.now(UTC)
    key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = CertificateInputs(
        subject={"commonName": "bench clients"},
        is_ca_certificate=True,
        allowed_uses=("cert_signing", "crl_signing"),
        validity_period_hours=_LIFE_HOURS,
    )
    signed = self_signed(authority, key, now)
    asked = create_request(CertificateInputs(subject={"commonName": "bench"}, uris=(IDENTITY,)), leaf_key)
    leaf = CertificateInputs(allowed_uses=("client_auth",), validity_period_hours=_LIFE_HOURS)
    return signed, issued(leaf, asked, signed, key, now)


def _operator(state: State) -> dict[str, str]:
    addresses = read_addresses(state)
    if addresses is None:
        raise CommandError("The sandbox does not run; start it with `make up`.")
    return operator_environment(state, addresses)


def _run(program: str, document: dict[str, Any], environment: Mapping[str, str]) -> LoadResult:
    answer = subprocess.run(
        [sys.executable, "-m", f"sandbox.bench.load.{program}"],
        input=json.dumps(document),
        cwd=CHECKOUT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode != 0:
        raise CommandError(f"The load program {program} failed: {answer.stderr.strip()[-2000:]}")
    done = LoadResult.model_validate_json(answer.stdout)
    if not done.count:
        raise CommandError(f"The load program {program} did nothing in {done.seconds:.0f} s.")
    return done
