"""Target groups; instances of auto scaling groups register in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from emulator.core.aws_type import AwsRequest, AwsType, choice_problem, given, known
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.ec2.network import NO_SUCH_VPC, VPC
from emulator.elb.listener_configuration import matched_statuses
from emulator.elb.names import (
    LISTENER,
    TARGET_GROUP,
    arn_suffix,
    balancing_arn,
    chosen_name,
    name_problem,
)
from emulator.elb.resources import TargetGroup as DeclaredTargetGroup
from emulator.elb.service import LoadBalancers

_HEALTH_RANGES = (
    ("healthyThreshold", 2, 10),
    ("unhealthyThreshold", 2, 10),
    ("interval", 5, 300),
    ("timeout", 2, 120),
)
_HEALTH_DEFAULTS: Mapping[str, Any] = {
    "enabled": True,
    "healthyThreshold": 3,
    "interval": 30,
    "matcher": "200",
    "path": "/",
    "port": "traffic-port",
    "protocol": "HTTP",
    "timeout": 5,
    "unhealthyThreshold": 3,
}


class TargetGroup(AwsType):
    """`lb.TargetGroup`, of instances and of HTTPS."""

    token = TARGET_GROUP
    defaults: ClassVar[Mapping[str, Any]] = {
        "deregistrationDelay": 300,
        "lambdaMultiValueHeadersEnabled": False,
        "proxyProtocolV2": False,
        "slowStart": 0,
        "targetType": "instance",
    }
    name_property = "name"
    name_maximum = 32
    replace_on = frozenset(
        {
            "ipAddressType",
            "name",
            "namePrefix",
            "port",
            "protocol",
            "protocolVersion",
            "region",
            "targetType",
            "vpcId",
        }
    )
    blockers = (LISTENER,)
    not_deletable = (
        "deleting ELBv2 Target Group ({id}): api error ResourceInUse: Target group '{id}' is currently in "
        "use by a listener or a rule"
    )

    def resource_id(self, request: AwsRequest) -> Any:
        """The ARN."""
        return balancing_arn(request, "targetgroup", chosen_name(request, request.inputs))

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Form of the name, known words, ranges, what has no stand-in."""
        yield from name_problem(inputs)
        yield from choice_problem(inputs, "targetType", ("instance", "ip", "lambda", "alb"))
        yield from choice_problem(inputs, "protocolVersion", ("HTTP1", "HTTP2", "GRPC"))
        yield from choice_problem(
            inputs,
            "loadBalancingAlgorithmType",
            ("round_robin", "least_outstanding_requests", "weighted_random"),
        )
        for name in ("port", "protocol", "vpcId"):
            if inputs.get(name) is None:
                yield Failure(name, f'"{name}" should be set when target type is instance')
        protocols = ("GENEVE", "HTTP", "HTTPS", "QUIC", "TCP", "TCP_QUIC", "TCP_UDP", "TLS", "UDP")
        yield from choice_problem(inputs, "protocol", protocols)
        for name, allowed in (
            ("protocol", "HTTPS"),
            ("targetType", "instance"),
            ("protocolVersion", "HTTP1"),
        ):
            value = inputs.get(name)
            if known(value) and value != allowed:
                yield Failure(name, f"{value!r} has no stand-in in the sandbox; it has {allowed}")
        for name, low, high in (("deregistrationDelay", 0, 3600), ("port", 1, 65535), ("slowStart", 0, 900)):
            value = inputs.get(name)
            if known(value) and not low <= int(str(value)) <= high:
                yield Failure(name, f"expected {name} to be in the range ({low} - {high}), got {value}")
        yield from _health_problems(inputs.get("healthCheck"))

    def refuse(self, request: AwsRequest) -> None:
        """A name that is taken, an unknown network."""
        name = chosen_name(request, request.inputs)
        for other in self.registry.of_type(self.token):
            if other.id != request.id and other.outputs.get("name", other.inputs.get("name")) == name:
                raise Refused(
                    f"creating ELBv2 Target Group ({name}): api error DuplicateTargetGroupName: A target "
                    f"group with the same name '{name}' exists, but with different settings"
                )
        self.existing(VPC, request.inputs["vpcId"], NO_SUCH_VPC)

    def computed(self, request: AwsRequest) -> Properties:
        """ARNs and defaults."""
        health = request.inputs.get("healthCheck")
        return {
            "arn": request.id,
            "arnSuffix": arn_suffix(request.id, f"{request.region}:123456789012:"),
            "healthCheck": {**_HEALTH_DEFAULTS, **health}
            if isinstance(health, Mapping)
            else health or dict(_HEALTH_DEFAULTS),
            "ipAddressType": given(request.inputs, "ipAddressType", "ipv4"),
            "loadBalancerArns": [],
            "loadBalancingAlgorithmType": given(request.inputs, "loadBalancingAlgorithmType", "round_robin"),
            "name": chosen_name(request, request.inputs),
            "protocolVersion": given(request.inputs, "protocolVersion", "HTTP1"),
        }

    def provision(self, request: AwsRequest) -> Properties:
        """Declares it."""
        health = self.computed(request)["healthCheck"]
        if health["protocol"] != "HTTPS":
            raise Refused(
                f"creating ELBv2 Target Group ({request.id}): a health check by {health['protocol']} has no "
                "stand-in in the sandbox; its targets speak HTTPS alone"
            )
        self._balancers().put(
            DeclaredTargetGroup(
                arn=request.id,
                health_path=health["path"],
                health_interval=int(health["interval"]),
                health_timeout=int(health["timeout"]),
                healthy_threshold=int(health["healthyThreshold"]),
                unhealthy_threshold=int(health["unhealthyThreshold"]),
                matcher=str(health["matcher"]),
                deregistration_delay=int(request.inputs["deregistrationDelay"]),
            )
        )
        return {}

    def renew(self, request: AwsRequest) -> Properties:
        """Another health check or delay."""
        return self.provision(request)

    def dispose(self, request: AwsRequest) -> None:
        """Deletes it."""
        self._balancers().remove(DeclaredTargetGroup, request.id)

    def _balancers(self) -> LoadBalancers:
        if self.load_balancers is None:
            raise Refused("target groups need a running sandbox; this provider only previews")
        return self.load_balancers


def _health_problems(health: Any) -> Iterable[Failure]:
    if not isinstance(health, Mapping):
        return
    for name, low, high in _HEALTH_RANGES:
        value = health.get(name)
        if known(value) and not low <= int(str(value)) <= high:
            yield Failure(
                "healthCheck",
                f"expected health_check.{name} to be in the range ({low} - {high}), got {value}",
            )
    interval, timeout = (given(health, name, _HEALTH_DEFAULTS[name]) for name in ("interval", "timeout"))
    if known(interval) and known(timeout) and int(timeout) >= int(interval):
        yield Failure(
            "healthCheck", f"health_check.timeout ({timeout}) must be smaller than interval ({interval})"
        )
    for failure in choice_problem(health, "protocol", ("HTTP", "HTTPS", "TCP")):
        yield Failure("healthCheck", failure.reason)
    path = health.get("path")
    if known(path) and not str(path).startswith("/"):
        yield Failure("healthCheck", f"path {path!r} must begin with a '/' character")
    if known(health.get("matcher")):
        try:
            list(matched_statuses(str(health["matcher"])))
        except ValueError as error:
            yield Failure("healthCheck", f"matcher {health['matcher']!r}: {error}")
