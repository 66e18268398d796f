"""Verify the gateway: call it as every client, and try what must be refused."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgpasswordless import identity, identity_files
from pgpasswordless.connections import DeployedDocument
from pgpasswordless.errors import IdentityError
from pgpasswordless.gateway_client import (
    GATEWAY,
    Answer,
    GatewayTarget,
    address,
    gateway_of,
    gateway_target,
    get,
)
from pgpasswordless.identity_files import IdentityFiles
from pgpasswordless.stack import Stack
from pgpasswordless.verify.result import Check, Findings, Login
from pgpasswordless.verify.session import at_least
from pgpasswordless.verify.tls import ALERT_PROTOCOL_VERSION, TLS_1_1, Alert, offer

MINIMUM_PROTOCOL = "TLSv1.2"

# What a client's TLS library says when the server ended the handshake because of the certificate. With
# TLS 1.3 that arrives with the first answer; a load balancer may also close the connection without an alert.
_HANDSHAKE_ENDED = ("alert", "eof occurred", "connection reset", "remote end closed", "unexpected_eof")
_SPOOFED = {
    "X-Amzn-Mtls-Clientcert-Subject": "CN=somebody-else",
    "X-Amzn-Mtls-Clientcert-Serial-Number": "01",
}
_REFUSED = (401, 403)


@dataclass(frozen=True, kw_only=True)
class _Trial:
    """One client's call: what it used and what came of it."""

    client: str
    role: str
    target: GatewayTarget | None = None
    answer: Answer | None = None
    said: dict[str, Any] | None = None
    problem: str = ""


def verify_gateway(stack: Stack, folder: Path) -> Findings:
    """Verify the stack's gateway.

    Args:
        stack: what `load` returned.
        folder: private and temporary.
    """
    gateway = gateway_of(stack)
    notes = []
    trials = []
    for index, (name, client) in enumerate(sorted(gateway.clients.items())):
        if client.secret_arn is None:
            notes.append(f"client {name!r} of the gateway has its key elsewhere, so it could not be tried")
            continue
        trials.append(_try(stack, name, client.role, folder / str(index)))
    checks = [check for trial in trials for check in _checks_of(trial, gateway.document)]
    called = [(trial.target, trial.said) for trial in trials if trial.target and trial.said is not None]
    if called:
        checks += _refusals(stack, *called[0], folder)
    elif trials:
        checks.append(_check("refusals", None, "no client was let in, so a refusal would prove nothing"))
    return Findings(logins=tuple(_row(trial) for trial in trials), checks=tuple(checks), notes=tuple(notes))


def _try(stack: Stack, client: str, role: str, folder: Path) -> _Trial:
    try:
        target = gateway_target(stack, client, folder)
    except IdentityError as error:
        return _Trial(client=client, role=role, problem=str(error))
    try:
        answer = _call(target)
    except (OSError, http.client.HTTPException) as error:
        return _Trial(client=client, role=role, target=target, problem=f"{target.url}: {_words(error)}")
    said = _said(answer)
    if said is None:
        return _Trial(
            client=client,
            role=role,
            target=target,
            answer=answer,
            problem=f"{target.url}/whoami answered {answer.status}: {answer.body[:200]!r}",
        )
    return _Trial(client=client, role=role, target=target, answer=answer, said=said)


def _call(
    target: GatewayTarget,
    *,
    path: str = "/whoami",
    files: IdentityFiles | None = None,
    anonymous: bool = False,
    headers: dict[str, str] | None = None,
) -> Answer:
    return get(
        f"{target.url}{path}",
        root_certificate=target.root_certificate,
        files=None if anonymous else files or target.files,
        headers=headers,
    )


def _row(trial: _Trial) -> Login:
    database = (trial.said or {}).get("database") or {}
    return Login(
        database=GATEWAY,
        role=trial.client,
        succeeded=trial.said is not None,
        detail=trial.problem,
        tls_version=trial.answer.tls_version if trial.answer else None,
        cipher=trial.answer.cipher if trial.answer else None,
        certificate_not_after=trial.target.files.valid_until if trial.target else None,
        identity=(trial.said or {}).get("subject"),
        session_user=database.get("currentUser"),
        rule_missing="the gateway asks for a certificate, not pg_hba.conf" if trial.said else None,
    )


def _check(name: str, client: str | None, detail: str, *, passed: bool = False) -> Check:
    return Check(name=name, database=GATEWAY, role=client, passed=passed, detail=detail)


