"""What a load balancer in verify mode makes of a client's certificate, and documents that trust it."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from cryptography import x509

from gateway.document import AllowedIdentity, GatewayDocument
from gateway.header_names import header_names
from pgpasswordless.connections import CertificateBundle, Database, RoleConnection
from tests.gateway.certificates import Authority, pem

SUFFIX = "0123456789abcdef01234567"
OTHER_SUFFIX = "fedcba98765432100000ffff"
URI = "spiffe://example.test/reports"
ROLE = "reports"

Headers = list[tuple[bytes, bytes]]

# Each document is newer than the one before.
SERIALS = itertools.count(1)


def values(certificate: x509.Certificate) -> dict[str, str]:
    """The five values by the fields of `HeaderNames`."""
    digits = f"{certificate.serial_number:X}"
    moment = "%Y-%m-%dT%H:%M:%SZ"
    return {
        "leaf": quote(pem(certificate), safe="+=/"),
        "serial_number": digits if len(digits) % 2 == 0 else f"0{digits}",
        "issuer": certificate.issuer.rfc4514_string(),
        "subject": certificate.subject.rfc4514_string(),
        "validity": f"NotBefore={certificate.not_valid_before_utc.strftime(moment)};"
        f"NotAfter={certificate.not_valid_after_utc.strftime(moment)}",
    }


def forwarded(certificate: x509.Certificate, *, suffix: str = SUFFIX, **changes: str | None) -> Headers:
    """The headers of one request; `changes` replace a value, and None leaves the header out."""
    names = header_names(suffix)
    merged: Mapping[str, str | None] = {**values(certificate), **changes}
    return [
        (b"host", b"gateway.example.test"),
        *(
            (getattr(names, field).encode(), value.encode())
            for field, value in merged.items()
            if value is not None
        ),
    ]


def database(*roles: str, **changes: Any) -> Database:
    bundle = changes.pop("server_ca", "-----BEGIN CERTIFICATE-----\n")
    parameters: dict[str, Any] = {
        "host": "localhost",
        "port": 5432,
        "database": "app",
        "server_ca": CertificateBundle(pem=bundle, sha256=hashlib.sha256(bundle.encode()).hexdigest()),
        "minimum_protocol": "TLSv1.3",
        "authentication": "iam",
        "region": "eu-central-1",
        "roles": {
            role: RoleConnection(database="app", connect_arn=f"arn:aws:rds-db:::dbuser:db/{role}")
            for role in roles
        },
    }
    return Database(**{**parameters, **changes})


def document(
    *authorities: Authority | str,
    identities: Sequence[AllowedIdentity] = (AllowedIdentity(kind="uri", value=URI, role=ROLE),),
    **changes: Any,
) -> GatewayDocument:
    bundle = "".join(each if isinstance(each, str) else pem(each.certificate) for each in authorities)
    parameters: dict[str, Any] = {
        "serial": next(SERIALS),
        "database": database(*{identity.role for identity in identities}),
        "client_authorities": bundle,
        "header_suffixes": (SUFFIX,),
        "identities": tuple(identities),
    }
    return GatewayDocument(**{**parameters, **changes})
