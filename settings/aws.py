"""What AWS itself takes: identifiers, ARNs, instance types, gp3 volumes, tags."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Network
from typing import Literal

# RFC 1918 and RFC 6598: a VPC with other addresses hides the part of the internet that owns them.
_PRIVATE = tuple(
    IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
)
_LARGEST_VPC_PREFIX = 16
_SMALLEST_VPC_PREFIX = 25  # eight subnets of AWS's smallest size, /28

_GP3_BASELINE_IOPS = 3000

_PRINCIPAL = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:(role|user)/([!-~]+/)*[\w+=,.@-]{1,64}", re.ASCII)
_KMS_KEY = re.compile(
    r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32})"
)
_CERTIFICATE = re.compile(
    r"arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)
_HOSTED_ZONE = re.compile(r"Z[A-Z0-9]{1,31}")
_INSTANCE_TYPE = re.compile(
    r"(?P<series>[a-z]+(-\d+tb)?)(?P<generation>\d+)(?P<attributes>[a-z]*)(-[a-z0-9]+)*"
    r"\.(nano|micro|small|medium|large|\d*xlarge|metal(-\d+xl)?)"
)
_TAG_CHARACTERS = re.compile(r"[\w .:/=+\-@]*")


def id_problems(prefix: str) -> Callable[[str], list[str]]:
    """A check for the ids of one kind of EC2 resource, such as `vpc`."""
    shape = re.compile(rf"{prefix}-([0-9a-f]{{8}}|[0-9a-f]{{17}})")

    def problems(value: str) -> list[str]:
        return [] if shape.fullmatch(value) else [f"is not an id of the kind {prefix}-0123456789abcdef0"]

    return problems


def principal_arn_problems(arn: str) -> list[str]:
    """What is wrong with an ARN that a secret's policy shall name as a principal."""
    if _PRINCIPAL.fullmatch(arn) and "*" not in arn:
        return []
    if "*" in arn:
        return ["holds a wildcard; name each principal"]
    if re.fullmatch(r"arn:aws[a-z-]*:iam::\d{12}:root", arn):
        return ["is the whole account; name a role or user"]
    if ":group/" in arn:
        return ["is a group, which AWS takes in no resource policy; name a role or user"]
    if ":assumed-role/" in arn:
        return ["is one session of a role; name the role (arn:aws:iam::<account>:role/<name>)"]
    return ["is not of the form arn:aws:iam::123456789012:role/name or arn:aws:iam::123456789012:user/name"]


def kms_key_arn_problems(arn: str) -> list[str]:
    """What is wrong with the ARN of a KMS key."""
    if _KMS_KEY.fullmatch(arn):
        return []
    if ":alias/" in arn:
        return ["is an alias, which can point elsewhere tomorrow; give the ARN of the key"]
    return [
        "is not of the form arn:aws:kms:eu-central-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"
    ]


def certificate_arn_problems(arn: str) -> list[str]:
    """What is wrong with the ARN of a certificate in ACM."""
    if _CERTIFICATE.fullmatch(arn):
        return []
    shape = "arn:aws:acm:eu-central-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"
    return [f"is not of the form {shape}"]


def hosted_zone_problems(zone: str) -> list[str]:
    """What is wrong with the id of a hosted zone."""
    return [] if _HOSTED_ZONE.fullmatch(zone) else ["is not the id of a hosted zone such as Z0123456789ABC"]


def instance_type_problems(instance_type: str) -> list[str]:
    """What is wrong with the name of an EC2 instance type; whether a region has it, only AWS knows."""
    if not _INSTANCE_TYPE.fullmatch(instance_type):
        return ["is not an EC2 instance type such as m7g.large or m7i.2xlarge"]
    if instance_type.startswith("mac"):
        return ["is a Mac; choose a type that runs Linux, such as m7g.large"]
    return []


def architecture_of(instance_type: str) -> Literal["arm64", "x86_64"]:
    """The processor of an instance type: arm64 for Graviton (`g` after the generation) and a1."""
    match = _INSTANCE_TYPE.fullmatch(instance_type)
    graviton = match is not None and (
        "g" in match["attributes"] or match["series"] + match["generation"] == "a1"
    )
    return "arm64" if graviton else "x86_64"


def vpc_cidr_problems(cidr: str) -> list[str]:
    """What is wrong with the addresses of a new VPC."""
    try:
        network = IPv4Network(cidr)
    except ValueError as error:
        return [f"is no network: {error}"]
    found = []
    if network.prefixlen < _LARGEST_VPC_PREFIX:
        found.append(
            f"is a /{network.prefixlen}, larger than AWS takes; choose a /{_LARGEST_VPC_PREFIX} or smaller"
        )
    if network.prefixlen > _SMALLEST_VPC_PREFIX:
        found.append(
            f"is a /{network.prefixlen}, too small to split into eight subnets of at least 16 addresses; "
            f"choose a /{_SMALLEST_VPC_PREFIX} or larger"
        )
    if not any(network.subnet_of(private) for private in _PRIVATE):
        found.append(
            f"is outside the private ranges {', '.join(map(str, _PRIVATE))}; choose a network in one of them"
        )
    return found


def gp3_problems(size_gib: int, iops: int, throughput_mibps: int) -> list[tuple[str, int, str]]:
    """Key, value and problem where a gp3 volume's numbers do not fit each other (EBS user guide)."""
    found = []
    most_iops = max(_GP3_BASELINE_IOPS, 500 * size_gib)
    if iops > most_iops:
        found.append(
            (
                "iops",
                iops,
                f"is too much for {size_gib} GiB; allowed: {_GP3_BASELINE_IOPS} to {most_iops} (500 per GiB)",
            )
        )
    if throughput_mibps * 4 > iops:
        text = f"is too much for {iops} iops; allowed: 125 to {iops // 4} (a quarter of iops)"
        found.append(("throughputMiBps", throughput_mibps, text))
    return found


def tag_key_problems(key: str) -> list[str]:
    """What is wrong with the key of a tag."""
    if not key:
        return ["is empty"]
    found = [f"has {len(key)} characters; AWS takes 128"] if len(key) > 128 else []
    if key.lower().startswith("aws:"):
        found.append("begins with aws:, which AWS keeps for itself; choose another key")
    if key == "Name":
        found.append("is set by the program, to each resource's own name; choose another key")
    return found + _tag_character_problems(key)


def tag_value_problems(value: str) -> list[str]:
    """What is wrong with the value of a tag."""
    found = [f"has {len(value)} characters; AWS takes 256"] if len(value) > 256 else []
    return found + _tag_character_problems(value)


def _tag_character_problems(text: str) -> list[str]:
    if _TAG_CHARACTERS.fullmatch(text):
        return []
    return ["has characters that AWS does not take in tags; use letters, digits, spaces and . : / = + - @ _"]
