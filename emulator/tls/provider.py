"""Stand-in for pulumi-tls: keys, requests and certificates, with its defaults, refusals and renewal.

Measured with the provider of SDK 5.6.2. What that does not emit is not emitted here, and what it checks
late is checked late here.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from emulator.core.properties import UNKNOWN
from emulator.core.provider import Provider
from emulator.core.request import Request
from emulator.core.resource_type import Diff, Failure, Properties, ResourceType, State
from emulator.tls.certificates import (
    ALLOWED_USES,
    CertificateInputs,
    create_request,
    issued,
    parse_authority,
    self_signed,
)
from emulator.tls.keys import (
    ALGORITHMS,
    CURVES,
    algorithm_of,
    generate_private_key,
    openssh_forms,
    parse_private_key,
    private_pem,
    private_pem_pkcs8,
    public_pem,
)

_PUBLIC_FORMS = (
    "publicKeyPem", "publicKeyOpenssh", "publicKeyFingerprintMd5", "publicKeyFingerprintSha256",
)  # fmt: skip
Clock = Callable[[], datetime]
_in_utc: Clock = partial(datetime.now, UTC)


class TlsProvider(Provider):
    """All resource types of pulumi-tls.

    Args:
        clock: Source of the time for validity and renewal.
    """

    def __init__(self, clock: Clock = _in_utc) -> None:
        super().__init__(
            "tls",
            [PrivateKeyType(), CertRequestType(), SelfSignedCertType(clock), LocallySignedCertType(clock)],
        )


class PrivateKeyType(ResourceType):
    """`tls.PrivateKey`: every change makes a new key."""

    token = "tls:index/privateKey:PrivateKey"
    replace_on = ("algorithm", "ecdsaCurve", "rsaBits")
    secret_outputs = frozenset({"privateKeyPem", "privateKeyPemPkcs8", "privateKeyOpenssh"})

    def check(self, request: Request) -> tuple[Properties, Sequence[Failure]]:
        return request.inputs, [
            *_one_of("algorithm", request.inputs.get("algorithm"), ALGORITHMS),
            *_one_of("ecdsaCurve", request.inputs.get("ecdsaCurve", "P224"), tuple(CURVES)),
        ]

    def create(self, request: Request) -> tuple[str, Properties]:
        given = {
            "algorithm": request.inputs["algorithm"],
            "ecdsaCurve": request.inputs.get("ecdsaCurve", "P224"),
            "rsaBits": request.inputs.get("rsaBits", 2048),
        }
        if request.preview:
            return "", {**given, **dict.fromkeys((*_PUBLIC_FORMS, *self.secret_outputs), UNKNOWN)}
        key = generate_private_key(given["algorithm"], curve=given["ecdsaCurve"], bits=given["rsaBits"])
        public = public_pem(key)
        return _identifier(public), {
            **given,
            "privateKeyPem": private_pem(key),
            "privateKeyPemPkcs8": private_pem_pkcs8(key),
            "publicKeyPem": public,
            **openssh_forms(key),
        }


class _SignedByKey(ResourceType):
    """What is signed with a key that is given either plainly or write-only with a version."""

    key_property = "privateKeyPem"

    def check(self, request: Request) -> tuple[Properties, Sequence[Failure]]:
        """Exactly one of the two forms of the key, and a version with the write-only one."""
        name, write_only, version = self.key_property, self._write_only, f"{self._write_only}Version"
        wrong: dict[str, str] = {}
        if (name in request.inputs) == (write_only in request.inputs):
            wrong[name] = f"exactly one of {name} and {write_only} must be set"
        if write_only in request.inputs and version not in request.inputs:
            wrong[version] = f"{write_only} requires {version}"
        return request.inputs, [
            Failure(name, f"Invalid Attribute Combination: {reason}") for name, reason in wrong.items()
        ]

    def diff(self, request: Request) -> Diff:
        """As by default, but a changed write-only key does not count: only its version does."""
        difference = super().diff(request)
        if self._write_only in request.old_inputs and self._write_only in request.inputs:
            changes = [name for name in difference.changes if name != self._write_only]
            return replace(difference, changes=changes)
        return difference

    @property
    def _write_only(self) -> str:
        return f"{self.key_property}Wo"

    def _key_text(self, inputs: Properties) -> str:
        return inputs.get(self.key_property) or inputs[self._write_only]

    def _outputs(self, inputs: Properties) -> dict[str, Any]:
        return {name: value for name, value in inputs.items() if name != self._write_only}


class CertRequestType(_SignedByKey):
    """`tls.CertRequest`: every change makes a new request."""

    token = "tls:index/certRequest:CertRequest"
    replace_on = ("dnsNames", "ipAddresses", "uris", "subject", "privateKeyPem", "privateKeyPemWoVersion")
    secret_outputs = frozenset({"privateKeyPem"})

    def create(self, request: Request) -> tuple[str, Properties]:
        if request.preview:
            return "", {**self._outputs(request.inputs), "certRequestPem": UNKNOWN, "keyAlgorithm": UNKNOWN}
        key = parse_private_key(self._key_text(request.inputs))
        pem = create_request(CertificateInputs.declared(request.inputs), key)
        return _identifier(pem), {
            **self._outputs(request.inputs),
            "certRequestPem": pem,
            "keyAlgorithm": algorithm_of(key),
        }


class _CertificateType(_SignedByKey):
    """Validity, uses and renewal, which both kinds of certificates share."""

    algorithm_property = "keyAlgorithm"
    defaults: Mapping[str, Any] = {"earlyRenewalHours": 0, "isCaCertificate": False, "setSubjectKeyId": False}

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    @abstractmethod
    def sign(self, inputs: Properties, now: datetime) -> tuple[x509.Certificate, str]:
        """The certificate and the algorithm of the key that signed it."""

    def check(self, request: Request) -> tuple[Properties, Sequence[Failure]]:
        """Uses must be known ones and numbers in range; the rest shows at creation."""
        checked, failures = super().check(request)
        uses = request.inputs.get("allowedUses")
        unknown = [
            failure
            for index, use in enumerate(uses if isinstance(uses, list) else [])
            for failure in _one_of(f"allowedUses[{index}]", use, ALLOWED_USES)
        ]
        least = {"validityPeriodHours": 0, "earlyRenewalHours": 0, "maxPathLength": -1}
        small = [
            Failure(name, f"Invalid Attribute Value: must be at least {minimum}, got: {request.inputs[name]}")
            for name, minimum in least.items()
            if isinstance(request.inputs.get(name), int) and request.inputs[name] < minimum
        ]
        return checked, [*failures, *unknown, *small]

    def diff(self, request: Request) -> Diff:
        """Replaces inside the window of early renewal too, without a refresh."""
        difference = super().diff(request)
        early = request.inputs.get("earlyRenewalHours", 0)
        if early is UNKNOWN or not self._ready(request.outputs, early):
            return difference
        changes, replaces = (
            sorted({*names, "readyForRenewal"}) for names in (difference.changes, difference.replaces)
        )
        return Diff(changes=changes, replaces=replaces)

    def create(self, request: Request) -> tuple[str, Properties]:
        """Signs; id is the serial number in decimal."""
        outputs = {**self.defaults, **self._outputs(request.inputs), "readyForRenewal": False}
        if request.preview:
            computed = ("certPem", "validityStartTime", "validityEndTime", self.algorithm_property)
            return "", {**outputs, **dict.fromkeys(computed, UNKNOWN)}
        certificate, algorithm = self.sign(request.inputs, self._clock())
        return str(certificate.serial_number), {
            **outputs,
            "certPem": certificate.public_bytes(Encoding.PEM).decode(),
            "validityStartTime": _rfc3339(certificate.not_valid_before_utc),
            "validityEndTime": _rfc3339(certificate.not_valid_after_utc),
            self.algorithm_property: algorithm,
        }

    def update(self, request: Request) -> Properties:
        """Takes the new settings over; the certificate stays."""
        return {**request.outputs, **self.defaults, **self._outputs(request.inputs)}

    def read(self, request: Request) -> State | None:
        """State, with `readyForRenewal` set inside the window."""
        outputs = dict(request.outputs)
        if self._ready(outputs, outputs.get("earlyRenewalHours", 0)):
            outputs["readyForRenewal"] = True
        return State(id=request.id, inputs=request.inputs, outputs={"readyForRenewal": False, **outputs})

    def _ready(self, outputs: Properties, early_renewal_hours: int) -> bool:
        end = outputs.get("validityEndTime")
        if not isinstance(end, str):
            return False
        return self._clock() >= datetime.fromisoformat(end) - timedelta(hours=early_renewal_hours)


class SelfSignedCertType(_CertificateType):
    """`tls.SelfSignedCert`."""

    token = "tls:index/selfSignedCert:SelfSignedCert"
    replace_on = (
        "allowedUses", "dnsNames", "ipAddresses", "uris", "isCaCertificate", "privateKeyPem",
        "privateKeyPemWoVersion", "setAuthorityKeyId", "setSubjectKeyId", "subject",
        "maxPathLength", "validityPeriodHours",
    )  # fmt: skip
    secret_outputs = frozenset({"privateKeyPem"})
    defaults: Mapping[str, Any] = {**_CertificateType.defaults, "setAuthorityKeyId": False}

    def sign(self, inputs: Properties, now: datetime) -> tuple[x509.Certificate, str]:
        key = parse_private_key(self._key_text(inputs))
        return self_signed(CertificateInputs.declared(inputs), key, now), algorithm_of(key)


class LocallySignedCertType(_CertificateType):
    """`tls.LocallySignedCert`: subject and names come from the request."""

    token = "tls:index/locallySignedCert:LocallySignedCert"
    key_property = "caPrivateKeyPem"
    algorithm_property = "caKeyAlgorithm"
    replace_on = (
        "allowedUses", "caCertPem", "caPrivateKeyPem", "caPrivateKeyPemWoVersion", "certRequestPem",
        "isCaCertificate", "maxPathLength", "setSubjectKeyId", "validityPeriodHours",
    )  # fmt: skip
    secret_outputs = frozenset({"caPrivateKeyPem"})

    def sign(self, inputs: Properties, now: datetime) -> tuple[x509.Certificate, str]:
        key = parse_private_key(self._key_text(inputs), whose="CA private key")
        wanted, authority = CertificateInputs.declared(inputs), parse_authority(inputs["caCertPem"])
        return issued(wanted, inputs["certRequestPem"], authority, key, now), algorithm_of(key)


def _one_of(name: str, value: Any, allowed: Sequence[str]) -> list[Failure]:
    if value is UNKNOWN or value in allowed:
        return []
    return [
        Failure(name, f"Invalid Attribute Value Match: must be one of: {', '.join(allowed)}; got: {value!r}")
    ]


def _identifier(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
