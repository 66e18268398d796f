"""Certificate authorities and the leaves they sign, by pulumi-tls.

An authority has one purpose: it signs servers, or it signs the clients of one trust domain. It has
generations. All of them are trusted; exactly one issues. A new generation is deployed as `trusted`
first, so that everybody knows it before it signs anything, and the one it follows is `retiring`
until the last leaf it signed has been replaced. Generations are how an authority is renewed: no
authority is ever renewed in place, because clients would meet leaves of a certificate they do not
have.

pulumi-tls cannot emit a path length of 0, name constraints or CRL distribution points; nothing here
claims them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, final
from urllib.parse import quote

import pulumi
import pulumi_tls as tls

from components.names import fitted
from postgres.identifiers import role_uri_path
from settings import Certificates, Generation
from settings.quotas import COMMON_NAME

Purpose = Literal["server", "client"]

_HOURS_PER_DAY = 24
_LEAF_USES: dict[Purpose, list[str]] = {
    "server": ["digital_signature", "server_auth"],
    "client": ["digital_signature", "client_auth"],
}


@dataclass(frozen=True, kw_only=True)
class Issuer:
    """What signs leaves: the issuing generation of an authority, with the lifetimes of its leaves.

    Attributes:
        purpose: What its leaves are good for.
        trust_domain: The domain that its clients belong to.
        private_key_pem: Secret.
        certificate_pem: Certificate of the issuing generation.
        leaf_validity_days: How long a leaf is valid.
        renew_before_days: How long before its end a leaf is renewed by `pulumi up`.
    """

    purpose: Purpose
    trust_domain: str
    private_key_pem: pulumi.Output[str] = field(repr=False)
    certificate_pem: pulumi.Output[str]
    leaf_validity_days: int
    renew_before_days: int


@dataclass(frozen=True, kw_only=True)
class CertificateAuthorityArgs:
    """Arguments of `CertificateAuthority`.

    Attributes:
        purpose: `server` or `client`; never both.
        trust_domain: Which servers' clients it signs (PostgreSQL never looks at the issuer, so every
            trust domain has an authority of its own); for a server authority, the stack.
        generations: At least one, exactly one of them `issuing`.
        validity_days: Lifetime of a generation's certificate.
        leaves: The section `certificates`: lifetime and renewal window of the leaves. The window is
            shorter than the lifetime, because pulumi-tls replaces a certificate on every `up` otherwise.

    Raises:
        ValueError: A value does not fit; the message names it and what is allowed.
    """

    purpose: Purpose
    trust_domain: str
    generations: Sequence[Generation]
    validity_days: int
    leaves: Certificates

    def __post_init__(self) -> None:
        """Check what can be checked before anything is registered."""
        names = [generation.name for generation in self.generations]
        if len(set(names)) != len(names):
            raise ValueError(f"generations: names are {names}; each may occur once")
        issuing = [generation.name for generation in self.generations if generation.state == "issuing"]
        if len(issuing) != 1:
            raise ValueError(f"generations: issuing are {issuing}; exactly one generation must be 'issuing'")
        leaf, renew = self.leaves.leaf_validity_days, self.leaves.renew_before_days
        if renew >= leaf:
            raise ValueError(f"renew_before_days: {renew}; must be less than leaf_validity_days ({leaf})")
        if leaf >= self.validity_days:
            raise ValueError(
                f"leaf_validity_days: {leaf}; must be less than the authority's own validity_days "
                f"({self.validity_days})"
            )

    def common_name(self, generation: str) -> str:
        """Subject of a generation; every authority and generation has a different one."""
        rest = f" {self.purpose} CA {generation}"
        return fitted(self.trust_domain, COMMON_NAME.limit - len(rest)) + rest


@final
@dataclass(frozen=True, kw_only=True)
class CertificateAuthorityResources:
    """Children of `CertificateAuthority`, by the names of the generations."""

    keys: dict[str, tls.PrivateKey]
    certificates: dict[str, tls.SelfSignedCert]


class CertificateAuthority(pulumi.ComponentResource):
    """`passwordless-postgres:index:CertificateAuthority`: an ECDSA P-256 authority.

    Makes per generation a `tls.PrivateKey` and a self-signed `tls.SelfSignedCert`.

    Attributes:
        bundle_pem: Certificates of all generations, in the order of the arguments.
        issuer: What `LeafCertificate` takes to have a leaf signed.
        resources: The children.
    """

    bundle_pem: pulumi.Output[str]
    issuer: Issuer
    resources: CertificateAuthorityResources

    def __init__(
        self, name: str, args: CertificateAuthorityArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Make the authority."""
        super().__init__("passwordless-postgres:index:CertificateAuthority", name, {}, opts)
        keys: dict[str, tls.PrivateKey] = {}
        certificates: dict[str, tls.SelfSignedCert] = {}
        for generation in args.generations:
            child = f"{name}-{generation.name}"
            key = tls.PrivateKey(
                f"{child}-key",
                algorithm="ECDSA",
                ecdsa_curve="P256",
                opts=pulumi.ResourceOptions(parent=self),
            )
            keys[generation.name] = key
            certificates[generation.name] = tls.SelfSignedCert(
                f"{child}-certificate",
                private_key_pem=key.private_key_pem,
                subject=tls.SelfSignedCertSubjectArgs(common_name=args.common_name(generation.name)),
                is_ca_certificate=True,
                allowed_uses=["cert_signing", "crl_signing"],
                validity_period_hours=args.validity_days * _HOURS_PER_DAY,
                set_subject_key_id=True,
                set_authority_key_id=True,
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.resources = CertificateAuthorityResources(keys=keys, certificates=certificates)
        self.bundle_pem = pulumi.Output.all(*(each.cert_pem for each in certificates.values())).apply(bundle)
        issuing = next(each.name for each in args.generations if each.state == "issuing")
        self.issuer = Issuer(
            purpose=args.purpose,
            trust_domain=args.trust_domain,
            private_key_pem=keys[issuing].private_key_pem,
            certificate_pem=certificates[issuing].cert_pem,
            leaf_validity_days=args.leaves.leaf_validity_days,
            renew_before_days=args.leaves.renew_before_days,
        )
        self.register_outputs({"bundlePem": self.bundle_pem})


def bundle(certificates: Sequence[str]) -> str:
    """PEM certificates one after the other, each ending in one line feed."""
    return "".join(f"{certificate.strip()}\n" for certificate in certificates)


@dataclass(frozen=True, kw_only=True)
class AlternativeName:
    """A subject alternative name: a URI such as `spiffe://example.org/billing`, or a DNS name."""

    kind: Literal["uri", "dns"]
    value: str


def role_uri(issuer: Issuer, role: str) -> str:
    """The URI by which a certificate of this issuer names a role."""
    return f"spiffe://{quote(issuer.trust_domain, safe='')}{role_uri_path(role)}"


@dataclass(frozen=True, kw_only=True)
class LeafCertificateArgs:
    """Arguments of `LeafCertificate`.

    Attributes:
        issuer: The authority's `issuer`.
        common_name: A server's DNS name, the database role that the client logs in as, or a client's name.
        purpose: What the leaf is for; must be the issuer's purpose.
        alternative_name: A client's one alternative name; None for the URI of its trust domain and role.

    Raises:
        ValueError: The issuer signs for another purpose, the name does not fit X.509, or a server is given
            another name than its own.
    """

    issuer: Issuer
    common_name: str
    purpose: Purpose
    alternative_name: AlternativeName | None = None

    def __post_init__(self) -> None:
        """Check what can be checked before anything is registered."""
        if self.purpose != self.issuer.purpose:
            raise ValueError(
                f"issuer: its authority signs every {self.issuer.purpose}; a {self.purpose} certificate for "
                f"{self.common_name!r} must come from an authority with purpose {self.purpose!r}"
            )
        if not 0 < len(self.common_name) <= COMMON_NAME.limit:
            raise ValueError(
                f"common_name: {self.common_name!r} has {len(self.common_name)} characters; X.509 allows 1 "
                f"to {COMMON_NAME.limit}"
            )
        if self.purpose == "server" and self.alternative_name is not None:
            raise ValueError(
                f"alternative_name: {self.alternative_name.value!r} for the server {self.common_name!r}; a "
                "server has its own name alone: leave it out"
            )

    @property
    def uri(self) -> str:
        """Alternative name of a client: PostgreSQL takes the CN, everything else wants a SAN."""
        return role_uri(self.issuer, self.common_name)

    @property
    def san(self) -> AlternativeName:
        """The one alternative name."""
        if self.purpose == "server":
            return AlternativeName(kind="dns", value=self.common_name)
        return self.alternative_name or AlternativeName(kind="uri", value=self.uri)


@final
@dataclass(frozen=True, kw_only=True)
class LeafCertificateResources:
    """Children of `LeafCertificate`."""

    key: tls.PrivateKey
    request: tls.CertRequest
    certificate: tls.LocallySignedCert


class LeafCertificate(pulumi.ComponentResource):
    """`passwordless-postgres:index:LeafCertificate`: key and certificate of one server or client.

    Makes a `tls.PrivateKey` (ECDSA P-256), a `tls.CertRequest` and a `tls.LocallySignedCert`. A
    server's leaf is good for server authentication only and carries its name as DNS SAN; a client's
    leaf is good for client authentication only and carries its role as CN and in a URI SAN, or the
    alternative name that it was given.

    Attributes:
        certificate_pem: The chain to present. Authorities sign directly, so it is the leaf alone.
        private_key_pem: PKCS#8, the form that every driver takes; secret.
        not_after: End of validity, RFC 3339 in UTC.
        resources: The children.
    """

    certificate_pem: pulumi.Output[str]
    private_key_pem: pulumi.Output[str]
    not_after: pulumi.Output[str]
    resources: LeafCertificateResources

    def __init__(
        self, name: str, args: LeafCertificateArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Make key and certificate."""
        super().__init__("passwordless-postgres:index:LeafCertificate", name, {}, opts)
        key = tls.PrivateKey(
            f"{name}-key", algorithm="ECDSA", ecdsa_curve="P256", opts=pulumi.ResourceOptions(parent=self)
        )
        request = tls.CertRequest(
            f"{name}-request",
            private_key_pem=key.private_key_pem,
            subject=tls.CertRequestSubjectArgs(common_name=args.common_name),
            dns_names=[args.san.value] if args.san.kind == "dns" else None,
            uris=[args.san.value] if args.san.kind == "uri" else None,
            opts=pulumi.ResourceOptions(parent=self),
        )
        certificate = tls.LocallySignedCert(
            f"{name}-certificate",
            cert_request_pem=request.cert_request_pem,
            ca_private_key_pem=args.issuer.private_key_pem,
            ca_cert_pem=args.issuer.certificate_pem,
            allowed_uses=_LEAF_USES[args.purpose],
            validity_period_hours=args.issuer.leaf_validity_days * _HOURS_PER_DAY,
            early_renewal_hours=args.issuer.renew_before_days * _HOURS_PER_DAY,
            set_subject_key_id=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.resources = LeafCertificateResources(key=key, request=request, certificate=certificate)
        self.certificate_pem = certificate.cert_pem
        self.private_key_pem = key.private_key_pem_pkcs8
        self.not_after = certificate.validity_end_time.apply(utc)
        self.register_outputs({"certificatePem": self.certificate_pem, "notAfter": self.not_after})


def utc(moment: str) -> str:
    """An RFC 3339 time in any offset, as pulumi-tls writes it, in UTC with a final `Z`."""
    return datetime.fromisoformat(moment).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
