"""Scaling policies of auto scaling groups. They are recorded: nothing measures, so nothing scales."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from emulator.autoscaling.group import GROUP
from emulator.core.aws_type import AwsRequest, AwsType, text
from emulator.core.checks import matching, one_of
from emulator.core.resource_type import Failure, Properties

_TRACKING = "targetTrackingConfiguration"
_PER_TARGET = "ALBRequestCountPerTarget"


class Policy(AwsType):
    """`autoscaling.Policy`."""

    token = "aws:autoscaling/policy:Policy"
    required = ("autoscalingGroupName",)
    defaults: ClassVar[Mapping[str, Any]] = {"enabled": True, "policyType": "SimpleScaling"}
    checks: ClassVar = {
        "policyType": (one_of("SimpleScaling", "StepScaling", "TargetTrackingScaling", "PredictiveScaling"),),
        f"{_TRACKING}.predefinedMetricSpecification.predefinedMetricType": (
            one_of("ASGAverageCPUUtilization", "ASGAverageNetworkIn", "ASGAverageNetworkOut", _PER_TARGET),
        ),
        f"{_TRACKING}.predefinedMetricSpecification.resourceLabel": (
            matching(
                r"app/[^/]+/[0-9a-f]{16}/targetgroup/[^/]+/[0-9a-f]{16}",
                "app/<load balancer>/<id>/targetgroup/<target group>/<id>",
            ),
        ),
    }
    references: ClassVar = {
        "autoscalingGroupName": (
            GROUP,
            "putting Auto Scaling Policy: api error ValidationError: Group {id} not found",
        )
    }
    output_defaults: ClassVar = {"metricAggregationType": ""}
    name_property = "name"
    replace_on = ("autoscalingGroupName", "name", "policyType")
    taggable = False

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        for reason in _tracking_problems(inputs["policyType"], inputs.get(_TRACKING)):
            yield Failure(_TRACKING, reason)

    def computed(self, request: AwsRequest) -> Properties:
        digits = request.digest("policy")
        path = text(f"scalingPolicy:{digits[:8]}-0000-4000-8000-{digits[8:20]}:policyName/", request.id)
        return {"arn": request.arn("autoscaling", path)}


def _tracking_problems(kind: Any, tracking: Any) -> Iterable[str]:
    if kind == "TargetTrackingScaling" and tracking is None:
        yield "target_tracking_configuration is required for policy type TargetTrackingScaling"
    if kind != "TargetTrackingScaling" and tracking is not None:
        yield f"target_tracking_configuration is only supported for TargetTrackingScaling, not {kind}"
    if not isinstance(tracking, Mapping):
        return
    predefined = tracking.get("predefinedMetricSpecification")
    if (predefined is None) == (tracking.get("customizedMetricSpecification") is None):
        yield "one of `customized_metric_specification,predefined_metric_specification` must be specified"
    if (
        isinstance(predefined, Mapping)
        and predefined.get("predefinedMetricType") == _PER_TARGET
        and predefined.get("resourceLabel") is None
    ):
        yield f"resource_label is required for {_PER_TARGET}"
