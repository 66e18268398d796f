"""Auto scaling groups, whose instances `emulator.autoscaling` runs; their policies are recorded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from emulator.autoscaling.groups import Groups, UnknownGroup, UnknownVersion
from emulator.autoscaling.resources import Group as DeclaredGroup
from emulator.autoscaling.resources import LaunchTemplate, Subnet
from emulator.core.aws_type import AwsRequest, AwsType, choice_problem, given, known, text
from emulator.core.properties import UNKNOWN
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.ec2.launch_templates import LAUNCH_TEMPLATE
from emulator.ec2.network import SUBNET
from emulator.elb.model import TargetGroup
from emulator.elb.naming import TARGET_GROUP
from emulator.elb.service import LoadBalancers, UnknownResource

GROUP = "aws:autoscaling/group:Group"
POLICY = "aws:autoscaling/policy:Policy"
LONGEST_WAIT_SECONDS = 90.0
"""What is not up by then on loopback will not be, however long the program would have AWS wait."""
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_LOG_LINES = 12
_WITHOUT_STAND_IN = (
    "launchConfiguration",
    "mixedInstancesPolicy",
    "loadBalancers",
    "warmPool",
    "trafficSources",
)


class Group(AwsType):
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
    name_property = "name"
    replace_on = frozenset({"name", "namePrefix", "placementGroup", "region"})
    taggable = False

    def resource_id(self, request: AwsRequest) -> Any:
        """The name."""
        if request.inputs.get("name") is not None:
            return request.inputs["name"]
        return text(request.inputs["namePrefix"], request.digest("name")[:26])

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Sizes in order, one source of instances, a place, known words, what has no stand-in."""
        for name in _WITHOUT_STAND_IN:
            if inputs.get(name):
                yield Failure(name, f"{name} has no stand-in in the sandbox")
        if inputs.get("launchTemplate") is None:
            yield Failure(
                "launchTemplate",
                "one of `launch_configuration,launch_template,mixed_instances_policy` must be specified",
            )
        if not inputs.get("vpcZoneIdentifiers"):
            yield Failure(
                "vpcZoneIdentifiers", "vpc_zone_identifier must name subnets; there is no default VPC"
            )
        template = inputs.get("launchTemplate")
        if isinstance(template, Mapping) and (template.get("id") is None) == (template.get("name") is None):
            yield Failure("launchTemplate", "one of `id,name` must be specified")
        yield from choice_problem(inputs, "healthCheckType", ("EC2", "ELB", "EBS", "VPC_LATTICE"))
        sizes = [inputs.get(name) for name in ("minSize", "desiredCapacity", "maxSize")]
        found = [int(str(size)) for size in sizes if known(size)]
        if found != sorted(found):
            yield Failure(
                "desiredCapacity",
                "minSize, desiredCapacity and maxSize must not decrease in this order; they are "
                + ", ".join(str(size) for size in found),
            )
        refresh = inputs.get("instanceRefresh")
        if isinstance(refresh, Mapping):
            for failure in choice_problem(refresh, "strategy", ("Rolling", "ReplaceRootVolume")):
                yield Failure("instanceRefresh", failure.reason)
            yield from _preference_problems(refresh.get("preferences"))
        timeout = inputs.get("waitForCapacityTimeout")
        if known(timeout) and timeout != "0" and not (str(timeout) and _DURATION.fullmatch(str(timeout))):
            yield Failure("waitForCapacityTimeout", f'"{timeout}" cannot be parsed as a duration')

    def refuse(self, request: AwsRequest) -> None:
        """A name that is taken, unknown parts."""
        if self.taken(request):
            raise Refused(
                f"creating Auto Scaling Group ({request.id}): api error AlreadyExists: AutoScalingGroup by "
                "this name already exists"
            )
        self._declared(request, request.id, request.inputs)

    def computed(self, request: AwsRequest) -> Properties:
        """ARN and what AWS adds."""
        subnets = request.inputs.get("vpcZoneIdentifiers")
        records = (
            [self.registry.get(SUBNET, subnet) for subnet in subnets] if isinstance(subnets, list) else []
        )
        zones: Any = UNKNOWN
        if records and all(records):
            zones = sorted(
                {str(record.outputs.get("availabilityZone")) for record in records if record is not None}
            )
        arn = text(
            f"autoScalingGroup:{request.digest('group')[:8]}-0000-4000-8000-{request.digest('group')[8:20]}"
            ":autoScalingGroupName/",
            request.id,
        )
        return {
            "arn": request.arn("autoscaling", arn),
            "availabilityZones": zones,
            "defaultCooldown": given(request.inputs, "defaultCooldown", 300),
            "desiredCapacity": given(request.inputs, "desiredCapacity", request.inputs["minSize"]),
            "healthCheckType": given(request.inputs, "healthCheckType", "EC2"),
            "name": request.id,
            "predictedCapacity": 0,
            "serviceLinkedRoleArn": (
                "arn:aws:iam::123456789012:role/aws-service-role/autoscaling.amazonaws.com/"
                "AWSServiceRoleForAutoScaling"
            ),
            "warmPoolSize": 0,
        }

    def provision(self, request: AwsRequest) -> Properties:
        """Launches the instances and waits until they serve."""
        groups = self._groups()
        declared = self._declared(request, request.id, request.inputs)
        groups.put(declared)
        seconds = min(_seconds(request.inputs["waitForCapacityTimeout"]), LONGEST_WAIT_SECONDS)
        running = groups.named(request.id)
        if seconds and not running.steady_within(seconds):
            lines = running.last_lines(_LOG_LINES)
            groups.delete(request.id)
            raise Refused(
                f"waiting for Auto Scaling Group ({request.id}) capacity satisfied: want {declared.desired} "
                f"healthy instance(s), and after {seconds:.0f} s they do not serve. The "
                f"end of the log of one:\n{lines}"
            )
        return {}

    def renew(self, request: AwsRequest) -> Properties:
        """Changes it. As with AWS, an instance refresh goes on by itself."""
        groups = self._groups()
        declared = self._declared(request, request.id, request.inputs)
        desired = declared.desired
        if request.inputs.get("desiredCapacity") is None and "desiredCapacity" in request.outputs:
            # Without a wish the capacity stays as it is, within the new bounds.
            desired = min(max(int(request.outputs["desiredCapacity"]), declared.minimum), declared.maximum)
            declared = declared.model_copy(update={"desired": desired})
        groups.put(declared)
        resized = desired != int(request.outputs.get("desiredCapacity", desired))
        seconds = min(_seconds(request.inputs["waitForCapacityTimeout"]), LONGEST_WAIT_SECONDS)
        if resized and seconds and not groups.named(request.id).steady_within(seconds):
            raise Refused(
                f"waiting for Auto Scaling Group ({request.id}) capacity satisfied: want {desired} healthy "
                f"instance(s), and after {seconds:.0f} s they do not serve. The end of the log of one:\n"
                f"{groups.named(request.id).last_lines(_LOG_LINES)}"
            )
        return {"desiredCapacity": desired}

    def observe(self, request: AwsRequest) -> Properties | None:
        """Its capacity."""
        try:
            group = self._groups().named(request.id).group
        except UnknownGroup:
            return None
        return {"desiredCapacity": group.desired}

    def dispose(self, request: AwsRequest) -> None:
        """Terminates the instances."""
        self._groups().delete(request.id)

    def _declared(self, resource: AwsRequest, resource_id: str, inputs: Properties) -> DeclaredGroup:
        verb = f"creating Auto Scaling Group ({resource_id}): api error ValidationError:"
        subnets = []
        for subnet_id in inputs["vpcZoneIdentifiers"]:
            refusal = f"{verb} The subnet ID '{{id}}' does not exist"
            record = self.existing(SUBNET, subnet_id, refusal)
            subnets.append(
                Subnet(
                    subnet_id=subnet_id,
                    vpc_id=record.inputs["vpcId"],
                    cidr_block=record.inputs["cidrBlock"],
                    availability_zone=record.outputs["availabilityZone"],
                )
            )
        arns = tuple(given(inputs, "targetGroupArns", []))
        for arn in arns:
            self.existing(
                TARGET_GROUP,
                arn,
                f"{verb} Provided Target Groups may not be valid. Ensure they exist: {{id}}",
            )
        template = self._template(verb, inputs["launchTemplate"])
        desired = int(given(inputs, "desiredCapacity", inputs["minSize"]))
        return DeclaredGroup(
            name=resource_id,
            region=resource.region,
            minimum=int(inputs["minSize"]),
            maximum=int(inputs["maxSize"]),
            desired=desired,
            subnets=tuple(subnets),
            target_group_arns=arns,
            template=template,
            refreshes=bool(inputs.get("instanceRefresh")),
            health_path=self._health_path(arns),
        )

    def _template(self, verb: str, wanted: Mapping[str, Any]) -> LaunchTemplate:
        records = self.registry.of_type(LAUNCH_TEMPLATE)
        found = next(
            (
                item
                for item in records
                if item.id == wanted.get("id") or item.outputs.get("name") == wanted.get("name", "")
            ),
            None,
        )
        if found is None:
            raise Refused(
                f"{verb} You must use a valid fully-formed launch template. The specified launch template, "
                f"with template {wanted.get('id') or wanted.get('name')}, does not exist."
            )
        version = str(wanted.get("version") or "$Default")
        number = {
            "$Latest": found.outputs["latestVersion"],
            "$Default": found.outputs["defaultVersion"],
        }.get(version, version)
        try:
            template = self._groups().template(found.id, int(number))
        except (UnknownVersion, ValueError):
            raise Refused(
                f"{verb} You must use a valid fully-formed launch template. The specified launch template "
                f"{found.id} has no version {version}."
            ) from None
        if not template.image_id:
            raise Refused(
                f"{verb} You must use a valid fully-formed launch template. It must contain an ImageId"
            )
        return template

    def _health_path(self, arns: tuple[str, ...]) -> str:
        balancers = self.running(LoadBalancers)
        if not arns or balancers is None:
            return "/healthz"
        try:
            return balancers.get(TargetGroup, arns[0]).health_check.path
        except UnknownResource:
            return "/healthz"

    def _groups(self) -> Groups:
        return self.service(Groups)


