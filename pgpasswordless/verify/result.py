"""What `verify` finds."""

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
        role: the role or client whose identity was used; None for a check of the database itself.
        passed: whether it holds.
        detail: what was seen, or the server's own words.
    """

    name: str
    database: str
    role: str | None = None
    passed: bool
    detail: str

    @classmethod
    def no_control(cls, database: str) -> Check:
        """The failed check in place of all refusals where no login succeeded."""
        detail = "no role could log in, so a refusal would prove nothing"
        return cls(name="refusals", database=database, passed=False, detail=detail)


class RuleUsed(Document):
    """The pg_hba.conf rule that let a session in, as the server's log names it.

    Attributes:
        method: authentication method of the rule.
        file: path of pg_hba.conf on the server.
        line: line number of the rule in that file.
        identity: what the method authenticated, such as `CN=app_user`.
    """

    method: str
    file: str
    line: int
    identity: str


class Login(Document):
    """The login of one role.

    Attributes:
        database: name in the connections document.
        role: the role, or the client of the gateway.
        authentication: how the role logs in; a login by token has no certificate, expiry or rule.
        succeeded: whether the server let it in.
        detail: the server's or the client's words where it did not.
        server_version: such as 180006.
        tls_version: such as `TLSv1.3`, from pg_stat_ssl; from a handshake with the same server where
            something in front of it terminates TLS, so that the server knows of none.
        cipher: the cipher suite, from the same source.
        certificate_not_after: RFC 3339 UTC.
        identity: who the server takes the session for: `system_user` from PostgreSQL 16 on, before
            that the subject in pg_stat_ssl; `iam:` and the role where RDS does not say.
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
    """What was found at one database, or at the gateway."""

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
