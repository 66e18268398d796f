"""Log in as every role, try what must be refused, and say what was seen."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg

from pgpasswordless import gateway_verification, identity, identity_files, refusals, token_verification
from pgpasswordless.checks import Check, Findings, Login, RuleUsed, Verification
from pgpasswordless.connections import Database
from pgpasswordless.errors import IdentityError, StackError
from pgpasswordless.gateway_client import GATEWAY
from pgpasswordless.identity import Identity
from pgpasswordless.libpq import Target, keywords
from pgpasswordless.server_log import rules_used
from pgpasswordless.sessions import SYSTEM_USER_VERSION, Session, at_least, log_in, one_line
from pgpasswordless.settings import target_for
from pgpasswordless.stack import Stack

RULE_DEADLINE_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One role's login: what it used and what came of it."""

    role: str
    identity: Identity | None = None
    target: Target | None = None
    session: Session | None = None
    problem: str = ""


def verify(
    stack: Stack,
    *,
    databases: Sequence[str] = (),
    require_rule: bool = False,
    rule_deadline_seconds: float = RULE_DEADLINE_SECONDS,
    now: datetime | None = None,
) -> Verification:
    """Verify the databases of a stack.

    Keys are kept in a temporary private directory and removed at the end.

    Args:
        stack: what `load` returned.
        databases: names in the connections document, `gateway` for the gateway; everything when empty.
        require_rule: an unreadable server log is a failed check, where roles log in by certificate.
        rule_deadline_seconds: how long to wait for the server's log, per database.
        now: the moment at which certificates must be valid; the current one when None.

    Raises:
        UnknownNameError: the stack has no database of a given name.
        StackError: the stack has no database at all.
    """
    names = list(dict.fromkeys(databases)) or _everything(stack)
    if not names:
        raise StackError(f"stack {stack.name!r} has no database to verify; deploy one")
    logins: list[Login] = []
    checks: list[Check] = []
    notes: list[str] = []
    for name in names:
        with tempfile.TemporaryDirectory(prefix="pgpasswordless-") as directory:
            found = _without_certificate_login(stack, name, Path(directory))
            if found is not None:
                logins += found.logins
                checks += found.checks
                notes += found.notes
                continue
            server = stack.database(name)
            trials = [
                _try(stack, name, role, Path(directory, str(index)), now)
                for index, role in enumerate(sorted(server.roles))
            ]
            rows = _with_rules(stack, name, trials, rule_deadline_seconds)
            logins += rows
            for trial, login in zip(trials, rows, strict=True):
                checks += _checks_of(server, trial, login, require_rule=require_rule)
            checks += _refusals(name, server, trials)
        if len(server.roles) == 1:
            notes.append(
                f"database {name!r} has one role only, so another role's certificate could not be tried"
            )
    passed = all(check.passed for check in checks)
    return Verification(
        stack=stack.name, passed=passed, logins=tuple(logins), checks=tuple(checks), notes=tuple(notes)
    )


def _without_certificate_login(stack: Stack, name: str, folder: Path) -> Findings | None:
    """What was found of something that is no database with login by certificate; None for one that is."""
    if name == GATEWAY:
        return gateway_verification.findings(stack, folder)
    server = stack.database(name)
    if not server.roles:
        lacking = Check(name="roles", database=name, passed=False, detail="no role to log in as")
        return Findings(logins=(), checks=(lacking,), notes=())
    if server.authentication == "iam":
        return token_verification.findings(stack, name, folder)
    return None


def _everything(stack: Stack) -> list[str]:
    gateway = [GATEWAY] if stack.connections.gateway else []
    return [*sorted(stack.connections.databases), *gateway]


def _try(stack: Stack, database: str, role: str, directory: Path, now: datetime | None) -> Trial:
    secret_arn = stack.role(database, role).secret_arn or ""
    try:
        checked = identity.fetch(stack.aws, secret_arn, role, now=now)
        files = identity_files.write(directory, checked, stack.database(database).server_ca)
    except IdentityError as error:
        return Trial(role=role, problem=str(error))
    target = target_for(stack, database, role, files)
    try:
        session = log_in(keywords(target))
    except psycopg.Error as error:
        return Trial(role=role, identity=checked, target=target, problem=one_line(error))
    return Trial(role=role, identity=checked, target=target, session=session)


def _with_rules(stack: Stack, database: str, trials: Sequence[Trial], deadline_seconds: float) -> list[Login]:
    server = stack.database(database)
    sessions = [trial.session for trial in trials if trial.session]
    # The server's log lies where its roles' secrets lie.
    secret_arn = next((role.secret_arn for role in server.roles.values() if role.secret_arn), "")
    rules: Mapping[str, RuleUsed | str] = {}
    if server.log_group and sessions:
        rules = rules_used(stack.aws, secret_arn, server.log_group, sessions, deadline_seconds)
    rows = []
    for trial in trials:
        row = _row(database, trial)
        if trial.session:
            rule = rules.get(trial.session.session_id, "the connections document names no log group")
            row = row.model_copy(update={"rule_missing" if isinstance(rule, str) else "rule": rule})
        rows.append(row)
    return rows


def _row(database: str, trial: Trial) -> Login:
    not_after = f"{trial.identity.not_after:%Y-%m-%dT%H:%M:%SZ}" if trial.identity else None
    session = trial.session
    if session is None:
        return Login(
            database=database,
            role=trial.role,
            succeeded=False,
            detail=trial.problem,
            certificate_not_after=not_after,
        )
    return Login(
        database=database,
        role=trial.role,
        succeeded=True,
        server_version=session.server_version,
        tls_version=session.tls_version,
        cipher=session.cipher,
        certificate_not_after=not_after,
        identity=session.system_user or session.client_dn,
        session_user=session.session_user,
    )


def _checks_of(server: Database, trial: Trial, login: Login, *, require_rule: bool) -> list[Check]:
    def check(name: str, detail: str, *, passed: bool) -> Check:
        return Check(name=name, database=login.database, role=trial.role, passed=passed, detail=detail)

    session = trial.session
    if session is None or trial.identity is None:
        return [check("login", trial.problem, passed=False)]
    found = [
        check("login", f"as {session.session_user}", passed=session.session_user == trial.role),
        check(
            "minimum-protocol",
            f"{session.tls_version or 'no TLS'}, at least {server.minimum_protocol}",
            passed=at_least(session.tls_version, server.minimum_protocol),
        ),
        check(
            "identity",
            f"{login.identity}, serial number {session.client_serial}",
            passed=_is_seen(session, trial.identity),
        ),
    ]
    if login.rule:
        place = f"{login.rule.method} {login.rule.file}:{login.rule.line}"
        found.append(check("rule", place, passed=login.rule.method == "cert"))
    elif require_rule:
        found.append(check("rule", login.rule_missing or "not known", passed=False))
    return found


def _is_seen(session: Session, identity: Identity) -> bool:
    """Whether the server saw this very certificate, and let the session in for it."""
    if session.client_serial != identity.serial_number:
        return False
    if session.server_version < SYSTEM_USER_VERSION:
        # Only the log tells the method here, which is a check of its own.
        return True
    return (session.system_user or "").startswith("cert:")


def _refusals(database: str, server: Database, trials: Sequence[Trial]) -> list[Check]:
    targets = [trial.target for trial in trials if trial.target and trial.session]
    if not targets:
        return [
            Check(
                name="refusals",
                database=database,
                passed=False,
                detail="no role could log in, so nothing that is refused would prove anything",
            )
        ]
    return refusals.checks(database, targets, server.minimum_protocol)
