"""Logins that the server must refuse, each beside a control that it accepts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pgpasswordless.checks import Check
from pgpasswordless.connections import Protocol
from pgpasswordless.libpq import ServerTarget, Target, keywords
from pgpasswordless.sessions import refusal

SUPERUSER = "postgres"
MAINTENANCE_DATABASE = "postgres"

# Only these words are a refusal of the client. A full server, one that is starting, a missing
# database or a question for a password also end a login, and each of them would hide a way in.
REFUSALS = (
    "pg_hba.conf rejects connection",
    "no pg_hba.conf entry",
    "connection requires a valid client certificate",
    "certificate authentication failed for user",
)
PROTOCOL_REFUSALS = ("alert protocol version",)


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One login that must be refused.

    Attributes:
        what: the attempt in a few words, for the detail of the check.
        parameters: of libpq; may hold a token.
        expected: what the refusal must say, one of these.
    """

    what: str
    parameters: Mapping[str, str | int] = field(repr=False)
    expected: Sequence[str] = REFUSALS


def checks(database: str, targets: Sequence[Target], minimum_protocol: Protocol) -> list[Check]:
    """Try what must be refused, with the identities of `targets`, all of which could log in.

    Args:
        database: name in the connections document.
        targets: one for each role whose login succeeded, which is the control.
        minimum_protocol: oldest TLS version that the server is said to accept.
    """
    found = []
    for index, target in enumerate(targets):
        others = [other for other in targets if other.user != target.user]
        found.append(tried("without-certificate-refused", database, target, [_without_certificate(target)]))
        found.append(tried("without-tls-refused", database, target, [without_tls(target)]))
        found.append(tried("superuser-refused", database, target, _as_superuser(target)))
        if others:
            # The next role in the list, so that each certificate is tried as some other role.
            other = others[index % len(others)]
            found.append(tried("other-certificate-refused", database, target, [_as_other(target, other)]))
        if minimum_protocol == "TLSv1.3":
            found.append(tried("older-protocol-refused", database, target, [older_protocol(target)]))
    return found


def without_password(target: ServerTarget) -> dict[str, str | int]:
    """The parameters of `target` alone, whatever passwords this machine has."""
    # An empty password is not sent and hides PGPASSWORD, and there is no passfile: a password of
    # this machine must neither open a way nor be refused in place of what is tried.
    return {**keywords(target), "password": "", "passfile": _absent(target)}


def _absent(target: ServerTarget) -> str:
    """A path without a file: an empty value would mean libpq's default below ~/.postgresql."""
    return str(target.root_certificate.with_name("absent"))


def _without_certificate(target: Target) -> Attempt:
    return Attempt(what="no certificate", parameters=without_password(target) | {"sslcert": _absent(target)})


def without_tls(target: ServerTarget) -> Attempt:
    """A login in plain text."""
    return Attempt(what="sslmode=disable", parameters=without_password(target) | {"sslmode": "disable"})


def _as_superuser(target: Target) -> list[Attempt]:
    databases = dict.fromkeys((target.dbname, MAINTENANCE_DATABASE))
    return [
        Attempt(
            what=f"user {SUPERUSER}, database {name}",
            parameters=without_password(target) | {"user": SUPERUSER, "dbname": name},
        )
        for name in databases
    ]


def _as_other(target: Target, other: Target) -> Attempt:
    files = {"sslcert": str(other.files.certificate), "sslkey": str(other.files.key)}
    return Attempt(what=f"certificate of {other.user}", parameters=without_password(target) | files)


def older_protocol(target: ServerTarget) -> Attempt:
    """A login with TLS 1.2, for a server that demands 1.3."""
    versions = {"ssl_min_protocol_version": "TLSv1.2", "ssl_max_protocol_version": "TLSv1.2"}
    return Attempt(
        what="TLSv1.2 at most", parameters=without_password(target) | versions, expected=PROTOCOL_REFUSALS
    )


def tried(name: str, database: str, target: ServerTarget, attempts: Sequence[Attempt]) -> Check:
    """The check `name` that every one of `attempts` is refused for its own reason."""
    details = []
    passed = True
    for attempt in attempts:
        said = refusal(attempt.parameters)
        if said is None:
            passed = False
            details.append(f"{attempt.what}: the server let it in")
        elif any(words in said for words in attempt.expected):
            details.append(f"{attempt.what}: {_server_words(said)}")
        else:
            passed = False
            details.append(f"{attempt.what}: it failed, but not by a refusal of the client: {said}")
    return Check(name=name, database=database, role=target.user, passed=passed, detail="; ".join(details))


def _server_words(said: str) -> str:
    """The refusal without libpq's introduction (`connection to server at … failed:`) and its guess."""
    return said.rpartition(" failed: ")[2].partition(" This may indicate")[0]
