"""Types of single values in a stack file."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator

from postgres import declaration, identifiers, networks
from settings import application, aws, aws_rds, client_identity, dns, yaml_names
from settings.checked import Checked

_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)")
_GENERATION_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,15}")


def _whole_number(value: Any) -> Any:
    # The engine rewrites 17 into "17" when it rewrites a stack file; true, 1.0 and "0x11" are none of ours.
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("is not a whole number")  # noqa: TRY004 pydantic collects ValueError only
    return value


def _truth(value: Any) -> Any:
    spelled = {"true": True, "false": False}
    if isinstance(value, str) and value in spelled:
        return spelled[value]
    if not isinstance(value, bool):
        raise ValueError("is not a boolean")  # noqa: TRY004 pydantic collects ValueError only
    return value


def _without_duplicates(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if repeated := [str(value) for position, value in enumerate(values) if value in values[:position]]:
        raise ValueError(f"lists {', '.join(sorted(set(repeated)))} more than once; remove the repetition")
    return values


def _setting_text(value: Any) -> Any:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (int, float)):
        return str(value)
    return value


def _generation_name_problems(name: str) -> list[str]:
    """What is wrong with the name of an authority's generation."""
    return [] if _GENERATION_NAME.fullmatch(name) else ["is not a name for a generation, such as 1 or 2027"]


def _extension_problems(name: str) -> list[str]:
    return ["is not on the list of extensions"] if declaration.extension_problems(name) else []


def _not_by_function(value: Any) -> Any:
    if value == "function":
        raise ValueError(
            "is the way for RDS, where no machine of ours stands beside the server; a self-managed server "
            "has its node: choose node, or provider when pulumi up can reach the server"
        )
    return value


unique = AfterValidator(_without_duplicates)

Whole = Annotated[int, BeforeValidator(_whole_number)]
Truth = Annotated[bool, BeforeValidator(_truth)]
# PostgreSQL takes every value as text, so a number or boolean of YAML has one meaning only.
SettingText = Annotated[str, BeforeValidator(_setting_text, json_schema_input_type=str | bool | int | float)]
Architecture = Literal["arm64", "x86_64"]
GenerationState = Literal["trusted", "issuing", "retiring"]
LogRetentionDays = Annotated[
    Literal[
        1,
        3,
        5,
        7,
        14,
        30,
        60,
        90,
        120,
        150,
        180,
        365,
        400,
        545,
        731,
        1096,
        1827,
        2192,
        2557,
        2922,
        3288,
        3653,
    ],
    BeforeValidator(_whole_number),
]
Privilege = Literal[
    "connect", "create", "delete", "execute", "insert", "maintain", "references", "select", "temporary",
    "trigger", "truncate", "update", "usage",
]  # fmt: skip

RoleName = Annotated[str, Checked(identifiers.role_name_problems, "a PostgreSQL role name")]
DatabaseName = Annotated[str, Checked(identifiers.database_name_problems, "a PostgreSQL database name")]
ClientNetwork = Annotated[
    str, Checked(networks.network_problems, "a network such as 10.30.0.0/24 or fd00::/64")
]
PrincipalArn = Annotated[str, Checked(aws.principal_arn_problems, "the ARN of one IAM role or user")]
SecurityGroupId = Annotated[str, Checked(aws.id_problems("sg"), "sg- and 8 or 17 hexadecimal digits")]
TagKey = Annotated[str, Checked(aws.tag_key_problems, "a tag key of up to 128 characters, not aws:...")]
TagValue = Annotated[str, Checked(aws.tag_value_problems, "a tag value of up to 256 characters")]
SubnetId = Annotated[str, Checked(aws.id_problems("subnet"), "subnet- and 8 or 17 hexadecimal digits")]


_EXTENSIONS = ", ".join(sorted(declaration.TRUSTED_EXTENSIONS | declaration.SUPERUSER_EXTENSIONS))
Extension = Annotated[str, Checked(_extension_problems, _EXTENSIONS)]
DeclaredRoleName = Annotated[RoleName, Checked(yaml_names.rewritten_name_problems, "")]
DeclaredDatabaseName = Annotated[DatabaseName, Checked(yaml_names.rewritten_name_problems, "")]
VpcCidr = Annotated[str, Checked(aws.vpc_cidr_problems, "a private IPv4 network from /16 to /25")]
VpcId = Annotated[str, Checked(aws.id_problems("vpc"), "vpc- and 8 or 17 hexadecimal digits")]
ImageId = Annotated[str, Checked(aws.id_problems("ami"), "ami- and 8 or 17 hexadecimal digits")]
KmsKeyArn = Annotated[str, Checked(aws.kms_key_arn_problems, "the ARN of a KMS key")]
InstanceType = Annotated[str, Checked(aws.instance_type_problems, "an EC2 instance type such as m7g.large")]
GenerationName = Annotated[
    str, Checked(_generation_name_problems, "1 to 16 lower-case letters, digits and hyphens")
]
DnsZone = Annotated[str, Checked(dns.zone_problems, "a DNS name such as db.internal")]
RelativeDnsName = Annotated[
    str, Checked(dns.relative_name_problems, "a DNS name, or empty for the zone itself")
]
RolesThrough = Annotated[Literal["node", "provider"], BeforeValidator(_not_by_function)]

DbInstanceClass = Annotated[
    str,
    Checked(aws_rds.instance_class_problems, "an RDS instance class of 2 GiB or more such as db.m7g.large"),
]
BackupWindow = Annotated[str, Checked(aws_rds.backup_window_problems, "hh:mm-hh:mm, 30 minutes or more")]
MaintenanceWindow = Annotated[
    str, Checked(aws_rds.maintenance_window_problems, "ddd:hh:mm-ddd:hh:mm, 30 minutes or more")
]
IamRoleName = Annotated[
    str, Checked(aws_rds.iam_role_name_problems, "the name of an IAM role of this account")
]
ServicePrincipal = Annotated[
    str, Checked(aws_rds.service_principal_problems, "a service such as ecs-tasks.amazonaws.com")
]
TopicArn = Annotated[str, Checked(aws_rds.topic_arn_problems, "the ARN of an SNS topic")]
BundlePath = Annotated[str, Checked(aws_rds.bundle_path_problems, "the path of a PEM file")]
MonitoringInterval = Annotated[Literal[1, 5, 10, 15, 30, 60], BeforeValidator(_whole_number)]

ClientName = Annotated[
    str,
    Checked(client_identity.client_name_problems, "1 to 40 lower-case letters, digits, hyphens and _ inside"),
]
ClientUri = Annotated[
    str, Checked(client_identity.uri_problems, "a URI such as spiffe://example.org/billing")
]
ClientDnsName = Annotated[str, Checked(client_identity.dns_name_problems, "a DNS name of one client")]
CommonName = Annotated[str, Checked(client_identity.common_name_problems, "1 to 64 characters")]
SerialNumber = Annotated[
    str, Checked(client_identity.serial_number_problems, "a serial number in hexadecimal, in quotes")
]
AsgiApplication = Annotated[
    str, Checked(application.application_problems, "module:attribute of an ASGI application")
]
SourcePath = Annotated[str, Checked(application.source_path_problems, "the path of a folder")]
CertificateArn = Annotated[str, Checked(aws.certificate_arn_problems, "the ARN of a certificate in ACM")]
HostedZoneId = Annotated[str, Checked(aws.hosted_zone_problems, "the id of a hosted zone")]
