"""The API of RDS as far as something calls it at run time: describing instances, and rebooting one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emulator.endpoint.credentials import ACCOUNT
from emulator.endpoint.exchange import HttpResponse
from emulator.endpoint.front_door import ServiceCall
from emulator.endpoint.query_answers import query_answer
from emulator.endpoint.refusals import Kind, Refusal
from emulator.postgresql_server.binaries import pin_for
from emulator.rds.authority import HOST
from emulator.rds.databases import Databases, UnknownInstance
from emulator.rds.model import Instance

SERVICE = "rds"


def answer(databases: Databases, call: ServiceCall) -> HttpResponse:
    """Answers an authorised call, for `AwsEndpoint.serve`.

    Raises:
        Refusal: No such instance, or an operation without stand-in.
    """
    identifier = call.operation.parameters.get("DBInstanceIdentifier")
    match call.operation.name:
        case "DescribeDBInstances":
            found = [_named(databases, identifier)] if identifier else list(databases.instances)
            result = {"DBInstances": [described(instance) for instance in found]}
        case "RebootDBInstance":
            if not identifier:
                raise Refusal(
                    Kind.INVALID,
                    "The request must contain the parameter DBInstanceIdentifier.",
                    "MissingParameter",
                )
            instance = _named(databases, identifier)
            if instance.status not in ("available", "incompatible-parameters"):
                raise Refusal(
                    Kind.INVALID, "Database instance is not in available state.", "InvalidDBInstanceState"
                )
            result = {"DBInstance": described(databases.reboot(identifier))}
        case name:
            raise Refusal(
                Kind.UNKNOWN_OPERATION,
                f"rds:{name} has no stand-in in the sandbox; it has DescribeDBInstances and RebootDBInstance",
            )
    return query_answer(call.operation, result, call.request_id)


def _named(databases: Databases, identifier: str) -> Instance:
    try:
        return databases.named(identifier)
    except UnknownInstance:
        raise Refusal(Kind.INVALID, f"DBInstance {identifier} not found.", "DBInstanceNotFound") from None


def instance_arn(region: str, identifier: str) -> str:
    """ARN of an instance."""
    return f"arn:aws:rds:{region}:{ACCOUNT}:db:{identifier}"


def described(instance: Instance) -> Mapping[str, Any]:
    """The members of a DBInstance that the sandbox has something to say about."""
    group = {
        "DBParameterGroupName": instance.parameters.group,
        "ParameterApplyStatus": instance.parameters.status,
    }
    return {
        "DBInstanceIdentifier": instance.identifier,
        "DBInstanceStatus": instance.status,
        "DBInstanceArn": instance_arn(instance.region, instance.identifier),
        "DbiResourceId": instance.resource_id,
        "Engine": "postgres",
        "EngineVersion": pin_for(instance.major).version.removesuffix(".0"),
        "MasterUsername": instance.master,
        "DBName": instance.database,
        "Endpoint": {"Address": HOST, "Port": instance.port},
        "DBParameterGroups": [group],
        "CACertificateIdentifier": instance.ca_identifier,
        "IAMDatabaseAuthenticationEnabled": instance.iam_authentication,
        "EnabledCloudwatchLogsExports": list(instance.log_exports),
    }