class Policy(AwsType):
    """`autoscaling.Policy`; nothing measures, so it never scales."""

    token = POLICY
    required = ("autoscalingGroupName",)
    defaults: ClassVar[Mapping[str, Any]] = {"enabled": True, "policyType": "SimpleScaling"}
    name_property = "name"
    replace_on = frozenset({"autoscalingGroupName", "name", "policyType", "region"})
    taggable = False

    def resource_id(self, request: AwsRequest) -> Any:
        """The name."""
        return request.inputs["name"]

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """What each kind of policy needs."""
        kinds = ("SimpleScaling", "StepScaling", "TargetTrackingScaling", "PredictiveScaling")
        yield from choice_problem(inputs, "policyType", kinds)
        kind, tracking = inputs["policyType"], inputs.get("targetTrackingConfiguration")
        if kind == "TargetTrackingScaling" and tracking is None:
            yield Failure(
                "targetTrackingConfiguration",
                "target_tracking_configuration is required for policy type TargetTrackingScaling",
            )
        if kind != "TargetTrackingScaling" and tracking is not None:
            yield Failure(
                "targetTrackingConfiguration",
                f"target_tracking_configuration is only supported for TargetTrackingScaling, not {kind}",
            )
        if not isinstance(tracking, Mapping):
            return
        ready, own = (tracking.get(f"{name}MetricSpecification") for name in ("predefined", "customized"))
        if (ready is None) == (own is None):
            yield Failure(
                "targetTrackingConfiguration",
                "one of `customized_metric_specification,predefined_metric_specification` must be specified",
            )
        if isinstance(ready, Mapping):
            metrics = (
                "ASGAverageCPUUtilization",
                "ASGAverageNetworkIn",
                "ASGAverageNetworkOut",
                "ALBRequestCountPerTarget",
            )
            for failure in choice_problem(ready, "predefinedMetricType", metrics):
                yield Failure("targetTrackingConfiguration", failure.reason)
            label = ready.get("resourceLabel")
            if ready.get("predefinedMetricType") == "ALBRequestCountPerTarget":
                if label is None:
                    yield Failure(
                        "targetTrackingConfiguration",
                        "resource_label is required for ALBRequestCountPerTarget",
                    )
                elif known(label) and not re.fullmatch(
                    r"app/[^/]+/[0-9a-f]{16}/targetgroup/[^/]+/[0-9a-f]{16}", str(label)
                ):
                    yield Failure(
                        "targetTrackingConfiguration",
                        f"resource_label {label!r}: app/<load balancer>/<id>/targetgroup/<target group>/<id>",
                    )

    def refuse(self, request: AwsRequest) -> None:
        """An unknown group."""
        refusal = (
            f"putting Auto Scaling Policy ({request.id}): api error ValidationError: Group {{id}} not found"
        )
        self.existing(GROUP, request.inputs["autoscalingGroupName"], refusal)

    def computed(self, request: AwsRequest) -> Properties:
        """ARN."""
        digits = request.digest("policy")
        return {
            "arn": request.arn(
                "autoscaling",
                text(f"scalingPolicy:{digits[:8]}-0000-4000-8000-{digits[8:20]}:policyName/", request.id),
            ),
            "metricAggregationType": "",
        }


def _preference_problems(preferences: Any) -> Iterable[Failure]:
    if not isinstance(preferences, Mapping):
        return
    for name, low, high in (("minHealthyPercentage", 0, 100), ("maxHealthyPercentage", 100, 200)):
        value = preferences.get(name)
        if known(value) and not low <= int(str(value)) <= high:
            yield Failure(
                "instanceRefresh", f"expected {name} to be in the range ({low} - {high}), got {value}"
            )


def _seconds(duration: Any) -> float:
    found = _DURATION.fullmatch(str(duration))
    if found is None:
        return 0.0
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(hours * 3600 + minutes * 60 + seconds)
