"""A certificate revocation list that is signed again before it ends, as a resource."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pulumi
from pulumi import dynamic

_ASKED = ("certificatePem", "serials", "issued", "validityDays", "renewBeforeDays")
_CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class RevocationListArgs:
    """Arguments of `RevocationList`.

    Attributes:
        private_key_pem: Key of the authority; made a secret here, whatever the caller passes, and kept
            nowhere else in the state.
        certificate_pem: Certificate of the authority.
        serials: Serial numbers of revoked certificates, in hexadecimal.
        issued: PEM certificate of each client by a text that identifies the client. Whoever goes away is
            revoked: every certificate that it ever had here is listed until its end.
        validity_days: How long the list is good for.
        renew_before_days: How long before its end `pulumi up` signs a new one.

    Raises:
        ValueError: The list would be renewed on every `up`, or a serial number is not valid.
    """

    private_key_pem: pulumi.Input[str] = field(repr=False)
    certificate_pem: pulumi.Input[str]
    serials: Sequence[str] = ()
    issued: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    validity_days: int
    renew_before_days: int

    def __post_init__(self) -> None:
        """Check what can be checked before anything is registered."""
        if not 0 < self.renew_before_days < self.validity_days:
            raise ValueError(
                f"renew_before_days: {self.renew_before_days}; must be from 1 to {self.validity_days - 1}, "
                f"less than validity_days ({self.validity_days})"
            )
        object.__setattr__(self, "serials", normalised_serials(self.serials))
        object.__setattr__(self, "private_key_pem", pulumi.Output.secret(self.private_key_pem))


class SigningError(ValueError):
    """A list cannot be signed; the text says why, without the key."""


@dataclass(frozen=True, kw_only=True)
class SignedList:
    """A signed list: its PEM, its number, and until when it is good, RFC 3339 in UTC."""

    pem: str
    number: int
    next_update: str


def normalised_serials(serials: Sequence[str]) -> tuple[str, ...]:
    """Serial numbers as lower-case hexadecimal digits without colons and leading zeros, sorted and unique.

    Raises:
        ValueError: One is not a positive hexadecimal number of at most 20 bytes (RFC 5280, 4.1.2.2).
    """
    found = set()
    for serial in serials:
        digits = serial.replace(":", "").lower()
        if not digits or not all(digit in "0123456789abcdef" for digit in digits):
            raise ValueError(f"serials: {serial!r} is not a hexadecimal number")
        number = int(digits, 16)
        if not 0 < number < 1 << 159:
            raise ValueError(f"serials: {serial!r}; must be positive and have 20 bytes at most")
        found.add(number)
    return tuple(f"{number:x}" for number in sorted(found))


def sign(
    *,
    private_key_pem: str,
    certificate_pem: str,
    serials: Sequence[str],
    validity_days: int,
    previous_number: int,
    revoked_since: Mapping[str, str],
    now: datetime,
) -> SignedList:
    """Sign a list with an authority's key.

    Args:
        private_key_pem: The authority's key.
        certificate_pem: The authority's certificate.
        serials: Serial numbers, as `normalised_serials` writes them.
        validity_days: How long it is good for.
        previous_number: Number of the list before it; 0 where there was none.
        revoked_since: When each serial number was first listed, RFC 3339.
        now: The time, in UTC.

    Raises:
        SigningError: Key or certificate cannot be read, or they do not belong together.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
        key = serialization.load_pem_private_key(private_key_pem.encode(), password=None)
    except (ValueError, TypeError):
        raise SigningError("the authority's certificate or key cannot be read") from None
    if not isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
        raise SigningError("the authority's key is neither ECDSA nor RSA")
    if key.public_key() != certificate.public_key():
        raise SigningError("the authority's key is not the one of its certificate")
    now = now.replace(microsecond=0)
    next_update = now + timedelta(days=validity_days)
    # A list that is made again, as after its resource was replaced, must not start at number 1.
    number = max(previous_number + 1, int(now.timestamp()))
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(certificate.subject)
        .last_update(now - _CLOCK_SKEW)
        .next_update(next_update)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            )
            if _has_key_identifier(certificate)
            else x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()),
            critical=False,
        )
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    for serial in serials:
        since = datetime.fromisoformat(revoked_since[serial])
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder()
            .serial_number(int(serial, 16))
            .revocation_date(min(since, now))
            .build()
        )
    signed = builder.sign(key, hashes.SHA256())
    return SignedList(
        pem=signed.public_bytes(serialization.Encoding.PEM).decode(),
        number=number,
        next_update=next_update.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


@dataclass(frozen=True, kw_only=True)
class Clients:
    """Certificates that were issued, as end of validity by serial number.

    Attributes:
        present: Those of each client that there is, by the text that identifies it.
        removed: Those of clients that have gone away.
    """

    present: Mapping[str, Mapping[str, str]]
    removed: Mapping[str, str]

    def followed_by(self, issued: Mapping[str, str], now: datetime) -> Clients:
        """What is known once clients have the PEM certificates `issued`; nothing that has ended.

        Raises:
            SigningError: A certificate cannot be read.
        """
        from cryptography import x509

        present = {client: dict(ends) for client, ends in self.present.items()}
        for client, pem in issued.items():
            try:
                certificate = x509.load_pem_x509_certificate(pem.encode())
            except ValueError:
                raise SigningError(f"the certificate of {client!r} cannot be read") from None
            ends = certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
            present.setdefault(client, {})[f"{certificate.serial_number:x}"] = ends
        gone = [present.pop(client) for client in sorted(present.keys() - issued.keys())]
        removed = {serial: end for ends in (self.removed, *gone) for serial, end in ends.items()}
        return Clients(
            present={client: _not_ended(ends, now) for client, ends in present.items()},
            removed=_not_ended(removed, now),
        )


def _not_ended(ends: Mapping[str, str], now: datetime) -> dict[str, str]:
    return {serial: end for serial, end in ends.items() if datetime.fromisoformat(end) > now - _CLOCK_SKEW}


def _has_key_identifier(certificate: Any) -> bool:
    from cryptography import x509

    return any(each.oid == x509.SubjectKeyIdentifier.oid for each in certificate.extensions)


def is_due(next_update: str, renew_before_days: int, now: datetime) -> bool:
    """Whether a list is in its renewal window, or past its end."""
    return now >= datetime.fromisoformat(next_update) - timedelta(days=renew_before_days)


class RevocationListProvider(dynamic.ResourceProvider):
    """Signs a list when the request changes or in its renewal window, and never otherwise.

    It remembers the certificates of clients, so that those of a client that is taken out of the stack file
    are revoked.

    It returns a `problem` instead of raising, because the SDK prints a traceback around what a dynamic
    provider raises; `RevocationList.pem` turns it into an error of the program. The key is an input
    only: no output repeats it.
    """

    serialize_as_secret_always = False

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> dynamic.DiffResult:
        """Sign again when the request changes, the list is due, or the last attempt had a problem."""
        changed = any(_olds.get(key) != _news.get(key) for key in _ASKED) or bool(_olds.get("problem"))
        if not changed:
            changed = is_due(_olds["nextUpdate"], int(_olds["renewBeforeDays"]), datetime.now(UTC))
        return dynamic.DiffResult(changes=changed)

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Sign the first list."""
        return dynamic.CreateResult("revocation-list", self._signed(props, {}))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> dynamic.UpdateResult:
        """Sign the next one."""
        return dynamic.UpdateResult(self._signed(_news, _olds))

    def _signed(self, props: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
        now = datetime.now(UTC)
        # A list of an earlier program knows of no clients.
        clients = Clients(present=old.get("clients") or {}, removed=old.get("removed") or {})
        since = old.get("revokedSince") or {}
        previous = int(old.get("number") or 0)
        asked = {key: props[key] for key in _ASKED}
        try:
            clients = clients.followed_by(props["issued"], now)
            serials = sorted({*props["serials"], *clients.removed})
            since = {serial: since.get(serial) or now.strftime("%Y-%m-%dT%H:%M:%SZ") for serial in serials}
            signed = sign(
                private_key_pem=props["privateKeyPem"],
                certificate_pem=props["certificatePem"],
                serials=serials,
                validity_days=int(props["validityDays"]),
                previous_number=previous,
                revoked_since=since,
                now=now,
            )
        except SigningError as error:
            return {**asked, **_kept(clients), "pem": "", "number": previous, "nextUpdate": "",
                    "revokedSince": since, "problem": str(error)}  # fmt: skip
        return {
            **asked,
            **_kept(clients),
            "pem": signed.pem,
            "number": signed.number,
            "nextUpdate": signed.next_update,
            "revokedSince": since,
            "problem": "",
        }


def _kept(clients: Clients) -> dict[str, Any]:
    """The outputs from which the next list knows who has gone away."""
    return {"clients": clients.present, "removed": clients.removed}


class RevocationList(dynamic.Resource, module="passwordless-postgres", name="RevocationList"):
    """The list of one generation of an authority.

    Between runs it is the same, byte for byte, until its renewal window opens or a serial number comes or
    goes; its number only grows. All outputs are public.
    """

    next_update: pulumi.Output[str]

    def __init__(
        self, name: str, args: RevocationListArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Sign the list, or keep the one there is."""
        super().__init__(
            RevocationListProvider(),
            name,
            {
                "privateKeyPem": args.private_key_pem,
                "certificatePem": args.certificate_pem,
                "serials": list(args.serials),
                "issued": dict(args.issued),
                "validityDays": args.validity_days,
                "renewBeforeDays": args.renew_before_days,
                "pem": None,
                "number": None,
                "nextUpdate": None,
                "revokedSince": None,
                "clients": None,
                "removed": None,
                "problem": None,
            },
            pulumi.ResourceOptions.merge(
                opts, pulumi.ResourceOptions(additional_secret_outputs=["privateKeyPem"])
            ),
        )
        self._name_for_messages = name

    @property
    def pem(self) -> pulumi.Output[str]:
        """The list; resolving it raises `pulumi.RunError` where it could not be signed."""
        name = self._name_for_messages
        return pulumi.Output.all(pem=pulumi.get(self, "pem"), problem=pulumi.get(self, "problem")).apply(
            lambda values: signed_list(name, **values)
        )


def signed_list(name: str, pem: str, problem: str | None) -> str:
    """`pem`, unless there was a problem.

    Raises:
        pulumi.RunError: The problem.
    """
    if problem:
        raise pulumi.RunError(f"revocation list {name}: {problem}")
    return pem
