"""Logins to RDS that must be refused, each beside a control: the same role's login by its own token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from pgpasswordless.checks import Check
from pgpasswordless.connections import Protocol
from pgpasswordless.libpq import TokenTarget
from pgpasswordless.past_tokens import token_of
from pgpasswordless.refusals import Attempt, older_protocol, tried, without_password, without_tls
from pgpasswordless.tokens import LIFE_SECONDS, TokenSource

# RDS asks PAM, which says no more to the client; the reason is in the log iam-db-auth-error.
TOKEN_REFUSALS = ("PAM authentication failed for user",)
UNTRUSTED = ("certificate verify failed",)
# Longer ago than a token lives, and than clocks may differ.
LONG_AGO = timedelta(seconds=4 * LIFE_SECONDS)


@dataclass(frozen=True, kw_only=True)
class LoggedIn:
    """A role whose login succeeded: how, and what gives its tokens."""

    target: TokenTarget
    source: TokenSource


def checks(database: str, roles: Sequence[LoggedIn], minimum_protocol: Protocol, folder: Path) -> list[Check]:
    """Try what must be refused to `roles`, all of which could log in.

    Args:
        database: name in the connections document.
        roles: those whose login succeeded, which is the control.
        minimum_protocol: oldest TLS version that the server is said to accept.
        folder: private, for a bundle that does not hold the server's authority.

    Raises:
        TokenError: a token that could be had for the login can be had no more.
    """
    foreign = _foreign_bundle(folder)
    found = []
    for index, role in enumerate(roles):
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
        others = [other for other in roles if other.target.user != target.user]
        if others:
            # The next role in the list, so that each token is tried as some other role.
            other = others[index % len(others)]
            attempts["other-token-refused"] = _with(target, f"token of {other.target.user}", other.source())
        if minimum_protocol == "TLSv1.3":
            # With the token: it must be the protocol that is refused, and not the password.
            older = older_protocol(target)
            attempts["older-protocol-refused"] = Attempt(
                what=older.what,
                parameters={**older.parameters, "password": token},
                expected=older.expected,
            )
        found += [tried(name, database, target, [attempt]) for name, attempt in attempts.items()]
    return found


def _with(target: TokenTarget, what: str, password: str) -> Attempt:
    parameters = without_password(target) | {"password": password}
    return Attempt(what=what, parameters=parameters, expected=TOKEN_REFUSALS)


def _tampered(token: str) -> str:
    """`token` with the last digit of its signature changed."""
    return token[:-1] + ("0" if token[-1] != "0" else "1")


def _foreign_bundle(folder: Path) -> Path:
    """A file with an authority that has signed nothing; its key is gone when this returns."""
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
