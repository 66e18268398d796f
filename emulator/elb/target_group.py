"""Target groups; instances of auto scaling groups register in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from emulator.core.aws_type import AwsRequest, given, known
from emulator.core.checks import between, emulated, one_of
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.ec2.network import NO_SUCH_VPC, VPC
from emulator.elb.model import HealthCheck, TargetGroup, matched_statuses
from emulator.elb.naming import LISTENER, TARGET_GROUP, NamedElbType


class TargetGroupType(NamedElbType):
    """`lb.TargetGroup`, of instances and of HTTPS."""

    token = TARGET_GROUP
    model = TargetGroup
    path = "targetgroup"
    words = "Target Group"
    defaults: ClassVar[Mapping[str, Any]] = {
        "deregistrationDelay": 300,
        "lambdaMultiValueHeadersEnabled": False,
        "proxyProtocolV2": False,
        "slowStart": 0,
        "targetType": "instance",
    }
    checks: ClassVar = {
        "loadBalancingAlgorithmType": (
            one_of("round_robin", "least_outstanding_requests", "weighted_random"),
        ),
        "port": (between(1, 65535),),
        "protocol": (
            one_of("GENEVE", "HTTP", "HTTPS", "QUIC", "TCP", "TCP_QUIC", "TCP_UDP", "TLS", "UDP"),
            emulated("HTTPS"),
        ),
        "protocolVersion": (one_of("HTTP1", "HTTP2", "GRPC"), emulated("HTTP1")),
        "slowStart": (between(0, 900),),
        "targetType": (one_of("instance", "ip", "lambda", "alb"), emulated("instance")),
    }
    references: ClassVar = {"vpcId": (VPC, NO_SUCH_VPC)}
    output_defaults: ClassVar = {
        "ipAddressType": "ipv4",
        "loadBalancingAlgorithmType": "round_robin",
        "protocolVersion": "HTTP1",
    }
    replace_on = (
        "ipAddressType", "name", "namePrefix", "port", "protocol", "protocolVersion", "targetType", "vpcId",
    )  # fmt: skip
    provision_again = True
    blockers = (LISTENER,)
    not_deletable = (
        "deleting ELBv2 Target Group ({id}): api error ResourceInUse: Target group '{id}' is currently in "
        "use by a listener or a rule"
    )

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        yield from super().problems(inputs)
        for name in ("port", "protocol", "vpcId"):
            if inputs.get(name) is None:
                yield Failure(name, f'"{name}" should be set when target type is instance')
        if isinstance(inputs.get("healthCheck"), Mapping):
            for reason in _health_problems(inputs["healthCheck"]):
                yield Failure("healthCheck", reason)

    def computed(self, request: AwsRequest) -> Properties:
        health = given(request.inputs, "healthCheck", {})
        return {
            **super().computed(request),
            "healthCheck": {**HealthCheck.defaults(), **health} if isinstance(health, Mapping) else health,
            "loadBalancerArns": [],
        }

    def provision(self, request: AwsRequest) -> Properties:
        protocol = TargetGroup.declared(request.inputs, arn=request.id).health_check.protocol
        if protocol != "HTTPS":
            raise Refused(
                f"creating ELBv2 Target Group ({request.id}): a health check by {protocol} has no stand-in "
                "in the sandbox; its targets speak HTTPS alone"
            )
        return super().provision(request)


def _health_problems(health: Mapping[str, Any]) -> Iterable[str]:
    defaults = HealthCheck.defaults()
    interval, timeout = (given(health, name, defaults[name]) for name in ("interval", "timeout"))
    if known(interval) and known(timeout) and int(timeout) >= int(interval):
        yield f"health_check.timeout ({timeout}) must be smaller than interval ({interval})"
    path = health.get("path")
    if known(path) and not str(path).startswith("/"):
        yield f"path {path!r} must begin with a '/' character"
    if known(health.get("matcher")):
        try:
            list(matched_statuses(str(health["matcher"])))
        except ValueError as error:
            yield f"matcher {health['matcher']!r}: {error}"
