"""Authorities and revocation lists that the mock of the engine hands out: real ones, by name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

from tests.gateway.certificates import Authority, pem

_NOW = datetime.now(UTC).replace(microsecond=0)
_BY_PEM: dict[str, Authority] = {}


@cache
def authority_pem(name: str) -> str:
    """The certificate of the authority of that name, which is always the same in one process."""
    made = Authority.root(name, now=_NOW)
    _BY_PEM[pem(made.certificate)] = made
    return pem(made.certificate)


@cache
def revocation_list_pem(certificate_pem: str) -> str:
    """An empty list of the authority with that certificate."""
    return _BY_PEM[certificate_pem].revocation_list(begins=_NOW, ends=_NOW + timedelta(days=30))
