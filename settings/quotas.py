"""Quotas of AWS that a stack file can reach: one table, and the section `quotas` for what AWS has raised.

`settings` checks those that a value shows, `components.preflight` those that only rendered text shows. Both
report before anything is deployed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from pydantic import Field
from pydantic.alias_generators import to_camel

from settings.section import Section, StrictInt

Counted = Literal["entries", "characters", "characters without white space", "bytes", "bits"]


@dataclass(frozen=True, kw_only=True)
class Quota:
    """One limit of AWS.

    Attributes:
        limited: What is limited, and for which resource.
        limit: The most that AWS takes unless it has raised it.
        counted: What the number counts.
        source: Where AWS says so; read in November 2026.
        setting: The field of `Quotas` that says how far AWS has raised it; None where it is fixed.
        raised_to: Up to where AWS raises it; None where it does not say.
    """

    limited: str
    limit: int
    counted: Counted
    source: str
    setting: str | None = None
    raised_to: int | None = None

    def size(self, *texts: str) -> int:
        """How large AWS finds these texts together."""
        match self.counted:
            case "bytes":
                return sum(len(text.encode()) for text in texts)
            case "characters without white space":
                return sum(len("".join(text.split())) for text in texts)
            case _:
                return sum(len(text) for text in texts)

    def excess(self, size: int, raised: Quotas | None = None) -> str | None:
        """What exceeds the limit, as the end of a sentence with "makes"; None where nothing does."""
        limit, hint = self.limit, ""
        if self.setting is not None:
            limit = limit if raised is None else getattr(raised, self.setting)
            hint = f" (if AWS has raised it, say so in quotas.{to_camel(self.setting)})"
        if size <= limit:
            return None
        return f"{size} {self.counted} of {self.limited}; AWS takes {limit}{hint}"


_IAM = "IAM User Guide, IAM and AWS STS quotas"
_IAM_API = "IAM API Reference, CreateRole"
_ELB = "User Guide for Application Load Balancers, Quotas"

INLINE_POLICIES = Quota(
    limited="the inline policies of one IAM role together",
    limit=10_240,
    counted="characters without white space",
    source=_IAM,
)
TRUST_POLICY = Quota(
    limited="the trust policy of one IAM role",
    limit=2_048,
    counted="characters without white space",
    source=_IAM,
    setting="trust_policy_characters",
    raised_to=8_192,
)
ROLE_NAME = Quota(limited="the name of one IAM role", limit=64, counted="characters", source=_IAM)
POLICY_NAME = Quota(limited="the name of one inline policy", limit=128, counted="characters", source=_IAM)
ROLE_DESCRIPTION = Quota(
    limited="the description of one IAM role, in letters of Latin-1",
    limit=1_000,
    counted="characters",
    source=_IAM_API,
)
BUCKET_POLICY = Quota(
    limited="the policy of one S3 bucket",
    limit=20_480,
    counted="bytes",
    source="Amazon S3 User Guide, Policies and permissions",
)
SECRET_POLICY = Quota(
    limited="the resource policy of one secret",
    limit=20_480,
    counted="characters",
    source="Secrets Manager User Guide, quotas",
)
KEY_POLICY = Quota(
    limited="the policy of one KMS key",
    limit=32_768,
    counted="bytes",
    source="AWS KMS Developer Guide, Resource quotas",
)
SECRET_VALUE = Quota(
    limited="the value of one secret",
    limit=65_536,
    counted="bytes",
    source="Secrets Manager User Guide, quotas",
)
USER_DATA = Quota(
    limited="user-data before base64",
    limit=16_384,
    counted="bytes",
    source="Amazon EC2 User Guide, Run commands when you launch an EC2 instance",
)
FUNCTION_ENVIRONMENT = Quota(
    limited="the environment variables of one Lambda function",
    limit=4_096,
    counted="bytes",
    source="AWS Lambda Developer Guide, quotas",
)
FUNCTION_SUBNETS = Quota(
    limited="the subnets of one Lambda function",
    limit=16,
    counted="entries",
    source="AWS Lambda API Reference, VpcConfig",
)
SCHEDULE_EVENT = Quota(
    limited="the event of one schedule",
    limit=262_144,
    counted="bytes",
    source="EventBridge Scheduler User Guide, Quotas",
)
SECURITY_GROUP_RULES = Quota(
    limited="the inbound rules of one security group for one IP version",
    limit=60,
    counted="entries",
    source="Amazon VPC User Guide, quotas; a rule that names a group counts for both IP versions",
    setting="rules_per_security_group",
    raised_to=1_000,
)
RESOURCE_TAGS = Quota(
    limited="the tags of one resource, `Name` among them",
    limit=50,
    counted="entries",
    source="Tagging AWS Resources User Guide",
)
OBJECT_TAGS = Quota(
    limited="the tags of one S3 object",
    limit=10,
    counted="entries",
    source="Amazon S3 User Guide, Categorizing objects using tags",
)
TAG_KEY = Quota(
    limited="the key of one tag", limit=128, counted="characters", source="Tagging AWS Resources User Guide"
)
TAG_VALUE = Quota(
    limited="the value of one tag", limit=256, counted="characters", source="Tagging AWS Resources User Guide"
)
ALARM_ACTIONS = Quota(
    limited="the actions of one CloudWatch alarm",
    limit=5,
    counted="entries",
    source="Amazon CloudWatch API Reference, PutMetricAlarm",
)
TRUST_STORE_CERTIFICATES = Quota(
    limited="the certificates of one trust store",
    limit=25,
    counted="entries",
    source=_ELB,
    setting="certificates_per_trust_store",
)
TRUST_STORE_CERTIFICATE = Quota(
    limited="one certificate of a trust store", limit=16_384, counted="bytes", source=_ELB
)
TRUST_STORE_SUBJECTS = Quota(
    limited="the subjects of the certificates of one trust store together",
    limit=10_000,
    counted="bytes",
    source=_ELB,
)
TRUST_STORE_LISTS = Quota(
    limited="the revocation lists of one trust store",
    limit=30,
    counted="entries",
    source=_ELB,
    setting="revocation_lists_per_trust_store",
)
TRUST_STORE_REVOCATIONS = Quota(
    limited="the revoked certificates of one trust store", limit=500_000, counted="entries", source=_ELB
)
TRUST_STORE_LIST = Quota(
    limited="one revocation list of a trust store", limit=50_000_000, counted="bytes", source=_ELB
)
LOAD_BALANCER_SUBNET = Quota(
    limited="the prefix of one subnet of a load balancer",
    limit=27,
    counted="bits",
    source="User Guide for Application Load Balancers, Subnets for your load balancer",
)
CERTIFICATE_DOMAIN = Quota(
    limited="the first name of one certificate of ACM",
    limit=64,
    counted="characters",
    source="ACM API Reference, RequestCertificate",
)
COMMON_NAME = Quota(
    limited="the common name of one certificate",
    limit=64,
    counted="characters",
    source="RFC 5280, appendix A.1, ub-common-name",
)
INSTANCE_IDENTIFIER = Quota(
    limited="the identifier of one RDS instance",
    limit=63,
    counted="characters",
    source="Amazon RDS API Reference, CreateDBInstance",
)

TABLE: tuple[Quota, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Quota))
"""Every quota, in the order of this file."""

OF_THE_ACCOUNT: Mapping[str, str] = MappingProxyType(
    {
        "IAM": "roles and instance profiles; the policies that a role of `iamRoles` has from elsewhere",
        "Amazon VPC": "VPCs, subnets, internet gateways, NAT gateways of a zone, Elastic IP addresses, "
        "security groups, network interfaces; free addresses of an existing subnet",
        "Amazon EC2": "vCPUs by family of instance types, launch templates; Auto Scaling groups",
        "Amazon EBS": "storage, IOPS and snapshots of gp3",
        "Amazon RDS": "instances, storage, snapshots, subnet groups, parameter groups, event subscriptions",
        "Elastic Load Balancing": "load balancers, target groups, trust stores",
        "Amazon S3": "buckets",
        "AWS Lambda": "concurrent executions, storage of code, network interfaces of a VPC",
        "EventBridge Scheduler": "schedules",
        "Secrets Manager": "secrets",
        "Systems Manager": "parameters",
        "Amazon CloudWatch": "alarms, log groups",
        "AWS KMS": "keys",
        "Amazon Route 53": "hosted zones, records of a zone, VPCs of a zone",
        "ACM": "certificates, and certificates requested in a year",
    }
)
"""What AWS counts in a whole account, by service: no stack file shows it, and AWS alone refuses it."""


def _raised(quota: Quota) -> Any:
    return Field(default=quota.limit, ge=quota.limit, le=quota.raised_to)


class Quotas(Section):
    """Quotas that AWS has raised for this account; an absent one is AWS's default."""

    rules_per_security_group: StrictInt = _raised(SECURITY_GROUP_RULES)
    """Inbound rules of one security group, for each IP version."""
    trust_policy_characters: StrictInt = _raised(TRUST_POLICY)
    """Characters of an IAM role's trust policy, white space apart."""
    certificates_per_trust_store: StrictInt = _raised(TRUST_STORE_CERTIFICATES)
    """Certificates in one trust store of Elastic Load Balancing."""
    revocation_lists_per_trust_store: StrictInt = _raised(TRUST_STORE_LISTS)
    """Revocation lists in one trust store of Elastic Load Balancing."""
