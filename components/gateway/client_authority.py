"""The authority whose clients a gateway accepts: one of this stack, or an external one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import final

import pulumi

import settings
from components.pki.certificates import CertificateAuthority, CertificateAuthorityArgs, Issuer
from components.pki.pem_bundle import certificate_bundle, certificates, revocation_list
from components.pki.revocation_list import RevocationList, RevocationListArgs
from settings.quotas import (
    TRUST_STORE_CERTIFICATE,
    TRUST_STORE_CERTIFICATES,
    TRUST_STORE_LIST,
    TRUST_STORE_REVOCATIONS,
    TRUST_STORE_SUBJECTS,
)


@dataclass(frozen=True, kw_only=True)
class ClientTrust:
    """Which clients' certificates a gateway accepts.

    Attributes:
        bundle_pem: Certificates of the authority, roots and intermediates.
        revocation_lists: PEM of each certificate revocation list, by a name that stays.
    """

    bundle_pem: pulumi.Input[str]
    revocation_lists: Mapping[str, pulumi.Input[str]]


def external_trust(bundle: str, revocation_lists: Mapping[str, str], quotas: settings.Quotas) -> ClientTrust:
    """What a gateway trusts of somebody else's authority, which its own code has found good.

    Args:
        bundle: Text of the PEM file with the authority's certificates.
        revocation_lists: Text of each PEM file with a revocation list, by a name that stays.
        quotas: What AWS has raised for the account.

    Raises:
        ValueError: The gateway would refuse them, or clients of an authority among them, or they exceed a
            quota of trust stores.
    """
    from gateway.verdict import trust_problems

    for name, text in revocation_lists.items():
        if excess := TRUST_STORE_LIST.excess(TRUST_STORE_LIST.size(text)):
            raise ValueError(f"{name} makes {excess}")
    pem = certificate_bundle(bundle)
    lists = {name: revocation_list(text) for name, text in revocation_lists.items()}
    problems = [f"makes {excess}" for excess in _excesses(pem, lists.values(), quotas)]
    if problems := problems or trust_problems(pem, lists.values(), datetime.now(UTC)):
        raise ValueError("; ".join(problems))
    return ClientTrust(bundle_pem=pem, revocation_lists=lists)


def _excesses(bundle: str, revocation_lists: Iterable[str], quotas: settings.Quotas) -> Iterator[str]:
    """What exceeds a quota of trust stores."""
    from cryptography import x509

    pems = certificates(bundle)
    sizes = (
        TRUST_STORE_CERTIFICATES.excess(len(pems), quotas),
        TRUST_STORE_CERTIFICATE.excess(max(TRUST_STORE_CERTIFICATE.size(pem) for pem in pems)),
        TRUST_STORE_SUBJECTS.excess(
            sum(len(each.subject.public_bytes()) for each in x509.load_pem_x509_certificates(bundle.encode()))
        ),
        TRUST_STORE_REVOCATIONS.excess(
            sum(len(x509.load_pem_x509_crl(text.encode())) for text in revocation_lists)
        ),
    )
    return (excess for excess in sizes if excess)


@dataclass(frozen=True, kw_only=True)
class ClientAuthorityArgs:
    """Arguments of `ClientAuthority`.

    Attributes:
        trust_domain: Part of the authority's subject.
        settings: `gateway.clientAuthority`.
        leaves: The section `certificates`: lifetime and renewal window of the clients' certificates.
    """

    trust_domain: str
    settings: settings.ClientAuthority
    leaves: settings.Certificates


@final
@dataclass(frozen=True, kw_only=True)
class ClientAuthorityResources:
    """Children of `ClientAuthority`."""

    authority: CertificateAuthority


class ClientAuthority(pulumi.ComponentResource):
    """`passwordless-postgres:index:ClientAuthority`: an authority that signs a gateway's clients.

    Makes a `CertificateAuthority` for clients. `ClientRevocation` makes its revocation lists, which name
    clients that it signed.

    Attributes:
        issuer: What signs the clients.
        resources: The children.
    """

    issuer: Issuer
    resources: ClientAuthorityResources

    def __init__(
        self, name: str, args: ClientAuthorityArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Make the authority."""
        super().__init__("passwordless-postgres:index:ClientAuthority", name, {}, opts)
        authority = CertificateAuthority(
            name,
            CertificateAuthorityArgs(
                purpose="client",
                trust_domain=args.trust_domain,
                generations=args.settings.generations,
                validity_days=args.settings.validity_days,
                leaves=args.leaves,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.issuer = authority.issuer
        self.resources = ClientAuthorityResources(authority=authority)
        self.register_outputs({"bundlePem": authority.bundle_pem})


@dataclass(frozen=True, kw_only=True)
class ClientRevocationArgs:
    """Arguments of `ClientRevocation`.

    Attributes:
        authority: What signed the clients.
        settings: `gateway.clientAuthority`.
        revoked: Serial numbers of revoked certificates, in hexadecimal. Each stands in the list of every
            generation, since the number alone does not say which one signed it.
        issued: PEM certificate of each client, by a text that identifies the client. A client that goes
            away is revoked.
    """

    authority: ClientAuthority
    settings: settings.ClientAuthority
    revoked: Sequence[str] = ()
    issued: Mapping[str, pulumi.Input[str]]


@final
@dataclass(frozen=True, kw_only=True)
class ClientRevocationResources:
    """Children of `ClientRevocation`, by the names of the generations."""

    lists: dict[str, RevocationList]


class ClientRevocation(pulumi.ComponentResource):
    """`passwordless-postgres:index:ClientRevocation`: the revocation lists of a gateway's client authority.

    Makes a `RevocationList` per generation, so that each generation's clients can be revoked for as long as
    it is trusted.

    Attributes:
        trust: What a gateway trusts: the authority, and the lists.
        resources: The children.
    """

    trust: ClientTrust
    resources: ClientRevocationResources

    def __init__(
        self, name: str, args: ClientRevocationArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Make the lists."""
        super().__init__("passwordless-postgres:index:ClientRevocation", name, {}, opts)
        authority = args.authority.resources.authority
        lists = {
            generation: RevocationList(
                f"{name}-{generation}-revoked",
                RevocationListArgs(
                    private_key_pem=key.private_key_pem,
                    certificate_pem=authority.resources.certificates[generation].cert_pem,
                    serials=args.revoked,
                    issued=args.issued,
                    validity_days=args.settings.crl_validity_days,
                    renew_before_days=args.settings.crl_renew_before_days,
                ),
                # They were children of the authority, and remember every certificate that was issued.
                opts=pulumi.ResourceOptions(parent=self, aliases=[pulumi.Alias(parent=args.authority)]),
            )
            for generation, key in authority.resources.keys.items()
        }
        self.trust = ClientTrust(
            bundle_pem=authority.bundle_pem,
            revocation_lists={generation: each.pem for generation, each in lists.items()},
        )
        self.resources = ClientRevocationResources(lists=lists)
        self.register_outputs({"generations": len(lists)})
