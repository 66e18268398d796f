"""The API of RDS as far as something calls it at run time: describing instances, and rebooting one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from xml.sax.saxutils import escape

from emulator.endpoint.credentials import ACCOUNT
from emulator.endpoint.exchange import HttpResponse
from emulator.endpoint.front_door import ServiceCall
from emulator.endpoint.refusals import Kind, Refusal
from emulator.postgresql_server.binaries import pin_for
from emulator.rds.authority import HOST
from emulator.rds.databases import Databases, UnknownInstance
from emulator.rds.instance import Instance

SERVICE = "rds"
_NAMESPACE = "http://rds.amazonaws.com/doc/2014-10-31/"


class RdsApi:
    """Answers authorised calls, for `AwsEndpoint.serve`.

    Args:
        databases: The instances.
    """

    def __init__(self, databases: Databases) -> None:
        self._databases = databases

    def __call__(self, call: ServiceCall) -> HttpResponse:
        """Answers one call.

        Raises:
            Refusal: No such instance, or an operation without stand-in.
        """
        identifier = call.operation.parameters.get("DBInstanceIdentifier")
        match call.operation.name:
            case "DescribeDBInstances":
                found = [self._named(identifier)] if identifier else list(self._databases.instances)
                result = {"DBInstances": [("DBInstance", described(instance)) for instance in found]}
            case "RebootDBInstance":
                if not identifier:
                    raise Refusal(
                        Kind.INVALID,
                        "The request must contain the parameter DBInstanceIdentifier.",
                        "MissingParameter",
                    )
                instance = self._named(identifier)
                if instance.status not in ("available", "incompatible-parameters"):
                    raise Refusal(
                        Kind.INVALID, "Database instance is not in available state.", "InvalidDBInstanceState"
                    )
                result = {"DBInstance": described(self._databases.reboot(identifier))}
            case name:
                raise Refusal(
                    Kind.UNKNOWN_OPERATION,
                    f"rds:{name} has no stand-in in the sandbox; it has DescribeDBInstances and "
                    "RebootDBInstance",
                )
        name = call.operation.name
        body = (
            f'<{name}Response xmlns="{_NAMESPACE}"><{name}Result>{_xml(result)}</{name}Result>'
            f"<ResponseMetadata><RequestId>{call.request_id}</RequestId></ResponseMetadata></{name}Response>"
        )
        return HttpResponse(status=200, headers={"Content-Type": "text/xml"}, body=body.encode())

    def _named(self, identifier: str) -> Instance:
        try:
            return self._databases.named(identifier)
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
        "DBParameterGroups": [("DBParameterGroup", group)],
        "CACertificateIdentifier": instance.ca_identifier,
        "IAMDatabaseAuthenticationEnabled": instance.iam_authentication,
        "EnabledCloudwatchLogsExports": [("member", name) for name in instance.log_exports],
    }


def _xml(value: Any) -> str:
    match value:
        case Mapping():
            return "".join(
                f"<{name}>{_xml(item)}</{name}>" for name, item in value.items() if item is not None
            )
        case str():
            return escape(value)
        case bool():
            return str(value).lower()
        case Iterable():
            return "".join(f"<{name}>{_xml(item)}</{name}>" for name, item in value)
        case _:
            return str(value)
