"""Verify a database of RDS: log in as every role by token, and try what must be refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from botocore.exceptions import BotoCoreError, ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from pgpasswordless.aws import Aws, reason
from pgpasswordless.connections import Database
from pgpasswordless.errors import IdentityError, TokenError, one_line
from pgpasswordless.libpq import TokenTarget
from pgpasswordless.login import source_of, token_target
from pgpasswordless.stack import DatabaseRole, Stack
from pgpasswordless.tokens import LIFE_SECONDS, TokenSource
from pgpasswordless.verify.past_token import token_of
from pgpasswordless.verify.refusal import Attempt, older_protocol, refused, without_password, without_tls
from pgpasswordless.verify.result import Check, Findings, Login
from pgpasswordless.verify.session import Session, at_least, log_in
from pgpasswordless.verify.tls import Tls, handshake
from postgres.protocol import MinimumProtocol

# RDS asks PAM, which tells the client nothing more; the reason is in the log iam-db-auth-error.
TOKEN_REFUSALS = ("PAM authentication failed for user",)
UNTRUSTED = ("certificate verify failed",)
# Longer ago than a token lives, and than clocks may differ.
LONG_AGO = timedelta(seconds=4 * LIFE_SECONDS)
IN_SYNC = "in-sync"


@dataclass(frozen=True, kw_only=True)
class _Trial:
    """One role's login by token: what it used and what came of it."""

    role: str
    source: TokenSource | None = None
    target: TokenTarget | None = None
    session: Session | None = None
    tls: Tls | None = None
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class _LoggedIn:
    """A role whose login succeeded."""

    target: TokenTarget
    source: TokenSource


def verify_database(stack: Stack, database: str, folder: Path) -> Findings:
    """Verify a database whose roles log in by token.

    Args:
        stack: what `load` returned.
        database: name in the connections document.
        folder: private and temporary.
    """
    server = stack.database(database)
    trials = [
        _try(stack.database_role(database, role), folder / str(index))
        for index, role in enumerate(sorted(server.roles))
    ]
    checks = [check for trial in trials for check in _checks_of(server, database, trial)]
    notes = []
    if server.region and server.resource_id:
        parameters = _parameters(stack.aws, database, server.region, server.resource_id)
        if isinstance(parameters, Check):
            checks.append(parameters)
        else:
            notes.append(parameters)
    checks += _refusals(database, server.minimum_protocol, trials, folder)
    if len(server.roles) == 1:
        notes.append(f"database {database!r} has only one role, so no other role's token could be tried")
    return Findings(
        logins=tuple(_login(database, trial) for trial in trials), checks=tuple(checks), notes=tuple(notes)
    )


def _try(role: DatabaseRole, folder: Path) -> _Trial:
    try:
        source = source_of(role)
        target = token_target(role, folder)
        token = source()
    except (TokenError, IdentityError) as error:
        return _Trial(role=role.name, problem=str(error))
    try:
        session = log_in(without_password(target) | {"password": token})
    except psycopg.Error as error:
        return _Trial(role=role.name, source=source, target=target, problem=one_line(error))
    tls = (
        Tls(version=session.tls_version, cipher=session.cipher or "")
        if session.tls_version
        else handshake(target.host, target.port, target.root_certificate)
    )
    return _Trial(role=role.name, source=source, target=target, session=session, tls=tls)


def _login(database: str, trial: _Trial) -> Login:
    session = trial.session
    if session is None:
        return Login(
            database=database, role=trial.role, authentication="iam", succeeded=False, detail=trial.problem
        )
    return Login(
        database=database,
        role=trial.role,
        authentication="iam",
        succeeded=True,
        server_version=session.server_version,
        tls_version=trial.tls.version if trial.tls else None,
        cipher=trial.tls.cipher if trial.tls else None,
        identity=session.system_user or (f"iam:{session.session_user}" if session.iam_user else None),
        session_user=session.session_user,
    )


