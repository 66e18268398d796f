"""The identity of a role or client: the certificate and key of its secret, fetched and checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from botocore.exceptions import BotoCoreError, ClientError
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from pgpasswordless.aws import Aws, reason
from pgpasswordless.errors import IdentityError
from runtime.identity_secret import IdentityDocument
from runtime.pem_text import held


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A checked certificate chain (leaf first) and its private key, in the forms that drivers read.

    Attributes:
        certificate: PEM chain.
        key_pem: PKCS#8 PEM, not encrypted. Secret.
        key_der: PKCS#8 DER, not encrypted, for pgjdbc. Secret.
        not_after: end of the leaf's validity, UTC.
        serial_number: serial number of the leaf.
    """

    certificate: bytes
    key_pem: bytes = field(repr=False)
    key_der: bytes = field(repr=False)
    not_after: datetime
    serial_number: int


def fetch(aws: Aws, secret_arn: str, role: str, *, now: datetime | None = None) -> Identity:
    """Fetch and check an identity.

    Args:
        aws: access to the secret's account.
        secret_arn: secret with the JSON object `{"certificate": PEM, "privateKey": PEM}`.
        role: database role or client of the gateway, which the certificate must name as its CN.
        now: the moment at which the certificate must be valid; the current one when None.

    Raises:
        IdentityError: the secret cannot be read, or its content does not prove to be `role`.
    """
    try:
        text = aws.secrets(secret_arn).get_secret_value(SecretId=secret_arn).get("SecretString", "")
    except (BotoCoreError, ClientError) as error:
        raise IdentityError(
            f"cannot read the identity of {role!r}, secret {secret_arn}: {reason(error)}; its"
            " secretReaders in the stack's settings name who may"
        ) from None
    return check(text, role, where=f"secret {secret_arn}", now=now)


def check(text: str, role: str, *, where: str, now: datetime | None = None) -> Identity:
    """Check the text of an identity secret; `where` names the secret in messages. See `fetch`."""
    try:
        document = IdentityDocument.parse(text)
    except ValueError as error:
        raise _wrong(role, where, str(error)) from None
    try:
        chain = x509.load_pem_x509_certificates(document.certificate.encode())
    except ValueError:
        found = held(document.certificate)
        raise _wrong(
            role, where, f"certificate is not a PEM chain of X.509 certificates: it holds {found}"
        ) from None
    try:
        key = load_pem_private_key(document.private_key.encode(), password=None)
    # The parser's own text is not passed on: it could quote the key.
    except (ValueError, TypeError, UnsupportedAlgorithm):
        found = held(document.private_key)
        raise _wrong(
            role, where, f"privateKey is not an unencrypted PEM private key: it holds {found}"
        ) from None
    if "PRIVATE KEY" in document.certificate:
        found = held(document.certificate)
        raise _wrong(role, where, f"certificate must hold certificates alone: it holds {found}")
    leaf = chain[0]
    _check_order(chain, key, role, where)
    _check_leaf(leaf, role, where, now or datetime.now(UTC))
    return Identity(
        certificate=b"".join(certificate.public_bytes(Encoding.PEM) for certificate in chain),
        key_pem=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        key_der=key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        not_after=leaf.not_valid_after_utc,
        serial_number=leaf.serial_number,
    )


def _check_order(chain: list[x509.Certificate], key: PrivateKeyTypes, role: str, where: str) -> None:
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    owned = key.public_key().public_bytes(*form)
    place = next((n for n, each in enumerate(chain) if each.public_key().public_bytes(*form) == owned), None)
    if place is None:
        raise _wrong(role, where, "certificate and privateKey do not belong together")
    if place:
        raise _wrong(
            role,
            where,
            f"the certificate of privateKey is number {place + 1} of the chain; it must be the first,"
            " its authorities after it",
        )


def _check_leaf(leaf: x509.Certificate, role: str, where: str, now: datetime) -> None:
    names = [attribute.value for attribute in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [role]:
        found = ", ".join(repr(name) for name in names) or "none"
        raise _wrong(role, where, f"the certificate's CN must be this very name, and it is {found}")
    if now >= leaf.not_valid_after_utc:
        raise _wrong(role, where, f"the certificate expired at {leaf.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}")
    if now < leaf.not_valid_before_utc:
        start = f"{leaf.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}"
        raise _wrong(
            role, where, f"the certificate is not valid before {start}; is this machine's clock right?"
        )


def _wrong(role: str, where: str, what: str) -> IdentityError:
    return IdentityError(f"the identity of {role!r} in {where} is wrong: {what}; deploy the stack again")
