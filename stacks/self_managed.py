"""Self-managed PostgreSQL, as a stack's settings ask for it."""

from __future__ import annotations

import pulumi
import pulumi_postgresql as postgresql

import settings
from components import database_roles
from components.self_managed import machine, node_artifact
from components.self_managed import server as self_managed
from stacks.stack import Stack

NAME = "self-managed"


def deploy(stack: Stack, server: settings.SelfManaged) -> self_managed.SelfManagedPostgres:
    """The server, and what it needs."""
    deployed = self_managed.SelfManagedPostgres(
        NAME,
        self_managed.SelfManagedPostgresArgs(
            stack=stack.name,
            account=stack.account,
            network=stack.network,
            server_authority=stack.authority("server-authority", "server", stack.name),
            client_authority=stack.authority(f"{NAME}-clients", "client", f"{stack.name}-{NAME}"),
            administrators=stack.administrators,
            node=node_artifact.node_artifact(),
            launcher=node_artifact.launcher_source(),
            major=server.major,
            minor_floor=server.minor_floor,
            instance_type=server.instance_type,
            architecture=server.architecture,
            image=server.image.id
            or machine.DebianImage(release=server.image.release, revision=server.image.revision),
            volume=machine.DataVolume(**dict(server.volume)),
            zone=server.private_dns.zone,
            host=server.private_dns.fqdn,
            port=server.port,
            minimum_protocol=server.minimum_protocol,
            allowed_networks=server.allowed_clients.networks,
            allowed_security_groups=server.allowed_clients.security_groups,
            declaration=server.declaration,
            executor=server.database_roles.through,
            secret_readers={name: role.secret_readers for name, role in server.roles.items()},
            administrator_networks=server.database_roles.administrator_networks,
            server_settings=server.server_settings,
            restart=server.restart,
            report_deadline_seconds=server.report_deadline_seconds,
            log_retention_days=server.log_retention_days,
            tags=stack.tags,
        ),
    )
    if server.database_roles.through == "provider":
        _deploy_roles(server, deployed)
    return deployed


def _deploy_roles(server: settings.SelfManaged, deployed: self_managed.SelfManagedPostgres) -> None:
    """Databases, roles and grants by pulumi-postgresql, as the administrator with its client certificate."""
    certificate = deployed.resources.administrator_certificate
    assert certificate is not None  # noqa: S101 - there is one where the provider is the executor
    provider = postgresql.Provider(
        f"{NAME}-administrator",
        host=deployed.host,
        port=server.port,
        username=server.database_roles.administrator,
        database="postgres",
        superuser=False,
        sslmode="verify-full",
        sslrootcert=deployed.server_ca_pem,
        clientcert=postgresql.ProviderClientcertArgs(
            cert=certificate.certificate_pem,
            key=pulumi.Output.secret(certificate.private_key_pem),
            sslinline=True,
        ),
        connect_timeout=15,
    )
    database_roles.DatabaseRoles(
        f"{NAME}-roles",
        database_roles.DatabaseRolesArgs(declaration=server.declaration, major=server.major),
        # Roles live on the volume: when that goes, nobody needs to log in to drop them first.
        opts=pulumi.ResourceOptions(
            providers={"postgresql": provider}, deleted_with=deployed.resources.machine.resources.data_volume
        ),
    )
