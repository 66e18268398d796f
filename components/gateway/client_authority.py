"""The authority whose clients a gateway lets in: one of our own, or somebody else's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import pulumi

from components.pki.certificates import CertificateAuthority, CertificateAuthorityArgs, Generation
from components.pki.revocation_list import RevocationList, RevocationListArgs


@dataclass(frozen=True, kw_only=True)
class ClientTrust:
    """Which clients' certificates are good.

    Attributes:
        bundle_pem: Certificates of the authority, roots and intermediates.
        revocation_lists: PEM of each certificate revocation list, by a name that stays.
    """

    bundle_pem: pulumi.Input[str]
    revocation_lists: Mapping[str, pulumi.Input[str]]


@dataclass(frozen=True, kw_only=True)
class ClientAuthorityArgs:
    """Arguments of `ClientAuthority`.

    Attributes:
        trust_domain: Part of the authority's subject.
        generations: At least one, exactly one of them `issuing`.
        validity_days: Lifetime of a generation's certificate.
        leaf_validity_days: Lifetime of the clients' certificates.
        renew_before_days: Renewal window of the clients' certificates.
        revoked: Serial numbers of revoked certificates, in hexadecimal. Each stands in the list of every
            generation, since the number alone does not say which one signed it.
        list_validity_days: How long a revocation list is good for.
        list_renew_before_days: How long before its end a list is signed anew by `pulumi up`.
    """

    trust_domain: str
    generations: Sequence[Generation] = (Generation(name="1", state="issuing"),)
    validity_days: int = 1826
    leaf_validity_days: int = 90
    renew_before_days: int = 30
    revoked: Sequence[str] = ()
    list_validity_days: int = 30
    list_renew_before_days: int = 14


@final
@dataclass(frozen=True, kw_only=True)
class ClientAuthorityResources:
    """Children of `ClientAuthority`; `revocation_lists` by the names of the generations."""

    authority: CertificateAuthority
    revocation_lists: dict[str, RevocationList]


class ClientAuthority(pulumi.ComponentResource):
    """`passwordless-postgres:index:ClientAuthority`: an authority that also revokes.

    Makes a `CertificateAuthority` for clients and a `RevocationList` per generation, so that each
    generation's clients can be revoked for as long as it is trusted.

    Attributes:
        trust: What a gateway trusts.
        resources: The children.
    """

    trust: ClientTrust
    resources: ClientAuthorityResources

    def __init__(
        self, name: str, args: ClientAuthorityArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Make authority and lists."""
        super().__init__("passwordless-postgres:index:ClientAuthority", name, {}, opts)
        authority = CertificateAuthority(
            name,
            CertificateAuthorityArgs(
                purpose="client",
                trust_domain=args.trust_domain,
                generations=args.generations,
                validity_days=args.validity_days,
                leaf_validity_days=args.leaf_validity_days,
                renew_before_days=args.renew_before_days,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        lists = {
            generation: RevocationList(
                f"{name}-{generation}-revoked",
                RevocationListArgs(
                    private_key_pem=key.private_key_pem,
                    certificate_pem=authority.resources.certificates[generation].cert_pem,
                    serials=args.revoked,
                    validity_days=args.list_validity_days,
                    renew_before_days=args.list_renew_before_days,
                ),
                opts=pulumi.ResourceOptions(parent=self),
            )
            for generation, key in authority.resources.keys.items()
        }
        self.resources = ClientAuthorityResources(authority=authority, revocation_lists=lists)
        self.trust = ClientTrust(
            bundle_pem=authority.bundle_pem,
            revocation_lists={generation: each.pem for generation, each in lists.items()},
        )
        self.register_outputs({"bundlePem": authority.bundle_pem})
