"""Auto scaling groups; `emulator.autoscaling.service` runs their instances."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from emulator.autoscaling.model import Group, LaunchTemplate, Subnet
from emulator.autoscaling.service import Groups, UnknownGroup, UnknownVersion
from emulator.core.aws_type import AwsRequest, AwsType, given, known, text
from emulator.core.checks import between, not_emulated, one_of
from emulator.core.properties import UNKNOWN
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.ec2.launch_templates import LAUNCH_TEMPLATE
from emulator.ec2.network import SUBNET
from emulator.elb.model import TargetGroup
from emulator.elb.naming import TARGET_GROUP
from emulator.elb.service import LoadBalancers, UnknownResource

GROUP = "aws:autoscaling/group:Group"
LONGEST_WAIT_SECONDS = 90.0
"""What does not serve by then on loopback never will, however long the program would have AWS wait."""
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_LOG_LINES = 12
_NOT_EMULATED = (
    "launchConfiguration", "mixedInstancesPolicy", "loadBalancers", "warmPool", "trafficSources",
)  # fmt: skip
_INVALID = "creating Auto Scaling Group: api error ValidationError:"
_NO_SUCH_SUBNET = f"{_INVALID} The subnet ID '{{id}}' does not exist"
_TEMPLATE = f"{_INVALID} You must use a valid fully-formed launch template."


class GroupType(AwsType):
    """`autoscaling.Group`, of instances from a launch template."""

    token = GROUP
    required = ("maxSize", "minSize")
    defaults: ClassVar[Mapping[str, Any]] = {
        "forceDelete": False,
        "forceDeleteWarmPool": False,
        "healthCheckGracePeriod": 300,
        "ignoreFailedScalingActivities": False,
        "metricsGranularity": "1Minute",
        "protectFromScaleIn": False,
        "waitForCapacityTimeout": "10m",
    }
    exactly_one = (("launchTemplate", "launchConfiguration", "mixedInstancesPolicy"),)
    checks: ClassVar = {
        **dict.fromkeys(_NOT_EMULATED, (not_emulated(),)),
        "healthCheckType": (one_of("EC2", "ELB", "EBS", "VPC_LATTICE"),),
        "instanceRefresh.strategy": (one_of("Rolling", "ReplaceRootVolume"),),
        "instanceRefresh.preferences.minHealthyPercentage": (between(0, 100),),
        "instanceRefresh.preferences.maxHealthyPercentage": (between(100, 200),),
    }
    references: ClassVar = {
        "vpcZoneIdentifiers": (SUBNET, _NO_SUCH_SUBNET),
        "targetGroupArns": (
            TARGET_GROUP,
            f"{_INVALID} Provided Target Groups may not be valid. Ensure they exist: {{id}}",
        ),
    }
    name_taken = (
        "creating Auto Scaling Group ({id}): api error AlreadyExists: AutoScalingGroup by this name already "
        "exists"
    )
    output_defaults: ClassVar = {
        "defaultCooldown": 300,
        "healthCheckType": "EC2",
        "predictedCapacity": 0,
        "serviceLinkedRoleArn": (
            "arn:aws:iam::123456789012:role/aws-service-role/autoscaling.amazonaws.com/"
            "AWSServiceRoleForAutoScaling"
        ),
        "warmPoolSize": 0,
    }
    name_property = "name"
    replace_on = ("name", "namePrefix", "placementGroup")
    taggable = False

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Sizes in order, one name of a template, a place, a duration."""
        template = inputs.get("launchTemplate")
        if isinstance(template, Mapping) and (template.get("id") is None) == (template.get("name") is None):
            yield Failure("launchTemplate", "one of `id,name` must be specified")
        if not inputs.get("vpcZoneIdentifiers"):
            reason = "vpc_zone_identifier must name subnets; there is no default VPC"
            yield Failure("vpcZoneIdentifiers", reason)
        sizes = [inputs.get(name) for name in ("minSize", "desiredCapacity", "maxSize")]
        found = [int(str(size)) for size in sizes if known(size)]
        if found != sorted(found):
            order = "minSize, desiredCapacity and maxSize must not decrease in this order"
            yield Failure("desiredCapacity", f"{order}; they are {', '.join(map(str, found))}")
        timeout = inputs.get("waitForCapacityTimeout")
        if known(timeout) and timeout != "0" and not (str(timeout) and _DURATION.fullmatch(str(timeout))):
            yield Failure("waitForCapacityTimeout", f'"{timeout}" cannot be parsed as a duration')

    def refuse(self, request: AwsRequest) -> None:
        """An unknown launch template."""
        self._template(request.inputs["launchTemplate"])

    def computed(self, request: AwsRequest) -> Properties:
        subnets = request.inputs.get("vpcZoneIdentifiers")
        records = [self.registry.get(SUBNET, each) for each in subnets] if isinstance(subnets, list) else []
        known_zones = {str(each.outputs.get("availabilityZone")) for each in records if each is not None}
        zones = sorted(known_zones) if records and all(records) else UNKNOWN
        digits = request.digest("group")
        path = f"autoScalingGroup:{digits[:8]}-0000-4000-8000-{digits[8:20]}:autoScalingGroupName/"
        return {
            "arn": request.arn("autoscaling", text(path, request.id)),
            "availabilityZones": zones,
            "desiredCapacity": given(request.inputs, "desiredCapacity", request.inputs["minSize"]),
            "name": request.id,
        }

    def provision(self, request: AwsRequest) -> Properties:
        """Launches the instances and waits until they serve."""
        groups = self.service(Groups)
        group = self._group(request, int(given(request.inputs, "desiredCapacity", request.inputs["minSize"])))
        groups.put(group)
        try:
            self._await_capacity(request, group)
        except Refused:
            groups.delete(request.id)
            raise
        return {}

    def renew(self, request: AwsRequest) -> Properties:
        """Changes it. As with AWS, an instance refresh goes on by itself."""
        self.refuse_unknown_references(request)
        desired = int(given(request.inputs, "desiredCapacity", request.inputs["minSize"]))
        present = int(request.outputs.get("desiredCapacity", desired))
        if request.inputs.get("desiredCapacity") is None and "desiredCapacity" in request.outputs:
            # A program that leaves it open keeps the present capacity, within the new bounds.
            desired = min(max(present, int(request.inputs["minSize"])), int(request.inputs["maxSize"]))
        group = self._group(request, desired)
        self.service(Groups).put(group)
        if desired != present:
            self._await_capacity(request, group)
        return {"desiredCapacity": desired}

    def _await_capacity(self, request: AwsRequest, group: Group) -> None:
        seconds = min(_seconds(request.inputs["waitForCapacityTimeout"]), LONGEST_WAIT_SECONDS)
        running = self.service(Groups).named(request.id)
        if seconds and not running.steady_within(seconds):
            raise Refused(
                f"waiting for Auto Scaling Group ({request.id}) capacity satisfied: want {group.desired} "
                f"healthy instance(s), and after {seconds:.0f} s they do not serve. The end of the log of "
                f"one:\n{running.last_lines(_LOG_LINES)}"
            )

    def observe(self, request: AwsRequest) -> Properties | None:
        try:
            group = self.service(Groups).named(request.id).group
        except UnknownGroup:
            return None
        return {"desiredCapacity": group.desired}

    def dispose(self, request: AwsRequest) -> None:
        self.service(Groups).delete(request.id)

    def _group(self, request: AwsRequest, desired: int) -> Group:
        arns = tuple(given(request.inputs, "targetGroupArns", []))
        return Group(
            name=request.id,
            region=request.region,
            desired=desired,
            subnets=tuple(self._subnet(each) for each in request.inputs["vpcZoneIdentifiers"]),
            target_group_arns=arns,
            template=self._template(request.inputs["launchTemplate"]),
            refreshes=bool(request.inputs.get("instanceRefresh")),
            health_path=self._health_path(arns),
        )

    def _subnet(self, subnet_id: str) -> Subnet:
        record = self.existing(SUBNET, subnet_id, _NO_SUCH_SUBNET)
        return Subnet.declared({**record.inputs, **record.outputs}, subnet_id=subnet_id)

    def _template(self, wanted: Mapping[str, Any]) -> LaunchTemplate:
        for found in self.registry.of_type(LAUNCH_TEMPLATE):
            if found.id == wanted.get("id") or found.outputs.get("name") == wanted.get("name", ""):
                break
        else:
            raise Refused(
                f"{_TEMPLATE} The specified launch template, with template "
                f"{wanted.get('id') or wanted.get('name')}, does not exist."
            )
        version = str(wanted.get("version") or "$Default")
        latest, default = found.outputs["latestVersion"], found.outputs["defaultVersion"]
        number = {"$Latest": latest, "$Default": default}.get(version, version)
        try:
            template = self.service(Groups).template(found.id, int(number))
        except (UnknownVersion, ValueError):
            raise Refused(
                f"{_TEMPLATE} The specified launch template {found.id} has no version {version}."
            ) from None
        if not template.image_id:
            raise Refused(f"{_TEMPLATE} It must contain an ImageId")
        return template

    def _health_path(self, arns: tuple[str, ...]) -> str:
        balancers = self.running(LoadBalancers)
        if not arns or balancers is None:
            return "/healthz"
        try:
            return balancers.get(TargetGroup, arns[0]).health_check.path
        except UnknownResource:
            return "/healthz"


def _seconds(duration: Any) -> float:
    found = _DURATION.fullmatch(str(duration))
    if found is None:
        return 0.0
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(hours * 3600 + minutes * 60 + seconds)
