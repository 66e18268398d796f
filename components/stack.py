"""A whole stack: its settings, the components that they ask for, and what it exports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pulumi
import pulumi_postgresql as postgresql

from artifacts.dependencies import DEBIAN_13, DependenciesError, this_platform
from artifacts.gateway import ApplicationSourceError, GatewayArtifact, gateway_artifact
from artifacts.node import node_artifact
from artifacts.sources import PROJECT, launcher_sources
from components.account import Account, available_zones, deploying_account
from components.connections import connections_document, publish_connections
from components.database_roles import DatabaseRoles, DatabaseRolesArgs
from components.gateway.client_authority import (
    ClientAuthority,
    ClientAuthorityArgs,
    ClientTrust,
    external_trust,
)
from components.gateway.gateway import MutualTlsGateway, MutualTlsGatewayArgs
from components.network import Network, NetworkArgs
from components.pki.certificates import CertificateAuthority, CertificateAuthorityArgs
from components.pki.pem_bundle import certificates, revocation_list
from components.pki.secrets_key import SecretsKey, SecretsKeyArgs, key_readers
from components.preflight import preflight_problems
from components.rds import authorities
from components.rds.instance import RdsPostgres, RdsPostgresArgs
from components.self_managed.server import SelfManagedPostgres, SelfManagedPostgresArgs
from runtime.pem_text import held
from settings import Gateway, Rds, SelfManaged, Settings, SettingsError, load
from settings.certificates import foreign_readers

SELF_MANAGED = "self-managed"
RDS = "rds"
GATEWAY = "gateway"


def selected_settings() -> Settings:
    """Settings of the stack that the engine has selected.

    Raises:
        pulumi.RunError: They are wrong; the text lists everything, and no traceback follows.
    """
    config = pulumi.Config()
    # The engine accepts undeclared sections, so that a misspelt section would be ignored without an error.
    given = {
        key.removeprefix(f"{config.name}:")
        for key in pulumi.runtime.config.CONFIG.get()
        if key.startswith(f"{config.name}:")
    }
    encrypted = [name for name in given if pulumi.runtime.is_config_secret(config.full_key(name))]
    values = {name: None if name in encrypted else config.get_object(name) for name in sorted(given)}
    try:
        return load(values, encrypted=encrypted)
    except SettingsError as error:
        raise pulumi.RunError(str(error)) from None


def deploy(name: str, settings: Settings) -> dict[str, pulumi.Input[Any]]:
    """Deploy a stack.

    Args:
        name: Name of the stack.
        settings: Its settings.

    Returns:
        What it exports, by name.
    """
    stack = _Stack(name=name, settings=settings)
    # What is wrong is found before anything is registered.
    if problems := list(preflight_problems(name, settings)):
        raise pulumi.RunError(str(SettingsError(problems)))
    stack.external_trust  # noqa: B018 - read for its errors
    if settings.self_managed is not None:
        stack.deploy_self_managed(settings.self_managed)
    if settings.rds is not None:
        database = stack.deploy_rds(settings.rds)
        if settings.gateway is not None:
            stack.deploy_gateway(settings.gateway, database)
    connections = stack.connections()
    return {**stack.exports, "connections": connections}


@dataclass(frozen=True, kw_only=True)
class _Stack:
    """What the databases and the gateway of a stack share, and what they add to its exports."""

    name: str
    settings: Settings
    exports: dict[str, pulumi.Input[Any]] = field(default_factory=dict)
    connections_of: dict[str, pulumi.Output[dict[str, Any]]] = field(default_factory=dict)

    @property
    def tags(self) -> dict[str, str]:
        return dict(self.settings.tags)

    @property
    def administrators(self) -> tuple[str, ...]:
        """Who may write what a deployment writes."""
        return self.settings.certificates.administrators

    @cached_property
    def account(self) -> Account:
        return deploying_account()

    @cached_property
    def network(self) -> Network:
        """The one network of all servers."""
        chosen = self.settings.network
        assert chosen is not None  # noqa: S101 - settings.load refuses a server without a network
        return Network(
            "network",
            NetworkArgs(
                settings=chosen,
                zone_names=[] if chosen.create is None else available_zones(),
                stack=self.name,
                account=self.account,
                tags=self.tags,
            ),
        )

    @cached_property
    def secrets_key(self) -> SecretsKey | None:
        """The key of secrets that principals of other accounts read; None where there are none."""
        if not (readers := key_readers(self.settings)):
            return None
        key = SecretsKey(
            "secrets",
            SecretsKeyArgs(
                stack=self.name,
                account=self.account,
                foreign_readers=foreign_readers(readers, self.settings.certificates),
                readers=readers,
                administrators=self.administrators,
                tags=self.tags,
            ),
        )
        self.exports["secretsKeyArn"] = key.arn
        return key

    @cached_property
    def external_trust(self) -> ClientTrust | None:
        """What the gateway trusts of somebody else's authority; None where the authority is this stack's.

        Raises:
            pulumi.RunError: The gateway would refuse it; the text says why and what to do.
        """
        gateway, key = self.settings.gateway, "gateway.clientAuthority"
        if gateway is None or gateway.client_authority.bundle is None:
            return None
        bundle = _pem(f"{key}.bundle", gateway.client_authority.bundle)
        lists = {
            Path(file).stem: _pem(f"{key}.revocationLists", file, revocation_list)
            for file in gateway.client_authority.revocation_lists
        }
        try:
            return external_trust(bundle, lists, self.settings.quotas)
        except ValueError as error:
            raise pulumi.RunError(f"passwordless-postgres:{key}: {error}") from None

    def deploy_self_managed(self, settings: SelfManaged) -> None:
        certificates = self.settings.certificates
        server = SelfManagedPostgres(
            SELF_MANAGED,
            SelfManagedPostgresArgs(
                stack=self.name,
                account=self.account,
                network=self.network,
                server_authority=CertificateAuthority(
                    "server-authority",
                    CertificateAuthorityArgs(
                        purpose="server",
                        trust_domain=self.name,
                        generations=certificates.server_generations,
                        validity_days=certificates.authority_validity_days,
                        leaves=certificates,
                    ),
                ),
                client_authority=CertificateAuthority(
                    f"{SELF_MANAGED}-clients",
                    CertificateAuthorityArgs(
                        purpose="client",
                        trust_domain=f"{self.name}-{SELF_MANAGED}",
                        generations=certificates.client_generations,
                        validity_days=certificates.authority_validity_days,
                        leaves=certificates,
                    ),
                ),
                administrators=self.administrators,
                secrets_key=self.secrets_key,
                node=node_artifact(),
                launcher=launcher_sources("node"),
                settings=settings,
                tags=self.tags,
            ),
        )
        if settings.database_roles.through == "provider":
            _deploy_self_managed_roles(settings, server)
        self.connections_of[SELF_MANAGED] = server.connection
        self.exports["host"] = server.host
        self.exports["port"] = settings.port
        self.exports["pendingRestart"] = server.pending_restart

    def deploy_rds(self, settings: Rds) -> RdsPostgres:
        server = RdsPostgres(
            RDS,
            RdsPostgresArgs(
                stack=self.name,
                account=self.account,
                network=self.network,
                administrators=self.administrators,
                settings=settings,
                server_ca_pem=self._rds_authorities(settings),
                tags=self.tags,
            ),
        )
        if settings.database_roles.through == "provider":
            _deploy_rds_roles(settings, server, self.account)
        self.connections_of[RDS] = server.connection
        self.exports["rdsHost"] = server.host
        self.exports["rdsResourceId"] = server.resource_id
        self.exports["applicationRoles"] = server.application_roles
        return server

    def _rds_authorities(self, settings: Rds) -> pulumi.Input[str]:
        """What clients trust: the stack's own bundle, or Amazon's authorities of the region."""
        if settings.ca_bundle is not None:
            return _pem("rds.caBundle", settings.ca_bundle)
        # A region in the stack file is known in a preview, the provider's is not.
        if region := pulumi.Config("aws").get("region"):
            return _authorities_of(region)
        return pulumi.Output.from_input(self.account.region).apply(_authorities_of)

    def deploy_gateway(self, settings: Gateway, database: RdsPostgres) -> None:
        artifact = deployed_gateway_artifact(settings)
        gateway = MutualTlsGateway(
            GATEWAY,
            MutualTlsGatewayArgs(
                stack=self.name,
                account=self.account,
                network=self.network,
                database=database,
                administrators=self.administrators,
                secrets_key=self.secrets_key,
                settings=settings,
                server_ca_pem=(
                    None if settings.ca_bundle is None else _pem("gateway.caBundle", settings.ca_bundle)
                ),
                authority=self._client_authority(settings),
                artifact=artifact,
                launcher=launcher_sources("gateway"),
                tags=self.tags,
            ),
        )
        self.connections_of[GATEWAY] = gateway.connection
        self.exports["gatewayUrl"] = gateway.url

    def _client_authority(self, settings: Gateway) -> ClientAuthority | ClientTrust:
        """Whose clients the gateway accepts: an authority of this stack, or what is trusted of another."""
        authority = settings.client_authority
        if self.external_trust is not None:
            return self.external_trust
        return ClientAuthority(
            f"{GATEWAY}-authority",
            ClientAuthorityArgs(
                trust_domain=f"{self.name}-{GATEWAY}",
                settings=authority,
                leaves=self.settings.certificates,
            ),
        )

    def connections(self) -> pulumi.Input[dict[str, Any]]:
        """The connections document; published where there is any database."""
        databases = {name: entry for name, entry in self.connections_of.items() if name != GATEWAY}
        if not databases:
            return connections_document(self.name, {})
        document = pulumi.Output.all(
            stack=self.name, databases=databases, gateway=self.connections_of.get(GATEWAY)
        ).apply(lambda values: connections_document(**values))
        published = publish_connections("connections", document, writers=self.administrators, tags=self.tags)
        self.exports["connectionsAddress"] = published.address
        return document


def deployed_gateway_artifact(settings: Gateway) -> GatewayArtifact:
    """What the machines of a gateway run.

    Raises:
        pulumi.RunError: It cannot be made; the text says why.
    """
    source = None if settings.application_source is None else PROJECT / settings.application_source
    try:
        target = DEBIAN_13[settings.architecture] if settings.platform == "debian-13" else this_platform()
        return gateway_artifact(target, application_source=source)
    except ApplicationSourceError as error:
        raise pulumi.RunError(f"passwordless-postgres:gateway.applicationSource: {error}") from None
    except DependenciesError as error:
        raise pulumi.RunError(f"passwordless-postgres:gateway: {error}") from None


def _deploy_self_managed_roles(settings: SelfManaged, server: SelfManagedPostgres) -> None:
    """Databases, roles and grants by pulumi-postgresql, as the administrator with its client certificate."""
    certificate = server.resources.administrator_certificate
    assert certificate is not None  # noqa: S101 - there is one where roles are made through the provider
    provider = postgresql.Provider(
        f"{SELF_MANAGED}-administrator",
        host=server.host,
        port=settings.port,
        username=settings.database_roles.administrator,
        database="postgres",
        superuser=False,
        sslmode="verify-full",
        sslrootcert=server.server_ca_pem,
        clientcert=postgresql.ProviderClientcertArgs(
            cert=certificate.certificate_pem,
            key=pulumi.Output.secret(certificate.private_key_pem),
            sslinline=True,
        ),
        connect_timeout=15,
    )
    DatabaseRoles(
        f"{SELF_MANAGED}-roles",
        DatabaseRolesArgs(declaration=settings.declaration, major=settings.major),
        # The roles are on the volume: when it is deleted, they need not be dropped first.
        opts=pulumi.ResourceOptions(
            providers={"postgresql": provider}, deleted_with=server.resources.machine.resources.data_volume
        ),
    )


def _deploy_rds_roles(settings: Rds, server: RdsPostgres, account: Account) -> None:
    """Databases, roles and grants by pulumi-postgresql, as the administrator by IAM.

    The provider reads authorities from a file unless there is a client certificate, and signs tokens for
    an empty region unless it is given one.
    """
    bundle = authorities.FILE if settings.ca_bundle is None else PROJECT / settings.ca_bundle
    provider = postgresql.Provider(
        f"{RDS}-administrator",
        host=server.host,
        port=settings.port,
        username=settings.database_roles.administrator,
        database="postgres",
        superuser=False,
        sslmode="verify-full",
        sslrootcert=str(bundle),
        aws_rds_iam_auth=True,
        aws_rds_iam_region=account.region,
        connect_timeout=15,
    )
    DatabaseRoles(
        f"{RDS}-roles",
        DatabaseRolesArgs(declaration=settings.declaration, major=settings.major, platform="rds"),
        # The roles are in the instance: when it is deleted, they need not be dropped first.
        opts=pulumi.ResourceOptions(
            providers={"postgresql": provider}, deleted_with=server.resources.instance
        ),
    )


def _authorities_of(region: str) -> str:
    try:
        return authorities.authorities_of(region)
    except (authorities.UnknownRegionError, authorities.ChangedBundleError) as error:
        raise pulumi.RunError(f"passwordless-postgres:rds: {error}") from None


def _pem(key: str, file: str, take: Callable[[str], object] = certificates) -> str:
    """The text of a PEM file of which `take` can take what it must hold."""
    try:
        content = (PROJECT / file).read_bytes()
    except OSError as error:
        raise pulumi.RunError(
            f"passwordless-postgres:{key}: {file!r} cannot be read: {error}; give the path of a PEM file, "
            "from the project's folder"
        ) from None
    try:
        text = content.decode("ascii")
        take(text)
    except ValueError as error:
        reason = "it is not ASCII" if isinstance(error, UnicodeDecodeError) else f"it {error}"
        wanted = "certificates" if take is certificates else "one revocation list"
        raise pulumi.RunError(
            f"passwordless-postgres:{key}: {file!r} holds {held(content)}: {reason}; allowed: {wanted} in PEM"
            " and nothing else"
        ) from None
    return text
