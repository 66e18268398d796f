"""The gateway with mutual TLS, as a stack's settings ask for it."""

from __future__ import annotations

from pathlib import Path

import pulumi

import settings
from components.gateway import client_authority, gateway
from components.gateway.artifact import ApplicationSourceError, GatewayArtifact, gateway_artifact
from components.gateway.dependencies import DEBIAN_13, DependenciesError, this_platform
from components.pki import certificates
from components.rds import instance as rds
from components.self_managed import machine
from settings.machine import architecture_of
from stacks.stack import Stack

NAME = "gateway"

PROJECT = Path(__file__).resolve().parent.parent


def artifact(chosen: settings.Gateway) -> GatewayArtifact:
    """What the machines of a gateway run.

    Raises:
        pulumi.RunError: It cannot be made; the text says why.
    """
    source = None if chosen.application_source is None else PROJECT / chosen.application_source
    try:
        target = (
            DEBIAN_13[architecture_of(chosen.instance_type)]
            if chosen.platform == "debian-13"
            else this_platform()
        )
        return gateway_artifact(target, application_source=source)
    except ApplicationSourceError as error:
        raise pulumi.RunError(f"passwordless-postgres:gateway.applicationSource: {error}") from None
    except DependenciesError as error:
        raise pulumi.RunError(f"passwordless-postgres:gateway: {error}") from None


def deploy(
    stack: Stack, chosen: settings.Gateway, database: rds.RdsPostgres, program: GatewayArtifact
) -> gateway.MutualTlsGateway:
    """The gateway in front of an instance, with its client authority.

    Args:
        stack: The stack.
        chosen: Its section `gateway`.
        database: The instance.
        program: What the machines run.
    """
    trust, issuer = _authority(stack, chosen)
    return gateway.MutualTlsGateway(
        NAME,
        gateway.MutualTlsGatewayArgs(
            stack=stack.name,
            account=stack.account,
            network=stack.network,
            database=database,
            administrators=stack.administrators,
            domain_name=chosen.domain_name,
            zone_id=chosen.hosted_zone_id,
            certificate_arn=chosen.certificate_arn,
            server_ca_pem=None if chosen.ca_bundle is None else _pem("caBundle", chosen.ca_bundle),
            port=chosen.port,
            internal=chosen.internal,
            ssl_policy=chosen.ssl_policy,
            allowed_networks=chosen.allowed_clients.networks,
            allowed_security_groups=chosen.allowed_clients.security_groups,
            trust=trust,
            issuer=issuer,
            header_suffixes=_generations(chosen.header_suffixes),
            clients={name: _client(client) for name, client in chosen.clients.items()},
            artifact=program,
            launcher=gateway.launcher_source(),
            application=chosen.application,
            instance_type=chosen.instance_type,
            architecture=architecture_of(chosen.instance_type),
            image=chosen.image.id
            or machine.DebianImage(release=chosen.image.release, revision=chosen.image.revision),
            minimum_size=chosen.minimum_size,
            maximum_size=chosen.maximum_size,
            alarm_topics=chosen.alarm_topics,
            log_retention_days=chosen.log_retention_days,
            deletion_protection=chosen.deletion_protection,
            tags=stack.tags,
        ),
    )


def _client(client: settings.GatewayClient) -> gateway.GatewayClient:
    ((kind, value),) = client.identities
    return gateway.GatewayClient(
        kind=kind,
        value=value,
        role=client.role,
        secret_readers=client.secret_readers,
        revision=client.revision,
    )


def _authority(
    stack: Stack, chosen: settings.Gateway
) -> tuple[client_authority.ClientTrust, certificates.Issuer | None]:
    """What the gateway trusts, and who signs its clients where we do."""
    authority, lifetimes = chosen.client_authority, stack.settings.certificates
    if authority.source == "external":
        return _external(authority), None
    own = client_authority.ClientAuthority(
        f"{NAME}-authority",
        client_authority.ClientAuthorityArgs(
            trust_domain=f"{stack.name}-{NAME}",
            generations=_generations(authority.generations),
            validity_days=authority.validity_days,
            leaf_validity_days=lifetimes.leaf_validity_days,
            renew_before_days=lifetimes.renew_before_days,
            revoked=chosen.revoked,
            list_validity_days=authority.crl_validity_days,
            list_renew_before_days=authority.crl_renew_before_days,
        ),
    )
    return own.trust, own.resources.authority.issuer


def _external(authority: settings.ClientAuthority) -> client_authority.ClientTrust:
    assert authority.bundle is not None  # noqa: S101 - settings.load refuses an external one without
    return client_authority.ClientTrust(
        bundle_pem=_pem("clientAuthority.bundle", authority.bundle),
        revocation_lists={
            Path(file).stem: _pem("clientAuthority.revocationLists", file)
            for file in authority.revocation_lists
        },
    )


def _generations(chosen: tuple[settings.Generation, ...]) -> list[certificates.Generation]:
    return [certificates.Generation(name=each.name, state=each.state) for each in chosen]


def _pem(key: str, file: str) -> str:
    try:
        return (PROJECT / file).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise pulumi.RunError(
            f"passwordless-postgres:gateway.{key}: {file!r} cannot be read: {error}; give the path of a PEM "
            "file, from the project's folder"
        ) from None
