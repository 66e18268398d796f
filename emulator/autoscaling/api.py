"""The API of EC2 Auto Scaling as far as something calls it at run time: describing groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emulator.autoscaling.running_group import RunningGroup
from emulator.autoscaling.service import Groups
from emulator.endpoint.exchange import HttpResponse
from emulator.endpoint.front_door import ServiceCall
from emulator.endpoint.query_answers import query_answer
from emulator.endpoint.refusals import Kind, Refusal

SERVICE = "autoscaling"
_STATES = {"pending": "Pending", "in service": "InService", "terminating": "Terminating"}


def answer(groups: Groups, call: ServiceCall) -> HttpResponse:
    """Answers an authorised call, for `AwsEndpoint.serve`; it may raise `Refusal`."""
    if call.operation.name != "DescribeAutoScalingGroups":
        reason = f"autoscaling:{call.operation.name} has no stand-in; DescribeAutoScalingGroups has"
        raise Refusal(Kind.UNKNOWN_OPERATION, reason)
    given = call.operation.parameters
    names = {text for key, text in given.items() if key.startswith("AutoScalingGroupNames.member.")}
    found = [_described(each) for each in groups.all if not names or each.group.name in names]
    return query_answer(call.operation, {"AutoScalingGroups": found}, call.request_id)


def _described(running: RunningGroup) -> Mapping[str, Any]:
    members = [
        {"InstanceId": each.instance.instance_id, "LifecycleState": _STATES[each.instance.lifecycle]}
        for each in running.instances
    ]
    group = running.group
    return {"AutoScalingGroupName": group.name, "DesiredCapacity": group.desired, "Instances": members}
