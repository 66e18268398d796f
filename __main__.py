"""The Pulumi program: one stack's settings, the components they ask for, and what the stack exports."""

import pulumi
import pulumi_postgresql as postgresql

import settings
from components import (
    account,
    certificates,
    connections,
    database_roles,
    machine,
    network,
    node_artifact,
    self_managed,
)
from components.server_files import Login

SERVER = "self-managed"


def load_settings() -> settings.Settings:
    """The stack's configuration; what is wrong with it ends the program without a traceback."""
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


def authority(
    name: str, purpose: certificates.Purpose, trust_domain: str
) -> certificates.CertificateAuthority:
    """An authority with the settings' generations and lifetimes."""
    chosen = STACK_SETTINGS.certificates
    generations = chosen.server_generations if purpose == "server" else chosen.client_generations
    return certificates.CertificateAuthority(
        name,
        certificates.CertificateAuthorityArgs(
            purpose=purpose,
            trust_domain=trust_domain,
            generations=[certificates.Generation(name=each.name, state=each.state) for each in generations],
            validity_days=chosen.authority_validity_days,
            leaf_validity_days=chosen.leaf_validity_days,
            renew_before_days=chosen.renew_before_days,
        ),
    )


def stack_network(where: account.Account, chosen: settings.Network) -> network.Network:
    """The settings' network."""
    if chosen.create is not None:
        source = network.NewNetwork(
            cidr=chosen.create.cidr,
            zones=chosen.create.zones,
            zone_names=account.available_zones(),
            nat_gateway_per_zone=chosen.create.nat_gateway_per_zone,
        )
    else:
        assert chosen.existing is not None  # noqa: S101 - settings have exactly one of the two
        source = network.ExistingNetwork(
            vpc_id=chosen.existing.vpc_id, private_subnet_ids=chosen.existing.private_subnet_ids
        )
    return network.Network(
        "network", network.NetworkArgs(source=source, stack=STACK, account=where, tags=TAGS)
    )


def deploy_roles(server: settings.SelfManaged, deployed: self_managed.SelfManagedPostgres) -> None:
    """Databases, roles and grants by pulumi-postgresql, as the administrator with its client certificate."""
    certificate = deployed.resources.administrator_certificate
    assert certificate is not None  # noqa: S101 - there is one where the provider is the executor
    provider = postgresql.Provider(
        f"{SERVER}-administrator",
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
        f"{SERVER}-roles",
        database_roles.DatabaseRolesArgs(declaration=server.declaration, major=server.major),
        # Roles live on the volume: when that goes, nobody needs to log in to drop them first.
        opts=pulumi.ResourceOptions(
            providers={"postgresql": provider}, deleted_with=deployed.resources.machine.resources.data_volume
        ),
    )


def deploy_self_managed(
    server: settings.SelfManaged, chosen: settings.Network
) -> self_managed.SelfManagedPostgres:
    """The server, and what it needs."""
    where = account.deploying_account()
    deployed = self_managed.SelfManagedPostgres(
        SERVER,
        self_managed.SelfManagedPostgresArgs(
            stack=STACK,
            account=where,
            network=stack_network(where, chosen),
            server_authority=authority("server-authority", "server", STACK),
            client_authority=authority(f"{SERVER}-clients", "client", f"{STACK}-{SERVER}"),
            administrators=STACK_SETTINGS.certificates.administrators,
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
            logins={
                name: Login(networks=role.networks, secret_readers=role.secret_readers)
                for name, role in server.roles.items()
            },
            administrator_networks=server.database_roles.administrator_networks,
            server_settings=server.server_settings,
            restart=server.restart,
            report_deadline_seconds=server.report_deadline_seconds,
            log_retention_days=server.log_retention_days,
            tags=TAGS,
        ),
    )
    if server.database_roles.through == "provider":
        deploy_roles(server, deployed)
    return deployed


STACK = pulumi.get_stack()
STACK_SETTINGS = load_settings()
TAGS = dict(STACK_SETTINGS.tags)

databases = {}
if STACK_SETTINGS.self_managed is not None and STACK_SETTINGS.network is not None:
    postgres = deploy_self_managed(STACK_SETTINGS.self_managed, STACK_SETTINGS.network)
    databases[SERVER] = postgres.connection
    pulumi.export("host", postgres.host)
    pulumi.export("port", STACK_SETTINGS.self_managed.port)
    pulumi.export("pendingRestart", postgres.pending_restart)

if databases:
    document = connections.ConnectionsDocument(
        "connections",
        connections.ConnectionsDocumentArgs(
            stack=STACK,
            databases=databases,
            writers=STACK_SETTINGS.certificates.administrators,
            tags=TAGS,
        ),
    ).document
else:
    document = connections.connections_document(STACK, {})
pulumi.export("connections", document)
