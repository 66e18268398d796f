"""Verify a database with login by certificate: log in as every role, and try what must be refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from pgpasswordless.connections import Database
from pgpasswordless.errors import IdentityError, one_line
from pgpasswordless.libpq import CertificateTarget, keywords
from pgpasswordless.login import certificate_target
from pgpasswordless.stack import DatabaseRole, Stack
from pgpasswordless.verify.drift import drift_notes
from pgpasswordless.verify.refusal import (
    Attempt,
    absent_file,
    older_protocol,
    refused,
    without_password,
    without_tls,
)
from pgpasswordless.verify.result import Check, Findings, Login, RuleUsed
from pgpasswordless.verify.server_log import rules_used
from pgpasswordless.verify.session import SYSTEM_USER_VERSION, Session, at_least, log_in
from postgres.identifiers import MAINTENANCE_DATABASE, SUPERUSER
from postgres.protocol import MinimumProtocol


@dataclass(frozen=True, kw_only=True)
class _Trial:
    """One role's login: what it used and what came of it."""

    role: str
    target: CertificateTarget | None = None
    session: Session | None = None
    problem: str = ""


def verify_database(
    stack: Stack,
    database: str,
    folder: Path,
    *,
    require_rule: bool,
    rule_deadline_seconds: float,
) -> Findings:
    """Verify a database whose roles log in by certificate.

    Args:
        stack: what `load` returned.
        database: name in the connections document.
        folder: private and temporary.
        require_rule: an unreadable server log is a failed check.
        rule_deadline_seconds: how long to wait for the server's log.
    """
    server = stack.database(database)
    trials = [
        _try(stack.database_role(database, role), folder / str(index))
        for index, role in enumerate(sorted(server.roles))
    ]
    logins = _with_rules(stack, database, trials, rule_deadline_seconds)
    checks = [
        check
        for trial, login in zip(trials, logins, strict=True)
        for check in _checks_of(server, trial, login, require_rule=require_rule)
    ]
    checks += _refusals(database, server.minimum_protocol, trials)
    notes = _drift(stack, database)
    if len(server.roles) == 1:
        notes += (f"database {database!r} has only one role, so no other role's certificate could be tried",)
    return Findings(logins=tuple(logins), checks=tuple(checks), notes=notes)


def _neighbour(server: Database) -> str:
    """A resource in the region of the server's log: its roles' secrets are there too."""
    return next((role.secret_arn for role in server.roles.values() if role.secret_arn), "")


def _drift(stack: Stack, database: str) -> tuple[str, ...]:
    server = stack.database(database)
    if not server.log_group:
        return ()
    return drift_notes(stack.aws, _neighbour(server), database, server.log_group)


def _try(role: DatabaseRole, folder: Path) -> _Trial:
    try:
        target = certificate_target(role, folder)
    except IdentityError as error:
        return _Trial(role=role.name, problem=str(error))
    try:
        session = log_in(keywords(target))
    except psycopg.Error as error:
        return _Trial(role=role.name, target=target, problem=one_line(error))
    return _Trial(role=role.name, target=target, session=session)


def _with_rules(
    stack: Stack, database: str, trials: Sequence[_Trial], deadline_seconds: float
) -> list[Login]:
    server = stack.database(database)
    sessions = [trial.session for trial in trials if trial.session]
    rules: Mapping[str, RuleUsed | str] = {}
    if server.log_group and sessions:
        rules = rules_used(stack.aws, _neighbour(server), server.log_group, sessions, deadline_seconds)
    logins = []
    for trial in trials:
        login = _login(database, trial)
        if trial.session:
            rule = rules.get(trial.session.session_id, "the connections document names no log group")
            login = login.model_copy(update={"rule_missing" if isinstance(rule, str) else "rule": rule})
        logins.append(login)
    return logins


def _login(database: str, trial: _Trial) -> Login:
    valid_until = trial.target.files.valid_until if trial.target else None
    session = trial.session
    if session is None:
        return Login(
            database=database,
            role=trial.role,
            succeeded=False,
            detail=trial.problem,
            certificate_not_after=valid_until,
        )
    return Login(
        database=database,
        role=trial.role,
        succeeded=True,
        server_version=session.server_version,
        tls_version=session.tls_version,
        cipher=session.cipher,
        certificate_not_after=valid_until,
        identity=session.system_user or session.client_dn,
        session_user=session.session_user,
    )


def _checks_of(server: Database, trial: _Trial, login: Login, *, require_rule: bool) -> list[Check]:
    def check(name: str, detail: str, *, passed: bool) -> Check:
        return Check(name=name, database=login.database, role=trial.role, passed=passed, detail=detail)

    session, target = trial.session, trial.target
    if session is None or target is None:
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
            passed=_is_seen(session, target),
        ),
    ]
    if login.rule:
        place = f"{login.rule.method} {login.rule.file}:{login.rule.line}"
        found.append(check("rule", place, passed=login.rule.method == "cert"))
    elif require_rule:
        found.append(check("rule", login.rule_missing or "not known", passed=False))
    return found


def _is_seen(session: Session, target: CertificateTarget) -> bool:
    """Whether the server saw this very certificate, and let the session in for it."""
    if session.client_serial != target.files.serial_number:
        return False
    if session.server_version < SYSTEM_USER_VERSION:
        # Only the log tells the method here, which is a check of its own.
        return True
    return (session.system_user or "").startswith("cert:")


def _refusals(database: str, minimum_protocol: MinimumProtocol, trials: Sequence[_Trial]) -> list[Check]:
    """Logins that the server must refuse, as each role whose login, the control, succeeded."""
    targets = [trial.target for trial in trials if trial.target and trial.session]
    if not targets:
        return [Check.no_control(database)]
    found = []
    for index, target in enumerate(targets):
        attempts = {
            "without-certificate-refused": [
                _attempt(target, "no certificate", {"sslcert": absent_file(target)})
            ],
            "without-tls-refused": [without_tls(target)],
            "superuser-refused": [
                _attempt(target, f"user {SUPERUSER}, database {name}", {"user": SUPERUSER, "dbname": name})
                for name in dict.fromkeys((target.dbname, MAINTENANCE_DATABASE))
            ],
        }
        others = [other for other in targets if other.user != target.user]
        if others:
            # The next role in the list, so that each certificate is tried as another role.
            other = others[index % len(others)]
            files = {"sslcert": str(other.files.certificate), "sslkey": str(other.files.key)}
            attempts["other-certificate-refused"] = [_attempt(target, f"certificate of {other.user}", files)]
        if minimum_protocol == "TLSv1.3":
            attempts["older-protocol-refused"] = [older_protocol(target)]
        found += [refused(name, database, target, tried) for name, tried in attempts.items()]
    return found


def _attempt(target: CertificateTarget, what: str, changes: Mapping[str, str]) -> Attempt:
    return Attempt(what=what, parameters=without_password(target) | dict(changes))
