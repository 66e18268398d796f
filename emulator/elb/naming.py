"""What the types of Elastic Load Balancing share: tokens, ARNs and names, and the service that runs them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from emulator.core.aws_type import AwsRequest, AwsType, known, text
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.elb.model import ElbResource
from emulator.elb.service import LoadBalancers, UnknownResource

LOAD_BALANCER = "aws:lb/loadBalancer:LoadBalancer"
LISTENER = "aws:lb/listener:Listener"
TARGET_GROUP = "aws:lb/targetGroup:TargetGroup"
TRUST_STORE = "aws:lb/trustStore:TrustStore"
REVOCATION = "aws:lb/trustStoreRevocation:TrustStoreRevocation"
NAME_LENGTH = 32


class ElbType(AwsType):
    """A type whose model the load balancers' service keeps and runs."""

    model: ClassVar[type[ElbResource]]  # pyright: ignore[reportIncompatibleVariableOverride] - narrower

    def provision(self, request: AwsRequest) -> Properties:
        self.service(LoadBalancers).put(self.model.declared(request.inputs, arn=request.id))
        return {}

    def observe(self, request: AwsRequest) -> Properties | None:
        try:
            self.service(LoadBalancers).get(self.model, request.id)
        except UnknownResource:
            return None
        return {}

    def dispose(self, request: AwsRequest) -> None:
        self.service(LoadBalancers).remove(self.model, request.id)


class NamedElbType(ElbType):
    """A type with an ARN that contains its name, which is unique.

    Attributes:
        path: What comes before the name in the ARN.
        words: The type's name as errors have it.
        reserved: Prefix that a name may not have.
    """

    name_property = "name"
    name_maximum = NAME_LENGTH
    path: ClassVar[str]
    words: ClassVar[str]
    reserved: ClassVar[str | None] = None

    def resource_id(self, request: AwsRequest) -> Any:
        """`arn:aws:elasticloadbalancing:…:<path>/<name>/<16 hexadecimal digits>`."""
        digits = request.digest(self.path)[:16]
        return request.arn(
            "elasticloadbalancing", text(self.path, "/", self.physical_name(request), "/", digits)
        )

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        for key in ("name", "namePrefix"):
            if known(inputs.get(key)):
                problem = _name_problem(key, str(inputs[key]), self.reserved)
                if problem is not None:
                    yield Failure(key, problem)

    def refuse(self, request: AwsRequest) -> None:
        name = self.physical_name(request)
        for other in self.others(request):
            if other.outputs.get("name", other.inputs.get("name")) == name:
                raise Refused(
                    f"creating ELBv2 {self.words} ({name}): api error Duplicate{self.words.replace(' ', '')}"
                    f"Name: A {self.words.lower()} with the same name '{name}' exists, but with different "
                    "settings"
                )

    def computed(self, request: AwsRequest) -> Properties:
        return {"arn": request.id, "arnSuffix": arn_suffix(request.id) if known(request.id) else request.id}


def arn_suffix(arn: str) -> str:
    """The part of an ARN that CloudWatch's dimensions take, such as `app/<name>/<id>`."""
    return arn.rpartition(":")[2].removeprefix("loadbalancer/")


def _name_problem(key: str, name: str, reserved: str | None) -> str | None:
    if not 1 <= len(name) <= NAME_LENGTH:
        return f'"{key}" {name!r} cannot be longer than {NAME_LENGTH} characters, or empty'
    if not all(character.isascii() and (character.isalnum() or character == "-") for character in name):
        return f'only alphanumeric characters and hyphens allowed in "{key}": {name!r}'
    if name.startswith("-"):
        return f'"{key}" cannot begin with a hyphen: {name!r}'
    if key == "name" and name.endswith("-"):
        return f'"{key}" cannot end with a hyphen: {name!r}'
    if reserved is not None and name.startswith(reserved):
        return f'"{key}" cannot begin with "{reserved}": {name!r}'
    return None
