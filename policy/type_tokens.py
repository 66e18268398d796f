"""Type tokens that several modules use, and their normalisation."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

ACM_CERTIFICATE = "aws:acm/certificate:Certificate"
EC2_INSTANCE = "aws:ec2/instance:Instance"
IAM_ROLE = "aws:iam/role:Role"
LAUNCH_TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
POSTGRESQL_ROLE = "postgresql:index/role:Role"
SECRET_VERSION = "aws:secretsmanager/secretVersion:SecretVersion"
SSM_PARAMETER = "aws:ssm/parameter:Parameter"

_MODULES: Mapping[str, str] = MappingProxyType(
    {"alb": "lb", "applicationloadbalancing": "lb", "elasticloadbalancingv2": "lb"}
)
_PARTS = 3


def normalised(token: str) -> str:
    """The token that rules name, such as `aws:rds/instance:Instance`.

    `aws:rds:Instance` is its short form, `aws:alb/listener:Listener` an older module of the same type
    and `aws:s3/bucketV2:BucketV2` its name in pulumi-aws 6. Tokens of other packages stay as they are.
    """
    parts = token.split(":")
    if len(parts) != _PARTS or parts[0] != "aws":
        return token
    package, place, name = parts
    module = place.partition("/")[0]
    module = _MODULES.get(module, module)
    if module == "s3":
        name = name.removesuffix("V2")
    return f"{package}:{module}/{name[:1].lower()}{name[1:]}:{name}"