def _checks_of(trial: _Trial, deployed: DeployedDocument | None) -> list[Check]:
    if trial.said is None or trial.answer is None or trial.target is None:
        return [_check("call", trial.client, trial.problem)]
    database = trial.said.get("database") or {}
    serial = f"{trial.target.files.serial_number:X}"
    return [
        _check(
            "call",
            trial.client,
            f"as role {trial.said.get('role')}",
            passed=trial.said.get("role") == trial.role,
        ),
        _check(
            "minimum-protocol",
            trial.client,
            f"{trial.answer.tls_version}, at least {MINIMUM_PROTOCOL}",
            passed=at_least(trial.answer.tls_version, MINIMUM_PROTOCOL),
        ),
        _check(
            "identity",
            trial.client,
            f"{trial.said.get('subject')}, serial number {trial.said.get('serial')}",
            passed=str(trial.said.get("serial", "")).upper().lstrip("0") == serial.lstrip("0"),
        ),
        _check(
            "database-session",
            trial.client,
            f"PostgreSQL sees {database.get('currentUser')}, {database.get('applicationName')}",
            passed=database.get("currentUser") == trial.role,
        ),
        *([] if deployed is None else [_document(trial.client, trial.target, deployed)]),
    ]


def _document(client: str, target: GatewayTarget, deployed: DeployedDocument) -> Check:
    """The instance that answers serves what the stack published; each call may reach another instance."""
    name = "deployed-document"
    try:
        answer = json.loads(_call(target, path="/readyz").body)
        served = DeployedDocument.model_validate(answer["document"])
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError) as error:
        return _check(name, client, f"the gateway does not say what it serves: {_words(error)}")
    what = f"document {served.serial} (SHA-256 {served.sha256[:12]}…)"
    if served == deployed:
        return _check(name, client, what, passed=True)
    return _check(
        name,
        client,
        f"{what} is served, and {deployed.serial} (SHA-256 {deployed.sha256[:12]}…) is deployed: somebody"
        " else wrote the gateway's document, or the connections document is an older one",
    )


def _refusals(stack: Stack, target: GatewayTarget, said: dict[str, Any], folder: Path) -> list[Check]:
    found = [
        _refused_in_handshake("without-certificate-refused", target, lambda: _call(target, anonymous=True)),
        _older_protocol(target),
        _spoofed_headers(target, said),
    ]
    foreign = _identity_of_a_database(stack, folder / "foreign")
    if foreign is not None:
        name, files = foreign
        found.append(
            _refused_in_handshake(
                "certificate-of-a-database-refused",
                target,
                lambda: _call(target, files=files),
                what=f"the certificate of {name}",
            )
        )
    return found


def _refused_in_handshake(
    name: str, target: GatewayTarget, call: Callable[[], Answer], what: str = "the call"
) -> Check:
    try:
        answer = call()
    except (OSError, http.client.HTTPException) as error:
        said = _words(error)
        refused = any(words in said.lower() for words in _HANDSHAKE_ENDED)
        detail = said if refused else f"it failed, but the gateway did not refuse the client: {said}"
        return _check(name, target.client, f"{what}: {detail}", passed=refused)
    return _check(name, target.client, f"{what} was let in, and answered {answer.status}")


def _older_protocol(target: GatewayTarget) -> Check:
    name, what = "older-protocol-refused", "TLSv1.1 at most"
    host, port, _ = address(target.url)
    try:
        answer = offer(host, port, TLS_1_1, through_postgresql=False)
    except OSError as error:
        return _check(name, target.client, f"{what}: no alert: {_words(error)}")
    if isinstance(answer, Alert):
        passed = answer.description == ALERT_PROTOCOL_VERSION
        return _check(name, target.client, f"{what}: alert {answer.description}", passed=passed)
    return _check(name, target.client, f"{what}: the gateway accepted {answer:#06x}")


def _spoofed_headers(target: GatewayTarget, said: dict[str, Any]) -> Check:
    """The load balancer's headers, sent by the client itself, are refused or have no effect."""
    name = "spoofed-headers-not-believed"
    try:
        answer = _call(target, headers=dict(_SPOOFED))
    except (OSError, http.client.HTTPException) as error:
        return _check(name, target.client, _words(error))
    detail = f"{', '.join(_SPOOFED)} beside the certificate: answered {answer.status}"
    if answer.status in _REFUSED:
        return _check(name, target.client, detail, passed=True)
    seen = _said(answer)
    same = seen is not None and all(seen.get(key) == said.get(key) for key in ("role", "serial"))
    return _check(name, target.client, f"{detail} as {(seen or {}).get('subject')}", passed=same)


def _said(answer: Answer) -> dict[str, Any] | None:
    """The body of a successful /whoami; None for any other answer."""
    if answer.status != http.client.OK:
        return None
    try:
        said = json.loads(answer.body)
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


def _identity_of_a_database(stack: Stack, folder: Path) -> tuple[str, IdentityFiles] | None:
    """A role's certificate from a database with certificate login, which is another trust domain."""
    for name, server in sorted(stack.connections.databases.items()):
        for role, connection in sorted(server.roles.items()):
            if connection.secret_arn is None:
                continue
            try:
                checked = identity.fetch(stack.aws, connection.secret_arn, connection.common_name or role)
                return f"{role} on {name}", identity_files.write(folder, checked, server.server_ca)
            except IdentityError:
                # The database's own checks say what is wrong with it.
                return None
    return None


def _words(error: Exception) -> str:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None)
    return " ".join(str(part) for part in (reason, error) if part) or type(error).__name__
