"""RDS for PostgreSQL, as a stack's settings ask for it."""

from __future__ import annotations

from pathlib import Path

import pulumi
import pulumi_postgresql as postgresql

import settings
from components import database_roles
from components.rds import authorities as rds_authorities
from components.rds import choices as rds_choices
from components.rds import instance as rds
from settings.rds import MASTER
from stacks.stack import Stack

NAME = "rds"

PROJECT = Path(__file__).resolve().parent.parent


def deploy(stack: Stack, server: settings.Rds) -> tuple[rds.RdsPostgres, dict[str, pulumi.Output[str]]]:
    """The instance, and the ARN of each IAM role made for an application, by database role."""
    authorities = _authorities(stack, server)
    deployed = rds.RdsPostgres(
        NAME,
        rds.RdsPostgresArgs(
            stack=stack.name,
            account=stack.account,
            network=stack.network,
            administrators=stack.administrators,
            major=server.major,
            instance_class=server.instance_class,
            multi_az=server.multi_az,
            storage=rds_choices.Storage(**dict(server.storage)),
            port=server.port,
            minimum_protocol=server.minimum_protocol,
            ca_identifier=server.ca_identifier,
            server_ca_pem=authorities,
            allowed_networks=server.allowed_clients.networks,
            allowed_security_groups=server.allowed_clients.security_groups,
            master=MASTER,
            declaration=server.declaration,
            executor=server.database_roles.through,
            parameters=dict(server.parameters),
            backup=rds_choices.Backup(**dict(server.backup)),
            maintenance_window=server.maintenance_window,
            apply_immediately=server.apply_immediately,
            deletion_protection=server.deletion_protection,
            monitoring_interval_seconds=server.monitoring_interval_seconds,
            alarm_topics=server.alarm_topics,
            log_retention_days=server.log_retention_days,
            tags=stack.tags,
        ),
    )
    if server.database_roles.through == "provider":
        _deploy_roles(stack, server, deployed)
    return deployed, _allow_applications(server, deployed)


def _allow_applications(server: settings.Rds, deployed: rds.RdsPostgres) -> dict[str, pulumi.Output[str]]:
    made: dict[str, pulumi.Output[str]] = {}
    for name, role in server.roles.items():
        for iam_role in role.iam_roles:
            deployed.allow_connect(iam_role, name)
        if role.new_iam_role is not None:
            connector = deployed.allow_connect(rds_choices.NewIamRole(**dict(role.new_iam_role)), name)
            if connector.new_role is not None:
                made[name] = connector.new_role.arn
    return made


def _authorities(stack: Stack, server: settings.Rds) -> pulumi.Input[str]:
    """What clients trust: the stack's own bundle, or Amazon's authorities of the region."""
    if server.ca_bundle is not None:
        path = PROJECT / server.ca_bundle
        try:
            return path.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise pulumi.RunError(
                f"passwordless-postgres:rds.caBundle: {server.ca_bundle!r} cannot be read: {error}; give the "
                "path of a PEM file, from the project's folder"
            ) from None
    if stack.region is not None:
        return _authorities_of(stack.region)
    return pulumi.Output.from_input(stack.account.region).apply(_authorities_of)


def _authorities_of(region: str) -> str:
    try:
        return rds_authorities.authorities_of(region)
    except (rds_authorities.UnknownRegionError, rds_authorities.ChangedBundleError) as error:
        raise pulumi.RunError(f"passwordless-postgres:rds: {error}") from None


def _deploy_roles(stack: Stack, server: settings.Rds, deployed: rds.RdsPostgres) -> None:
    """Databases, roles and grants by pulumi-postgresql, as the administrator by IAM.

    The provider reads authorities from a file unless there is a client certificate, and signs tokens for
    an empty region unless it is given one.
    """
    bundle = PROJECT / server.ca_bundle if server.ca_bundle is not None else rds_authorities.FILE
    provider = postgresql.Provider(
        f"{NAME}-administrator",
        host=deployed.host,
        port=server.port,
        username=server.database_roles.administrator,
        database="postgres",
        superuser=False,
        sslmode="verify-full",
        sslrootcert=str(bundle),
        aws_rds_iam_auth=True,
        aws_rds_iam_region=stack.account.region,
        connect_timeout=15,
    )
    database_roles.DatabaseRoles(
        f"{NAME}-roles",
        database_roles.DatabaseRolesArgs(declaration=server.declaration, major=server.major, platform="rds"),
        # Roles live in the instance: when that goes, nobody needs to log in to drop them first.
        opts=pulumi.ResourceOptions(
            providers={"postgresql": provider}, deleted_with=deployed.resources.instance
        ),
    )
