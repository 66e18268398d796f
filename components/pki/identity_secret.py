"""One secret per identity: the certificate and private key of one server or role."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import pulumi
from pulumi_aws import secretsmanager

from components import iam_documents
from runtime.identity_secret import IdentityDocument


@dataclass(frozen=True, kw_only=True)
class IdentitySecretArgs:
    """Arguments of `IdentitySecret`.

    Attributes:
        description: Whose identity it is.
        certificate_pem: The chain to present.
        private_key_pem: PKCS#8; made a secret here, whatever the caller passes.
        readers: ARNs of the roles and users that may read it.
        administrators: ARNs of the roles and users that may also manage it; whoever runs `pulumi up`
            must be among them, because the policy is put before the value.
        key_arn: ARN of the KMS key that encrypts it; None for the account's own.
        tags: Tags of the secret.

    Raises:
        ValueError: There is no administrator, so nobody could renew the secret or delete it.
    """

    description: str
    certificate_pem: pulumi.Input[str]
    private_key_pem: pulumi.Input[str] = field(repr=False)
    readers: Sequence[pulumi.Input[str]] = ()
    administrators: Sequence[str]
    key_arn: pulumi.Input[str] | None = None
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what can be checked before anything is registered."""
        if not self.administrators:
            raise ValueError(
                "administrators: empty; name at least the role or user that runs 'pulumi up' "
                "(certificates.administrators in the stack file), or nobody could renew the secret"
            )
        object.__setattr__(self, "private_key_pem", pulumi.Output.secret(self.private_key_pem))


@final
@dataclass(frozen=True, kw_only=True)
class IdentitySecretResources:
    """Children of `IdentitySecret`."""

    secret: secretsmanager.Secret
    policy: secretsmanager.SecretPolicy
    version: secretsmanager.SecretVersion


class IdentitySecret(pulumi.ComponentResource):
    """`passwordless-postgres:index:IdentitySecret`: an identity in Secrets Manager, for its readers only.

    Makes a `secretsmanager.Secret`, its `secretsmanager.SecretPolicy` and, when that stands, a
    `secretsmanager.SecretVersion` with the JSON `{"certificate": PEM, "privateKey": PKCS#8 PEM}`.

    Attributes:
        arn: ARN of the secret.
        version_id: Id of the version with this certificate and key.
        sha256: SHA-256 of that version's SecretString; not a secret, the key in it has 256 bits.
        resources: The children.
    """

    arn: pulumi.Output[str]
    version_id: pulumi.Output[str]
    sha256: pulumi.Output[str]
    resources: IdentitySecretResources

    def __init__(
        self, name: str, args: IdentitySecretArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Make the secret."""
        super().__init__("passwordless-postgres:index:IdentitySecret", name, {}, opts)
        secret = secretsmanager.Secret(
            name,
            description=args.description,
            kms_key_id=args.key_arn,
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        policy = secretsmanager.SecretPolicy(
            f"{name}-policy",
            secret_arn=secret.arn,
            policy=pulumi.Output.all(
                secret=secret.arn, readers=list(args.readers), administrators=list(args.administrators)
            ).apply(lambda values: iam_documents.identity_secret(**values)),
            block_public_policy=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        text = pulumi.Output.secret(
            pulumi.Output.all(certificate=args.certificate_pem, private_key=args.private_key_pem).apply(
                lambda values: IdentityDocument(**values).render()
            )
        )
        version = secretsmanager.SecretVersion(
            f"{name}-version",
            secret_id=secret.id,
            secret_string=text,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
        self.resources = IdentitySecretResources(secret=secret, policy=policy, version=version)
        self.arn = secret.arn
        self.version_id = version.version_id
        self.sha256 = pulumi.Output.unsecret(
            text.apply(lambda value: hashlib.sha256(value.encode()).hexdigest())
        )
        self.register_outputs({"arn": self.arn, "versionId": self.version_id, "sha256": self.sha256})
