"""A login that the server must refuse, and the check that it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pgpasswordless.libpq import Target, keywords
from pgpasswordless.verify.result import Check
from pgpasswordless.verify.session import refusal

# Only these words mean that the server refused the client. A full server, one that is starting, a missing
# database or a prompt for a password also end a login, and each of them would hide a way in.
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
        expected: the refusal must contain one of these.
    """

    what: str
    parameters: Mapping[str, str | int] = field(repr=False)
    expected: Sequence[str] = REFUSALS


def refused(name: str, database: str, target: Target, attempts: Sequence[Attempt]) -> Check:
    """The check `name`: every one of `attempts` is refused, and for its own reason."""
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
            details.append(f"{attempt.what}: it failed, but the server did not refuse the client: {said}")
    return Check(name=name, database=database, role=target.user, passed=passed, detail="; ".join(details))


def without_password(target: Target) -> dict[str, str | int]:
    """The parameters of `target`, with which libpq uses none of this machine's passwords."""
    # An empty password is not sent and overrides PGPASSWORD, and the passfile does not exist: a password
    # of this machine must neither let a login in nor be what is refused.
    return {**keywords(target), "password": "", "passfile": absent_file(target)}


def absent_file(target: Target) -> str:
    """A path without a file: an empty value would mean libpq's default below ~/.postgresql."""
    return str(target.root_certificate.with_name("absent"))


def without_tls(target: Target) -> Attempt:
    """A login in plain text."""
    return Attempt(what="sslmode=disable", parameters=without_password(target) | {"sslmode": "disable"})


def older_protocol(target: Target, password: str = "") -> Attempt:
    """A login with TLS 1.2, for a server that demands 1.3; with `password` where the role needs one."""
    versions = {"ssl_min_protocol_version": "TLSv1.2", "ssl_max_protocol_version": "TLSv1.2"}
    return Attempt(
        what="TLSv1.2 at most",
        parameters=without_password(target) | versions | {"password": password},
        expected=PROTOCOL_REFUSALS,
    )


def _server_words(said: str) -> str:
    """The refusal without libpq's introduction (`connection to server at … failed:`) and its guess."""
    return said.rpartition(" failed: ")[2].partition(" This may indicate")[0]
