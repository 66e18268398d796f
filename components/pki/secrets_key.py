"""The stack's own key for secrets that principals of other accounts read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import pulumi
from pulumi_aws import kms

from components import iam_documents
from components.account import Account
from settings import Settings
from settings.certificates import foreign_readers

_DELETION_DAYS = 30


@dataclass(frozen=True, kw_only=True)
class SecretsKeyArgs:
    """Arguments of `SecretsKey`.

    Attributes:
        stack: Name of the stack.
        account: Where the stack is deployed.
        foreign_readers: ARNs of the readers of other accounts.
        readers: ARNs of all readers of the secrets that it encrypts.
        administrators: ARNs of the roles and users that write these secrets.
        tags: Tags of the key.
    """

    stack: str
    account: Account
    foreign_readers: Sequence[str]
    readers: Sequence[str]
    administrators: Sequence[str]
    tags: dict[str, str] = field(default_factory=dict)


def key_readers(settings: Settings) -> list[str]:
    """Readers of all secrets that need the stack's own key, since another account's principal reads them."""
    if settings.certificates.secrets_key == "account":
        return []
    roles = settings.self_managed.roles.values() if settings.self_managed else ()
    gateway = settings.gateway
    issues = gateway is not None and gateway.client_authority.source == "generated"
    clients = gateway.clients.values() if gateway is not None and issues else ()
    secrets = [each.secret_readers for each in (*roles, *clients)]
    return [reader for each in secrets if foreign_readers(each, settings.certificates) for reader in each]


@final
@dataclass(frozen=True, kw_only=True)
class SecretsKeyResources:
    """Children of `SecretsKey`."""

    key: kms.Key


class SecretsKey(pulumi.ComponentResource):
    """`passwordless-postgres:index:SecretsKey`: a KMS key that its users use through Secrets Manager alone.

    The account's own key, `aws/secretsmanager`, decrypts for the account alone.

    Attributes:
        arn: ARN of the key.
        resources: The children.
    """

    arn: pulumi.Output[str]
    resources: SecretsKeyResources

    def __init__(self, name: str, args: SecretsKeyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the key."""
        super().__init__("passwordless-postgres:index:SecretsKey", name, {}, opts)
        self._foreign_readers = frozenset(args.foreign_readers)
        key = kms.Key(
            name,
            description=f"Secrets of stack {args.stack} that other accounts read",
            enable_key_rotation=True,
            deletion_window_in_days=_DELETION_DAYS,
            policy=pulumi.Output.all(
                partition=args.account.partition,
                region=args.account.region,
                account_id=args.account.account_id,
            ).apply(
                lambda values: iam_documents.secrets_key(
                    **values, readers=args.readers, administrators=args.administrators
                )
            ),
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.resources = SecretsKeyResources(key=key)
        self.arn = key.arn
        self.register_outputs({"arn": self.arn})

    def of(self, readers: Sequence[str]) -> pulumi.Output[str] | None:
        """ARN of the key for a secret with these readers; None where the account's own key does."""
        return self.arn if self._foreign_readers & set(readers) else None