def _checks_of(server: Database, database: str, trial: _Trial) -> list[Check]:
    def check(name: str, detail: str, *, passed: bool) -> Check:
        return Check(name=name, database=database, role=trial.role, passed=passed, detail=detail)

    session = trial.session
    if session is None:
        return [check("login", trial.problem, passed=False)]
    version = trial.tls.version if trial.tls else None
    return [
        check("login", f"as {session.session_user}", passed=session.session_user == trial.role),
        check(
            "minimum-protocol",
            f"{version or 'no TLS'}, at least {server.minimum_protocol}",
            passed=at_least(version, server.minimum_protocol),
        ),
        check(
            "iam-user",
            "member of rds_iam"
            if session.iam_user
            else "not a member of rds_iam: a password would let it in",
            passed=session.iam_user is True,
        ),
    ]


def _parameters(aws: Aws, database: str, region: str, resource_id: str) -> Check | str:
    """The check `parameters`, or why it cannot be made: only some callers may describe instances."""
    unknown = f"whether the parameters of database {database!r} are applied is not known"
    try:
        pages = aws.databases(region).get_paginator("describe_db_instances").paginate()
        found = next(
            (
                instance
                for page in pages
                for instance in page["DBInstances"]
                if instance.get("DbiResourceId") == resource_id
            ),
            None,
        )
    except (BotoCoreError, ClientError) as error:
        return f"{unknown}: {reason(error)}"
    if found is None:
        return f"{unknown}: this account has no instance {resource_id} in {region}"
    states = {
        group.get("DBParameterGroupName", ""): group.get("ParameterApplyStatus", "")
        for group in found.get("DBParameterGroups", [])
    }
    said = ", ".join(f"{name}: {state}" for name, state in states.items()) or "no parameter group"
    in_sync = bool(states) and set(states.values()) == {IN_SYNC}
    advice = "" if in_sync else f"; reboot {found.get('DBInstanceIdentifier')} where a change is pending"
    return Check(name="parameters", database=database, passed=in_sync, detail=said + advice)


def _refusals(
    database: str, minimum_protocol: MinimumProtocol, trials: Sequence[_Trial], folder: Path
) -> list[Check]:
    """Logins that the server must refuse, as each role whose login, the control, succeeded."""
    roles = [
        _LoggedIn(target=trial.target, source=trial.source)
        for trial in trials
        if trial.target and trial.source and trial.session
    ]
    if not roles:
        return [Check.no_control(database)]
    foreign = _foreign_bundle(folder)
    found = []
    try:
        for index, role in enumerate(roles):
            others = [other for other in roles if other.target.user != role.target.user]
            # The next role in the list, so that each token is tried as another role.
            other = others[index % len(others)] if others else None
            attempts = _attempts(role, other, minimum_protocol, foreign)
            found += [refused(name, database, role.target, [tried]) for name, tried in attempts.items()]
    except TokenError as error:
        # The login had a token, and now there is none.
        return [Check(name="refusals", database=database, passed=False, detail=str(error))]
    return found


def _attempts(
    role: _LoggedIn, other: _LoggedIn | None, minimum_protocol: MinimumProtocol, foreign: Path
) -> dict[str, Attempt]:
    target, token = role.target, role.source()
    attempts = {
        # Without the token: whoever listens could use it. A server that asks for one fails the check.
        "without-tls-refused": without_tls(target),
        "password-refused": _with(target, "a password that is no token", "not-a-token"),
        "tampered-token-refused": _with(target, "token with another signature", _tampered(token)),
        "expired-token-refused": _with(
            target, "token of an hour ago", token_of(role.source, datetime.now(UTC) - LONG_AGO)
        ),
        "other-authority-refused": Attempt(
            what="a bundle without the server's authority",
            parameters=without_password(target) | {"password": token, "sslrootcert": str(foreign)},
            expected=UNTRUSTED,
        ),
    }
    if other is not None:
        attempts["other-token-refused"] = _with(target, f"token of {other.target.user}", other.source())
    if minimum_protocol == "TLSv1.3":
        # With the token: the server must refuse the protocol, not the password.
        attempts["older-protocol-refused"] = older_protocol(target, token)
    return attempts


def _with(target: TokenTarget, what: str, password: str) -> Attempt:
    parameters = without_password(target) | {"password": password}
    return Attempt(what=what, parameters=parameters, expected=TOKEN_REFUSALS)


def _tampered(token: str) -> str:
    """`token` with the last digit of its signature changed."""
    return token[:-1] + ("0" if token[-1] != "0" else "1")


def _foreign_bundle(folder: Path) -> Path:
    """A file with an authority that has signed nothing; its key is discarded."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority of nobody")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "foreign.crt"
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    return path
