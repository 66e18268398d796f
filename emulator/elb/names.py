"""What the types of Elastic Load Balancing share: tokens, ARNs, names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from emulator.core.aws_type import AwsRequest, known, text
from emulator.core.resource_type import Failure, Properties

LOAD_BALANCER = "aws:lb/loadBalancer:LoadBalancer"
LISTENER = "aws:lb/listener:Listener"
TARGET_GROUP = "aws:lb/targetGroup:TargetGroup"
TRUST_STORE = "aws:lb/trustStore:TrustStore"
REVOCATION = "aws:lb/trustStoreRevocation:TrustStoreRevocation"
NAME_LENGTH = 32


def name_problem(inputs: Properties, *, reserved: str | None = None) -> Iterable[Failure]:
    """A failure when a known name is not one that ELB takes.

    Args:
        inputs: With `name` or `namePrefix`.
        reserved: What it may not begin with.
    """
    for key in ("name", "namePrefix"):
        value = inputs.get(key)
        if not known(value):
            continue
        name = str(value)
        if not 1 <= len(name) <= NAME_LENGTH:
            yield Failure(key, f'"{key}" {name!r} cannot be longer than {NAME_LENGTH} characters, or empty')
        elif not all(character.isascii() and (character.isalnum() or character == "-") for character in name):
            yield Failure(key, f'only alphanumeric characters and hyphens allowed in "{key}": {name!r}')
        elif name.startswith("-"):
            yield Failure(key, f'"{key}" cannot begin with a hyphen: {name!r}')
        elif key == "name" and name.endswith("-"):
            yield Failure(key, f'"{key}" cannot end with a hyphen: {name!r}')
        elif reserved is not None and name.startswith(reserved):
            yield Failure(key, f'"{key}" cannot begin with "{reserved}": {name!r}')


def chosen_name(resource: AwsRequest, inputs: Properties) -> Any:
    """The name, or one that begins with the prefix; `UNKNOWN` while that is."""
    if inputs.get("name") is not None:
        return inputs["name"]
    prefix = inputs["namePrefix"]
    return text(prefix, resource.digest("name")[: max(NAME_LENGTH - len(str(prefix)), 0)][:26])


def balancing_arn(resource: AwsRequest, kind: str, name: Any) -> Any:
    """`arn:aws:elasticloadbalancing:…:<kind>/<name>/<16 hexadecimal digits>`."""
    return resource.arn("elasticloadbalancing", text(kind, "/", name, "/", resource.digest(kind)[:16]))


def arn_suffix(arn: Any, mark: str) -> Any:
    """What of an ARN CloudWatch's dimensions take: all after `mark`."""
    return arn.partition(mark)[2] if known(arn) else arn
