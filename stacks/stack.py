"""The stack that is deployed: its settings, and what its topologies share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pulumi

import settings
from components import account, connections, network
from components.pki import certificates


@dataclass(frozen=True, kw_only=True)
class Stack:
    """One stack.

    Attributes:
        name: Its name.
        settings: Its settings.
    """

    name: str
    settings: settings.Settings

    @classmethod
    def selected(cls) -> Stack:
        """The stack that the engine has selected.

        Raises:
            pulumi.RunError: Its settings are wrong; the text lists everything, and no traceback follows.
        """
        return cls(name=pulumi.get_stack(), settings=_load())

    @property
    def tags(self) -> dict[str, str]:
        """Tags of every resource."""
        return dict(self.settings.tags)

    @property
    def administrators(self) -> tuple[str, ...]:
        """Who may write what a deployment writes."""
        return self.settings.certificates.administrators

    @property
    def region(self) -> str | None:
        """The region that the stack file names; None where the environment does."""
        return pulumi.Config("aws").get("region")

    @cached_property
    def account(self) -> account.Account:
        """Where it is deployed."""
        return account.deploying_account()

    @cached_property
    def network(self) -> network.Network:
        """The one network of all its servers."""
        chosen = self.settings.network
        if chosen is None or (chosen.create is None and chosen.existing is None):
            raise ValueError("settings: no network beside a server; settings.load refuses that")
        if chosen.create is not None:
            source = network.NewNetwork(
                cidr=chosen.create.cidr,
                zones=chosen.create.zones,
                zone_names=account.available_zones(),
                nat_gateway_per_zone=chosen.create.nat_gateway_per_zone,
            )
        else:
            source = network.ExistingNetwork(
                vpc_id=chosen.existing.vpc_id,  # pyright: ignore[reportOptionalMemberAccess] - one of the two
                private_subnet_ids=chosen.existing.private_subnet_ids,  # pyright: ignore[reportOptionalMemberAccess]
                public_subnet_ids=chosen.existing.public_subnet_ids,  # pyright: ignore[reportOptionalMemberAccess]
            )
        return network.Network(
            "network",
            network.NetworkArgs(source=source, stack=self.name, account=self.account, tags=self.tags),
        )

    def authority(
        self, name: str, purpose: certificates.Purpose, trust_domain: str
    ) -> certificates.CertificateAuthority:
        """An authority with the settings' generations and lifetimes."""
        chosen = self.settings.certificates
        generations = chosen.server_generations if purpose == "server" else chosen.client_generations
        return certificates.CertificateAuthority(
            name,
            certificates.CertificateAuthorityArgs(
                purpose=purpose,
                trust_domain=trust_domain,
                generations=[
                    certificates.Generation(name=each.name, state=each.state) for each in generations
                ],
                validity_days=chosen.authority_validity_days,
                leaf_validity_days=chosen.leaf_validity_days,
                renew_before_days=chosen.renew_before_days,
            ),
        )

    def connections(
        self,
        databases: Mapping[str, pulumi.Input[Mapping[str, Any]]],
        gateway: pulumi.Input[Mapping[str, Any]] | None = None,
    ) -> pulumi.Input[dict[str, Any]]:
        """The connections document of these databases and the gateway; put to S3 where there is any."""
        if not databases:
            return connections.connections_document(self.name, {})
        return connections.ConnectionsDocument(
            "connections",
            connections.ConnectionsDocumentArgs(
                stack=self.name,
                databases=databases,
                gateway=gateway,
                writers=self.administrators,
                tags=self.tags,
            ),
        ).document


def _load() -> settings.Settings:
    config = pulumi.Config()
    # The engine lets undeclared sections pass, so that a typing error in a section's name would go unseen.
    given = {
        key.removeprefix(f"{config.name}:")
        for key in pulumi.runtime.config.CONFIG.get()
        if key.startswith(f"{config.name}:")
    }
    encrypted = [name for name in given if pulumi.runtime.is_config_secret(config.full_key(name))]
    values = {name: None if name in encrypted else config.get_object(name) for name in sorted(given)}
    try:
        return settings.load(values, encrypted=encrypted)
    except settings.SettingsError as error:
        raise pulumi.RunError(str(error)) from None
