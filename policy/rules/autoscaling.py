"""Auto Scaling groups."""

from __future__ import annotations

from collections.abc import Iterator

from policy.property_checks import must, must_be_true, must_not_be_given
from policy.resources import Resource
from policy.rule import Area, Outcome, Problem, Rule, Severity

GROUP = "aws:autoscaling/group:Group"
_GUIDE = "https://docs.aws.amazon.com/autoscaling/ec2/userguide"


def _has_a_balancer(group: Resource) -> bool:
    given = [group[name] for name in ("targetGroupArns", "loadBalancers", "trafficSources")]
    return any(each.given and each.raw != [] for each in given)


def _several_zones(group: Resource) -> Iterator[Outcome]:
    subnets, zones = group["vpcZoneIdentifiers"], group["availabilityZones"]
    if subnets.given and len(subnets.items()) == 1:
        yield Problem(at=subnets, reason="expected subnets of two or more zones")
    elif not subnets.given and zones.given and len(zones.items()) == 1:
        yield Problem(at=zones, reason="expected two or more zones")


RULES = (
    Rule(
        id="PGTLS-P084",
        title="Groups behind a load balancer replace what it finds unhealthy",
        area=Area.NETWORK,
        severity=Severity.LOW,
        types=(GROUP,),
        checks=(
            must(
                "healthCheckType",
                lambda value: "ELB" in value.text().upper(),
                "expected ELB",
                when=_has_a_balancer,
            ),
        ),
        why="By default only a machine that is stopped is replaced.",
        fix="set healthCheckType to ELB",
        link=f"{_GUIDE}/ec2-auto-scaling-health-checks.html",
        references=("SH:AutoScaling.1", "CKV_AWS_153"),
    ),
    Rule(
        id="PGTLS-P085",
        title="Groups span several availability zones",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=(GROUP,),
        checks=(_several_zones,),
        why="With one zone, an outage of that zone stops everything.",
        fix="set vpcZoneIdentifiers to subnets of two or more zones",
        link=f"{_GUIDE}/auto-scaling-benefits.html",
        references=("SH:AutoScaling.2",),
    ),
    Rule(
        id="PGTLS-P086",
        title="Groups use launch templates",
        area=Area.IDENTITY,
        severity=Severity.MEDIUM,
        types=(GROUP,),
        checks=(must_not_be_given("launchConfiguration", "expected a launch template"),),
        why="AWS adds nothing to launch configurations, such as new options of instance metadata.",
        fix="set launchTemplate, or mixedInstancesPolicy, instead of launchConfiguration",
        link=f"{_GUIDE}/launch-templates.html",
        references=("SH:AutoScaling.9", "CKV_AWS_315"),
    ),
    Rule(
        id="PGTLS-P087",
        title="Tags of a group are on its machines",
        area=Area.IDENTITY,
        severity=Severity.LOW,
        types=(GROUP,),
        checks=(must_be_true("tags[].propagateAtLaunch"),),
        why="Permissions by tag do not reach machines without tags.",
        fix="set tags[].propagateAtLaunch to true",
        link=f"{_GUIDE}/ec2-auto-scaling-tagging.html",
    ),
    Rule(
        id="PGTLS-P088",
        title="Groups give new machines time before they check them",
        area=Area.NETWORK,
        severity=Severity.LOW,
        types=(GROUP,),
        checks=(
            must(
                "healthCheckGracePeriod",
                # Absent is 300 seconds.
                lambda value: not value.text() or (value.number() or 0) > 0,
                "expected the seconds that a machine needs to start",
                when=_has_a_balancer,
            ),
        ),
        why="Machines that still start would be replaced for ever.",
        fix="set healthCheckGracePeriod",
        link=f"{_GUIDE}/health-check-grace-period.html",
    ),
)
