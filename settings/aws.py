"""Identifiers of AWS that stand in more than one section: ids, ARNs, hosted zones, retention of logs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Literal

from settings.section import Checked, integer_from_text

_PARTITION = re.compile(r"aws(-[a-z]+)*")
_ACCOUNT = re.compile(r"\d{12}", re.ASCII)
_IAM_NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
_LONGEST_IAM_PATH = 512
_OTHER_PRINCIPALS = {
    ":root": "is the whole account; name a role or user",
    ":group/": "is a group, which AWS takes in no resource policy; name a role or user",
    ":assumed-role/": "is one session of a role; name the role (arn:aws:iam::<account>:role/<name>)",
}
_KMS_KEY = re.compile(
    r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32})"
)
_CLUSTER_ISSUER = re.compile(
    r"arn:aws[a-z-]*:iam::\d{12}:oidc-provider/"
    r"oidc\.eks\.[a-z0-9-]+\.amazonaws\.(com|com\.cn|eu)/id/[0-9A-F]{32}",
    re.ASCII,
)
_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}")


def id_problems(prefix: str) -> Callable[[str], list[str]]:
    """A check for the ids of one kind of EC2 resource, such as `vpc`."""
    shape = re.compile(rf"{prefix}-([0-9a-f]{{8}}|[0-9a-f]{{17}})")

    def problems(value: str) -> list[str]:
        return [] if shape.fullmatch(value) else [f"is not an id of the kind {prefix}-0123456789abcdef0"]

    return problems


def _principal_arn_problems(arn: str) -> list[str]:
    """What is wrong with an ARN that a secret's policy shall name as a principal."""
    if _names_a_principal(arn):
        return []
    if "*" in arn or "?" in arn:
        return ["holds a wildcard; name each principal"]
    if "${" in arn:
        return ["holds a variable of IAM's policies; name each principal"]
    for part, problem in _OTHER_PRINCIPALS.items():
        if part in arn:
            return [problem]
    return ["is not of the form arn:aws:iam::123456789012:role/name or arn:aws:iam::123456789012:user/name"]


def _names_a_principal(arn: str) -> bool:
    """Whether an ARN names one IAM role or user, with a path or without."""
    prefix, partition, service, region, account, resource = [*arn.split(":", 5), *[""] * 5][:6]
    kind, *path, name = resource.split("/") if "/" in resource else ("", "")
    return bool(
        (prefix, service, region) == ("arn", "iam", "")
        and _PARTITION.fullmatch(partition)
        and _ACCOUNT.fullmatch(account)
        and kind in ("role", "user")
        and len("/".join(path)) + 2 <= _LONGEST_IAM_PATH
        and all(_IAM_NAME.fullmatch(part) for part in (*path, name))
    )


def _kms_key_arn_problems(arn: str) -> list[str]:
    if _KMS_KEY.fullmatch(arn):
        return []
    if ":alias/" in arn:
        return ["is an alias, which can point elsewhere tomorrow; give the ARN of the key"]
    return [
        "is not of the form arn:aws:kms:eu-central-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"
    ]


def _cluster_issuer_arn_problems(arn: str) -> list[str]:
    if _CLUSTER_ISSUER.fullmatch(arn):
        return []
    form = "arn:aws:iam::<account>:oidc-provider/oidc.eks.<region>.amazonaws.com/id/<32 hexadecimal digits>"
    return [f"is not of the form {form}"]


def _topic_arn_problems(arn: str) -> list[str]:
    return [] if _TOPIC.fullmatch(arn) else ["is not of the form arn:aws:sns:eu-central-1:123456789012:name"]


PrincipalArn = Annotated[str, Checked(_principal_arn_problems, "the ARN of one IAM role or user")]
KmsKeyArn = Annotated[str, Checked(_kms_key_arn_problems, "the ARN of a KMS key")]
ClusterIssuerArn = Annotated[
    str, Checked(_cluster_issuer_arn_problems, "the ARN of the OIDC provider of an EKS cluster")
]
TopicArn = Annotated[str, Checked(_topic_arn_problems, "the ARN of an SNS topic")]
SecurityGroupId = Annotated[str, Checked(id_problems("sg"), "sg- and 8 or 17 hexadecimal digits")]
LogRetentionDays = Annotated[
    Literal[
        1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288,
        3653,
    ],
    integer_from_text,
]  # fmt: skip
