"""One example of each component: a component without one fails the contract tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pulumi
from pydantic import BaseModel

import settings
from artifacts.gateway import GatewayArtifact
from artifacts.node import NodeArtifact
from artifacts.roles_function import FunctionArtifact
from components.account import Account
from components.connections import connections_document, publish_connections
from components.database_roles import DatabaseRoles, DatabaseRolesArgs
from components.gateway.alarms import GatewayAlarms, GatewayAlarmsArgs
from components.gateway.client_authority import (
    ClientAuthority,
    ClientAuthorityArgs,
    ClientRevocation,
    ClientRevocationArgs,
    ClientTrust,
)
from components.gateway.document import publish_gateway_document
from components.gateway.gateway import MutualTlsGateway, MutualTlsGatewayArgs
from components.gateway.header_suffixes import HeaderSuffixes, HeaderSuffixesArgs
from components.gateway.listener import MutualTlsListener, MutualTlsListenerArgs
from components.gateway.machines import GatewayMachines, GatewayMachinesArgs
from components.gateway.security_groups import GatewaySecurityGroups, GatewaySecurityGroupsArgs
from components.gateway.server_certificate import ServerCertificate, ServerCertificateArgs
from components.gateway.trust_store import TrustStore, TrustStoreArgs
from components.network import Network, NetworkArgs, PrivateSubnet
from components.pki.certificates import (
    CertificateAuthority,
    CertificateAuthorityArgs,
    LeafCertificate,
    LeafCertificateArgs,
    Purpose,
)
from components.pki.identity import Identity, IdentityArgs
from components.pki.identity_secret import IdentitySecret, IdentitySecretArgs
from components.pki.secrets_key import SecretsKey, SecretsKeyArgs
from components.private_bucket import PrivateBucket, PrivateBucketArgs
from components.published_document import PublishedDocument
from components.rds.alarms import RdsAlarms, RdsAlarmsArgs
from components.rds.instance import RdsPostgres, RdsPostgresArgs
from components.rds.roles_function import RolesFunction, RolesFunctionArgs
from components.rds.schedule import ReconciliationSchedule, ReconciliationScheduleArgs
from components.security_group import ServerSecurityGroup, ServerSecurityGroupArgs
from components.self_managed.alarms import ServerAlarms, ServerAlarmsArgs
from components.self_managed.desired_state import FILES, DesiredState, DesiredStateArgs
from components.self_managed.machine import DatabaseMachine, DatabaseMachineArgs
from components.self_managed.server import SelfManagedPostgres, SelfManagedPostgresArgs
from settings import Generation
from tests.signed_certificates import authority_pem, revocation_list_pem

OPERATOR = "arn:aws:iam::123456789012:user/operator"
APPLICATION = "arn:aws:iam::123456789012:role/app"
TAGS = {"owner": "platform", "environment": "test"}
ACCOUNT = Account(partition="aws", account_id="123456789012", region="eu-central-1")
NODE = NodeArtifact(content=b"a node", sha256="9" * 64)
FUNCTION = FunctionArtifact(content=b"a function", sha256="8" * 64)
LAUNCHER = {"__main__.py": "print('a launcher')\n"}
GATEWAY = GatewayArtifact(path=Path(__file__), sha256="7" * 64)
SUBNETS = tuple(
    PrivateSubnet(id=pulumi.Output.from_input(f"subnet-{zone}"), zone=pulumi.Output.from_input(zone))
    for zone in ("eu-central-1a", "eu-central-1b")
)
CERTIFICATE_PEM = authority_pem("clients")
REVOCATION_PEM = revocation_list_pem(CERTIFICATE_PEM)
SUFFIX = "0123456789abcdef01234567"
CERTIFICATE_ARN = "arn:aws:acm:eu-central-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"
GRANTS: list[dict[str, Any]] = [
    {"privileges": ["temporary"]},
    {"schema": "public", "privileges": ["usage"]},
    {"schema": "public", "onAll": "tables", "privileges": ["insert", "select"]},
    {"schema": "jobs", "onAll": "sequences", "privileges": ["usage"]},
]
LOADED = settings.load(
    {
        "network": {"create": {"cidr": "10.20.0.0/16", "zones": 2}},
        "certificates": {"administrators": [OPERATOR]},
        "selfManaged": {
            "privateDns": {"zone": "db.internal"},
            "allowedClients": {"networks": ["10.30.0.0/16", "fd00::/64"]},
            "databases": {"app": {"extensions": ["citext"]}},
            "roles": {
                "app_user": {
                    "database": "app",
                    "networks": ["10.30.0.0/24"],
                    "secretReaders": [APPLICATION],
                    "grants": GRANTS,
                },
                "reporting": {"database": "app", "networks": ["10.30.1.0/24", "fd00::/64"]},
            },
        },
        "rds": {
            "allowedClients": {"networks": ["10.30.0.0/16"]},
            "databases": {"app": {"extensions": ["citext"]}},
            "roles": {"app_user": {"database": "app", "grants": GRANTS}, "reporting": {"database": "app"}},
        },
        "gateway": {
            "domainName": "gateway.example.org",
            "hostedZoneId": "Z0123456789",
            "allowedClients": {"networks": ["10.30.0.0/16"]},
            "clientAuthority": {
                "generations": [{"name": "1", "state": "retiring"}, {"name": "2", "state": "issuing"}]
            },
            "revoked": ["0A:0b"],
            "clients": {
                "billing": {
                    "uri": "spiffe://test/billing",
                    "role": "app_user",
                    "secretReaders": [APPLICATION],
                },
                "reports": {"dns": "reports.example.org", "role": "reporting", "revision": 2},
                "old_one": {"commonName": "legacy", "role": "reporting"},
            },
        },
    }
)
assert LOADED.self_managed is not None
assert LOADED.rds is not None
assert LOADED.gateway is not None
SELF_MANAGED, RDS, GATEWAY_SETTINGS = LOADED.self_managed, LOADED.rds, LOADED.gateway
DECLARATION = SELF_MANAGED.declaration
CERTIFICATES = LOADED.certificates

Section = TypeVar("Section", bound=BaseModel)


def changed(section: Section, changes: dict[str, Any]) -> Section:
    """The section with other values; its keys are taken out of `changes`."""
    values = {name: changes.pop(name) for name in list(changes) if name in type(section).model_fields}
    return type(section).model_validate({**section.model_dump(exclude_unset=True), **values}, by_name=True)


Options = pulumi.ResourceOptions | None
PROVIDER = {"through": "provider"}


def authority(purpose: Purpose, opts: Options = None) -> CertificateAuthority:
    """An authority with three generations."""
    return CertificateAuthority(
        f"{purpose}-authority",
        CertificateAuthorityArgs(
            purpose=purpose,
            trust_domain="test-main",
            generations=[
                Generation(name="1", state="retiring"),
                Generation(name="2", state="issuing"),
                Generation(name="3", state="trusted"),
            ],
            validity_days=CERTIFICATES.authority_validity_days,
            leaves=CERTIFICATES,
        ),
        opts,
    )


def leaf(purpose: Purpose = "client", opts: Options = None) -> LeafCertificate:
    """A leaf signed by that authority."""
    name = "db.internal" if purpose == "server" else "app_user"
    args = LeafCertificateArgs(issuer=authority(purpose).issuer, purpose=purpose, common_name=name)
    return LeafCertificate("leaf", args, opts)


def identity_secret(opts: Options = None) -> IdentitySecret:
    """The secret of a role that one principal reads."""
    args = IdentitySecretArgs(
        description="the role app_user",
        certificate_pem="certificate",
        private_key_pem="PRIVATE-KEY-MARKER given as plain text",
        readers=[APPLICATION],
        administrators=[OPERATOR],
        tags=TAGS,
    )
    return IdentitySecret("identity", args, opts)


def secrets_key(opts: Options = None) -> SecretsKey:
    """The key of a secret that a principal of another account reads."""
    foreign = APPLICATION.replace("123456789012", "999999999999")
    args = SecretsKeyArgs(
        stack="test",
        account=ACCOUNT,
        foreign_readers=[foreign],
        readers=[APPLICATION, foreign],
        administrators=[OPERATOR],
        tags=TAGS,
    )
    return SecretsKey("secrets", args, opts)


def identity(opts: Options = None) -> Identity:
    """Certificate and secret of a role."""
    args = IdentityArgs(
        issuer=authority("client").issuer,
        purpose="client",
        common_name="app_user",
        description="the role app_user",
        readers=[APPLICATION],
        administrators=[OPERATOR],
        tags=TAGS,
    )
    return Identity("app-user", args, opts)


def network(opts: Options = None, **changes: Any) -> Network:
    """A new network."""
    created = settings.Network.model_validate({"create": {"cidr": "10.20.0.0/16", "zones": 2, **changes}})
    zones = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
    args = NetworkArgs(settings=created, zone_names=zones, stack="test", account=ACCOUNT, tags=TAGS)
    return Network("net", args, opts)


def existing_network(opts: Options = None) -> Network:
    """A network that is there."""
    existing = settings.Network.model_validate(
        {"existing": {"vpcId": "vpc-01234567", "privateSubnetIds": ["subnet-01234567", "subnet-89abcdef"]}}
    )
    return Network("net", NetworkArgs(settings=existing, stack="test", account=ACCOUNT, tags=TAGS), opts)


def bucket(opts: Options = None) -> PrivateBucket:
    """A bucket with two writers."""
    args = PrivateBucketArgs(writers={"files/*": [OPERATOR], "report.json": [APPLICATION]}, tags=TAGS)
    return PrivateBucket("bucket", args, opts)


def desired_state(opts: Options = None, **changes: Any) -> DesiredState:
    """A desired state."""
    args = DesiredStateArgs(
        server="main",
        settings=changed(SELF_MANAGED, changes),
        files={name: f"text of {name}\n" for name in FILES},
        node=NODE,
        identity_arn="arn:aws:secretsmanager:eu-central-1:123456789012:secret:server-AbCdEf",
        identity_version="version-1",
        identity_sha256="5" * 64,
        writers=[OPERATOR],
        machine_role="arn:aws:iam::123456789012:role/machine",
        tags=TAGS,
    )
    return DesiredState("state", replace(args, **changes), opts)


def security_group(opts: Options = None) -> ServerSecurityGroup:
    """A security group with clients of each kind."""
    clients = settings.AllowedClients.model_validate(
        {"networks": ["10.30.0.0/16", "fd00::/64"], "securityGroups": ["sg-0123456789abcdef0"]}
    )
    args = ServerSecurityGroupArgs(vpc_id="vpc-1", port=5432, clients=clients, tags=TAGS)
    return ServerSecurityGroup("firewall", args, opts)


def machine(opts: Options = None, **changes: Any) -> DatabaseMachine:
    """A machine."""
    args = DatabaseMachineArgs(
        region="eu-central-1",
        subnet=PrivateSubnet(
            id=pulumi.Output.from_input("subnet-1"), zone=pulumi.Output.from_input("eu-central-1a")
        ),
        security_group="sg-1",
        instance_profile="profile",
        settings=changed(SELF_MANAGED, changes),
        launcher=LAUNCHER,
        bucket="bucket",
        report_key="report.json",
        log_group="/passwordless-postgres/test/main/postgresql",
        tags=TAGS,
    )
    return DatabaseMachine("machine", replace(args, **changes), opts)


def self_managed(opts: Options = None, **changes: Any) -> SelfManagedPostgres:
    """A server with two roles."""
    arguments: dict[str, Any] = {
        "stack": "test",
        "account": ACCOUNT,
        "network": network(),
        "server_authority": changes.get("server_authority") or authority("server"),
        "client_authority": changes.get("client_authority") or authority("client"),
        "administrators": [OPERATOR],
        "node": NODE,
        "launcher": LAUNCHER,
        "settings": changed(SELF_MANAGED, changes),
        "tags": TAGS,
    }
    return SelfManagedPostgres("main", SelfManagedPostgresArgs(**{**arguments, **changes}), opts)


def database_roles(opts: Options = None, **changes: Any) -> DatabaseRoles:
    """The declaration by pulumi-postgresql, with a role without a limit."""
    limited, reporting = DECLARATION.roles
    roles = (limited, replace(reporting, connection_limit=-1))
    args = DatabaseRolesArgs(declaration=replace(DECLARATION, roles=roles), major=17)
    return DatabaseRoles("roles", replace(args, **changes), opts)


def rds_postgres(opts: Options = None, **changes: Any) -> RdsPostgres:
    """An RDS instance with two roles."""
    arguments: dict[str, Any] = {
        "stack": "test",
        "account": ACCOUNT,
        "network": changes.get("network") or network(),
        "administrators": [OPERATOR],
        "settings": changed(RDS, changes),
        "server_ca_pem": "authorities of the region\n",
        "tags": TAGS,
    }
    return RdsPostgres("main", RdsPostgresArgs(**{**arguments, **changes}), opts)


def server_alarms(opts: Options = None) -> ServerAlarms:
    """Alarms with a topic."""
    args = ServerAlarmsArgs(
        server="main",
        log_group="/passwordless-postgres/test/main/postgresql",
        certificate_days=15,
        client_certificate_days=15,
        topics=["arn:aws:sns:eu-central-1:123456789012:databases"],
        tags=TAGS,
    )
    return ServerAlarms("alarms", args, opts)


def rds_alarms(opts: Options = None) -> RdsAlarms:
    """Alarms with a topic."""
    args = RdsAlarmsArgs(
        identifier="main",
        instance_id="main",
        parameter_group="group",
        topics=["arn:aws:sns:eu-central-1:123456789012:databases"],
        tags=TAGS,
    )
    return RdsAlarms("alarms", args, opts)


def reconciliation_schedule(opts: Options = None, event: str = "{}") -> ReconciliationSchedule:
    """A schedule with alarms that have a topic."""
    args = ReconciliationScheduleArgs(
        account=ACCOUNT,
        function_name="main-roles",
        function_arn="arn:aws:lambda:eu-central-1:123456789012:function:main-roles",
        event=event,
        topics=["arn:aws:sns:eu-central-1:123456789012:databases"],
        tags=TAGS,
    )
    return ReconciliationSchedule("main-roles-schedule", args, opts)


def roles_function(opts: Options = None, **changes: Any) -> RolesFunction:
    """The declaration by a function."""
    args = RolesFunctionArgs(
        stack="test",
        account=ACCOUNT,
        vpc_id="vpc-1",
        subnets=[
            PrivateSubnet(id=pulumi.Output.from_input(f"subnet-{zone}"), zone=pulumi.Output.from_input(zone))
            for zone in ("eu-central-1a", "eu-central-1b")
        ],
        server_security_group="sg-server",
        settings=changed(RDS, changes),
        host="main.abc.eu-central-1.rds.amazonaws.com",
        region="eu-central-1",
        resource_id="db-ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        master_secret_arn="arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!db-1-AbCdEf",
        server_ca_pem="authorities of RDS",
        administrators=[OPERATOR],
        artifact=FUNCTION,
        tags=TAGS,
    )
    return RolesFunction("main-roles", replace(args, **changes), opts)


def published_connections(opts: Options = None) -> PublishedDocument:
    """A connections document without databases."""
    text = pulumi.Output.from_input(connections_document("test", {}))
    return publish_connections("connections", text, writers=[OPERATOR], tags=TAGS, opts=opts)


def client_authority(opts: Options = None, **changes: Any) -> ClientAuthority:
    """An authority of clients."""
    args = ClientAuthorityArgs(
        trust_domain="test-gateway",
        settings=changed(GATEWAY_SETTINGS.client_authority, changes),
        leaves=changed(CERTIFICATES, changes),
    )
    return ClientAuthority("gateway-authority", replace(args, **changes), opts)


def client_revocation(opts: Options = None) -> ClientRevocation:
    """The lists of an authority that has revoked one of its clients."""
    args = ClientRevocationArgs(
        authority=client_authority(),
        settings=GATEWAY_SETTINGS.client_authority,
        revoked=["0A:0b"],
        issued={"a": "x"},
    )
    return ClientRevocation("gateway-authority", args, opts)


def header_suffixes(opts: Options = None, **changes: Any) -> HeaderSuffixes:
    """A suffix in use and the next one."""
    args = HeaderSuffixesArgs(
        generations=[Generation(name="1", state="issuing"), Generation(name="2", state="trusted")]
    )
    return HeaderSuffixes("gateway-headers", replace(args, **changes), opts)


def trust_store(opts: Options = None, **changes: Any) -> TrustStore:
    """A trust store with one revocation list."""
    args = TrustStoreArgs(
        bundle_pem=f"a comment\n\n{CERTIFICATE_PEM}",
        revocation_lists={"1": REVOCATION_PEM},
        writers=[OPERATOR],
        tags=TAGS,
    )
    return TrustStore("gateway-clients", replace(args, **changes), opts)


def server_certificate(opts: Options = None) -> ServerCertificate:
    """A certificate validated through DNS."""
    args = ServerCertificateArgs(domain_name="gateway.example.org", zone_id="Z0123456789", tags=TAGS)
    return ServerCertificate("gateway-server", args, opts)


def gateway_security_groups(opts: Options = None, **changes: Any) -> GatewaySecurityGroups:
    """Security groups with clients of each kind."""
    clients = {"networks": ["10.30.0.0/16", "fd00::/64"], "securityGroups": ["sg-0123456789abcdef0"]}
    args = GatewaySecurityGroupsArgs(
        vpc_id="vpc-1",
        settings=changed(GATEWAY_SETTINGS, {"allowed_clients": clients} | changes),
        target_port=8443,
        database_security_group="sg-server",
        database_port=5432,
        tags=TAGS,
    )
    return GatewaySecurityGroups("gateway-firewall", args, opts)


def mutual_tls_listener(opts: Options = None, **changes: Any) -> MutualTlsListener:
    """A load balancer and its listener."""
    args = MutualTlsListenerArgs(
        account=ACCOUNT,
        vpc_id="vpc-1",
        subnets=["subnet-1", "subnet-2"],
        security_group="sg-lb",
        settings=changed(GATEWAY_SETTINGS, changes),
        target_port=8443,
        certificate_arn=CERTIFICATE_ARN,
        trust_store_arn="arn:aws:elasticloadbalancing:eu-central-1:123456789012:truststore/a/1",
        header_suffix=SUFFIX,
        tags=TAGS,
    )
    return MutualTlsListener("gateway-lb", replace(args, **changes), opts)


def published_gateway_document(opts: Options = None, **changes: Any) -> PublishedDocument:
    """A document with the clients of the settings."""
    arguments: dict[str, Any] = {
        "database": rds_postgres().connection,
        "client_authorities": CERTIFICATE_PEM,
        "revocation_lists": [REVOCATION_PEM],
        "header_suffixes": [SUFFIX],
        "clients": list(GATEWAY_SETTINGS.clients.values()),
        "writers": [OPERATOR],
        "tags": TAGS,
    }
    return publish_gateway_document("gateway-document", **{**arguments, **changes}, opts=opts)


def gateway_machines(opts: Options = None, **changes: Any) -> GatewayMachines:
    """Machines that log in as two roles."""
    dbuser = "arn:aws:rds-db:eu-central-1:123456789012:dbuser:db-ABC"
    args = GatewayMachinesArgs(
        account=ACCOUNT,
        subnets=SUBNETS,
        security_group="sg-targets",
        target_group_arn="arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/a/1",
        artifact=GATEWAY,
        launcher=LAUNCHER,
        settings=changed(GATEWAY_SETTINGS, changes),
        gateway="/passwordless-postgres/test/gateway",
        document_bucket="gateway-document-id",
        document_arn="arn:aws:s3:::gateway-document-id/gateway.json",
        connects={role: f"{dbuser}/{role}" for role in ("app_user", "reporting")},
        port=8443,
        metrics_port=9464,
        log_group_name="/passwordless-postgres/test/gateway/gateway",
        writers=[OPERATOR],
        tags=TAGS,
    )
    return GatewayMachines("gateway-machines", replace(args, **changes), opts)


def gateway_alarms(opts: Options = None) -> GatewayAlarms:
    """Alarms with a topic."""
    args = GatewayAlarmsArgs(
        load_balancer="app/a/1",
        target_group="targetgroup/a/1",
        gateway="/passwordless-postgres/test/gateway",
        serial=7,
        topics=["arn:aws:sns:eu-central-1:123456789012:gateways"],
        tags=TAGS,
    )
    return GatewayAlarms("gateway-alarms", args, opts)


def gateway(opts: Options = None, **changes: Any) -> MutualTlsGateway:
    """A gateway with an authority of its own and one client of each kind."""
    place = changes.get("network") or network()
    arguments: dict[str, Any] = {
        "stack": "test",
        "account": ACCOUNT,
        "network": place,
        "database": rds_postgres(network=place),
        "administrators": [OPERATOR],
        "settings": changed(GATEWAY_SETTINGS, changes),
        "authority": changes.get("authority") or client_authority(),
        "artifact": GATEWAY,
        "launcher": LAUNCHER,
        "tags": TAGS,
    }
    return MutualTlsGateway("gateway", MutualTlsGatewayArgs(**{**arguments, **changes}), opts)


def external_gateway(opts: Options = None) -> MutualTlsGateway:
    """A gateway that faces the internet, with somebody else's authority and a certificate that is there."""
    return gateway(
        opts,
        authority=ClientTrust(bundle_pem=CERTIFICATE_PEM, revocation_lists={"roots": REVOCATION_PEM}),
        hosted_zone_id=None,
        certificate_arn=CERTIFICATE_ARN,
        server_ca_pem=CERTIFICATE_PEM,
        internal=False,
        port=8443,
    )


