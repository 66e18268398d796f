"""What `verify` does with a database of RDS: log in by token, and try what must be refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psycopg

from pgpasswordless import parameter_state, token_refusals
from pgpasswordless.checks import Check, Findings, Login
from pgpasswordless.connections import Database
from pgpasswordless.errors import IdentityError, TokenError
from pgpasswordless.libpq import TokenTarget
from pgpasswordless.refusals import without_password
from pgpasswordless.sessions import Session, at_least, log_in, one_line
from pgpasswordless.stack import Stack
from pgpasswordless.tls_probe import Tls, handshake
from pgpasswordless.token_login import token_source, token_target
from pgpasswordless.token_refusals import LoggedIn
from pgpasswordless.tokens import TokenSource


@dataclass(frozen=True, kw_only=True)
class _Trial:
    """One role's login by token: what it used and what came of it."""

    role: str
    source: TokenSource | None = None
    target: TokenTarget | None = None
    session: Session | None = None
    tls: Tls | None = None
    problem: str = ""


def findings(stack: Stack, database: str, folder: Path) -> Findings:
    """Verify a database whose roles log in by token.

    Args:
        stack: what `load` returned.
        database: name in the connections document.
        folder: private and temporary.
    """
    server = stack.database(database)
    trials = [
        _try(stack, database, role, folder / str(index)) for index, role in enumerate(sorted(server.roles))
    ]
    checks = [check for trial in trials for check in _checks_of(server, database, trial)]
    notes = []
    if server.region and server.resource_id:
        parameters = parameter_state.check(stack.aws, database, server.region, server.resource_id)
        if isinstance(parameters, Check):
            checks.append(parameters)
        else:
            notes.append(parameters)
    checks += _refusals(server, database, trials, folder)
    if len(server.roles) == 1:
        notes.append(f"database {database!r} has one role only, so another role's token could not be tried")
    return Findings(
        logins=tuple(_row(database, trial) for trial in trials), checks=tuple(checks), notes=tuple(notes)
    )


def _try(stack: Stack, database: str, role: str, folder: Path) -> _Trial:
    try:
        source = token_source(stack, database, role)
        target = token_target(stack, database, role, folder)
        token = source()
    except (TokenError, IdentityError) as error:
        return _Trial(role=role, problem=str(error))
    try:
        session = log_in(without_password(target) | {"password": token})
    except psycopg.Error as error:
        return _Trial(role=role, source=source, target=target, problem=one_line(error))
    tls = (
        Tls(version=session.tls_version, cipher=session.cipher or "")
        if session.tls_version
        else handshake(target.host, target.port, target.root_certificate)
    )
    return _Trial(role=role, source=source, target=target, session=session, tls=tls)


def _row(database: str, trial: _Trial) -> Login:
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
            "member of rds_iam" if session.iam_user else "no member of rds_iam: a password would let it in",
            passed=session.iam_user is True,
        ),
    ]


def _refusals(server: Database, database: str, trials: list[_Trial], folder: Path) -> list[Check]:
    roles = [
        LoggedIn(target=trial.target, source=trial.source)
        for trial in trials
        if trial.target and trial.source and trial.session
    ]
    if not roles:
        detail = "no role could log in, so nothing that is refused would prove anything"
    else:
        try:
            return token_refusals.checks(database, roles, server.minimum_protocol, folder)
        except TokenError as error:
            detail = str(error)
    return [Check(name="refusals", database=database, passed=False, detail=detail)]
