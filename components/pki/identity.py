"""One identity: a certificate, and the secret that its owner reads it from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import pulumi

from components.pki.certificates import (
    AlternativeName,
    Issuer,
    LeafCertificate,
    LeafCertificateArgs,
    Purpose,
)
from components.pki.identity_secret import IdentitySecret, IdentitySecretArgs


@dataclass(frozen=True, kw_only=True)
class IdentityArgs:
    """Arguments of `Identity`.

    Attributes:
        issuer: The authority's `issuer`.
        purpose: `server` or `client`; must be the issuer's purpose.
        common_name: A server's DNS name, the database role that the client logs in as, or a client's name.
        alternative_name: A client's one alternative name; None for the URI of its trust domain and role.
        revision: A new number is a new key and certificate in the same secret, as after a revocation.
        description: Whose identity it is, for the secret.
        readers: ARNs of the roles and users that may read the secret.
        administrators: ARNs of the roles and users that may also manage it.
        key_arn: ARN of the KMS key that encrypts the secret; None for the account's own.
        tags: Tags of every child.
    """

    issuer: Issuer
    purpose: Purpose
    common_name: str
    alternative_name: AlternativeName | None = None
    revision: int = 1
    description: str
    readers: Sequence[pulumi.Input[str]]
    administrators: Sequence[str]
    key_arn: pulumi.Input[str] | None = None
    tags: dict[str, str] = field(default_factory=dict)


@final
@dataclass(frozen=True, kw_only=True)
class IdentityResources:
    """Children of `Identity`."""

    certificate: LeafCertificate
    secret: IdentitySecret


class Identity(pulumi.ComponentResource):
    """`passwordless-postgres:index:Identity`: certificate and key of a server or role, in a secret.

    Makes a `LeafCertificate` and an `IdentitySecret` that holds it.

    Attributes:
        not_after: End of the certificate's validity, RFC 3339 in UTC.
        secret_arn: ARN of the secret.
        secret_version: Id of the version with this certificate and key.
        secret_sha256: SHA-256 of that version's SecretString.
        resources: The children.
    """

    not_after: pulumi.Output[str]
    secret_arn: pulumi.Output[str]
    secret_version: pulumi.Output[str]
    secret_sha256: pulumi.Output[str]
    resources: IdentityResources

    def __init__(self, name: str, args: IdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make certificate and secret."""
        super().__init__("passwordless-postgres:index:Identity", name, {}, opts)
        certificate = LeafCertificate(
            name if args.revision == 1 else f"{name}-{args.revision}",
            LeafCertificateArgs(
                issuer=args.issuer,
                purpose=args.purpose,
                common_name=args.common_name,
                alternative_name=args.alternative_name,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        secret = IdentitySecret(
            name,
            IdentitySecretArgs(
                description=args.description,
                certificate_pem=certificate.certificate_pem,
                private_key_pem=certificate.private_key_pem,
                readers=args.readers,
                administrators=args.administrators,
                key_arn=args.key_arn,
                tags=args.tags,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.resources = IdentityResources(certificate=certificate, secret=secret)
        self.not_after = certificate.not_after
        self.secret_arn = secret.arn
        self.secret_version = secret.version_id
        self.secret_sha256 = secret.sha256
        self.register_outputs({"secretArn": self.secret_arn, "notAfter": self.not_after})