EXAMPLES: dict[str, list[Callable[[Options], pulumi.ComponentResource]]] = {
    "CertificateAuthority": [lambda opts: authority("client", opts)],
    "ClientAuthority": [client_authority],
    "ClientRevocation": [client_revocation],
    "DatabaseMachine": [machine],
    "DatabaseRoles": [
        database_roles,
        lambda opts: database_roles(opts, major=15),
        lambda opts: database_roles(opts, platform="rds"),
    ],
    "DesiredState": [desired_state],
    "GatewayAlarms": [gateway_alarms],
    "GatewayMachines": [
        gateway_machines,
        lambda opts: gateway_machines(opts, image={"id": "ami-0123456789abcdef0"}),
    ],
    "GatewaySecurityGroups": [gateway_security_groups],
    "HeaderSuffixes": [header_suffixes],
    "Identity": [identity],
    "IdentitySecret": [identity_secret],
    "LeafCertificate": [lambda opts: leaf("client", opts), lambda opts: leaf("server", opts)],
    "MutualTlsGateway": [gateway, external_gateway],
    "MutualTlsListener": [mutual_tls_listener],
    "Network": [network, existing_network],
    "PrivateBucket": [bucket],
    "PublishedDocument": [published_connections, published_gateway_document],
    "RdsAlarms": [rds_alarms],
    "ReconciliationSchedule": [reconciliation_schedule],
    "RdsPostgres": [rds_postgres, lambda opts: rds_postgres(opts, database_roles=PROVIDER)],
    "RolesFunction": [roles_function, lambda opts: roles_function(opts, database_roles=PROVIDER)],
    "SecretsKey": [secrets_key],
    "SelfManagedPostgres": [self_managed, lambda opts: self_managed(opts, database_roles=PROVIDER)],
    "ServerAlarms": [server_alarms],
    "ServerCertificate": [server_certificate],
    "ServerSecurityGroup": [security_group],
    "TrustStore": [trust_store],
}
"""Builders by class name; each takes the consumer's own options."""
