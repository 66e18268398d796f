"""What `verify` finds, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from documents.document import Document
from pgpasswordless.connections import Authentication


class Check(Document):
    """One thing that must hold.

    Attributes:
        name: what was checked, such as `login` or `without-tls-refused`.
        database: name in the connections document.
        role: whose identity was used; None for a check of the database itself.
        passed: whether it holds.
        detail: what was seen, or the server's own words.
    """

    name: str
    database: str
    role: str | None = None
    passed: bool
    detail: str


class RuleUsed(Document):
    """The pg_hba.conf rule that let a session in, as the server's log names it.

    Attributes:
        method: authentication method of the rule.
        file: path of pg_hba.conf on the server.
        line: of the rule in that file.
        identity: what the method authenticated, such as `CN=app_user`.
    """

    method: str
    file: str
    line: int
    identity: str


class Login(Document):
    """What one role met when it logged in.

    Attributes:
        succeeded: whether the server let it in.
        detail: the server's or the client's words when it did not.
        server_version: such as 180006.
        authentication: how the role logs in; without a certificate there is no expiry and no rule of one.
        tls_version: such as `TLSv1.3`, from pg_stat_ssl; from a handshake with the same server where TLS ends
            before the server, which then knows of none.
        cipher: from the same.
        certificate_not_after: RFC 3339 UTC.
        identity: who the server takes the session for: `system_user` from PostgreSQL 16 on, before
            that the subject in pg_stat_ssl. `iam:` and the role where a token's user is not told.
        session_user: the role of the session.
        rule: the pg_hba.conf rule that was used, where the server's log could be read.
        rule_missing: why there is no `rule`.
    """

    database: str
    role: str
    authentication: Authentication = "certificate"
    succeeded: bool
    detail: str = ""
    server_version: int | None = None
    tls_version: str | None = None
    cipher: str | None = None
    certificate_not_after: str | None = None
    identity: str | None = None
    session_user: str | None = None
    rule: RuleUsed | None = None
    rule_missing: str | None = None


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What was found out about one database, or about the gateway."""

    logins: tuple[Login, ...]
    checks: tuple[Check, ...]
    notes: tuple[str, ...]


class Verification(Document):
    """The answer of `verify`; `passed` when every check passed, and there was at least one."""

    schema_version: Literal[1] = 1
    stack: str
    passed: bool
    logins: tuple[Login, ...]
    checks: tuple[Check, ...]
    notes: tuple[str, ...]
