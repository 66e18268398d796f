"""EC2 instances and the templates that they are launched from."""

from __future__ import annotations

from collections.abc import Iterator

from policy.openings import DEFAULT_GROUP
from policy.registered import Resource, Stack
from policy.requirement import (
    inside,
    must,
    must_be,
    must_be_given,
    must_not_be_true,
    throughout,
)
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.values import Value

INSTANCE = "aws:ec2/instance:Instance"
LAUNCH_TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
_GUIDE = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide"
_METADATA = f"{_GUIDE}/configuring-instance-metadata-options.html"
_TOKENS = "metadataOptions.httpTokens"
_INTERFACES = ("networkInterfaces", "primaryNetworkInterface")


def _has_an_interface(instance: Resource) -> bool:
    return any(instance[each].given and instance[each].raw not in ([], {}) for each in _INTERFACES)


def _has_no_interface(instance: Resource) -> bool:
    return not _has_an_interface(instance)


def _no_public_address(instance: Resource) -> Iterator[Outcome]:
    def judge(value: Value) -> Iterator[Outcome]:
        if value.text() and value.truth() is not False:
            yield Problem(at=value, reason="expected false")

    yield from throughout(inside(instance, "associatePublicIpAddress"), judge)


def _not_the_default_group(instance: Resource, stack: Stack) -> Iterator[Outcome]:
    if _has_an_interface(instance):
        return
    groups = instance["vpcSecurityGroupIds"]
    if not groups.given or groups.raw == []:
        yield Problem(at=groups, reason="AWS would take the VPC's default security group")
    for group in stack.all_referred(instance, groups.path, (DEFAULT_GROUP,)):
        yield Problem(at=groups, reason=f"{group.name} is the VPC's default security group")


def _no_role_in_the_internet(instance: Resource, stack: Stack) -> Iterator[Outcome]:
    profile = instance["iamInstanceProfile"]
    if instance["associatePublicIpAddress"].truth() is not True or not profile.given:
        return
    yield Problem(at=profile, reason="an instance that the internet reaches expects no role")
    sharing = [
        each.name
        for each in stack.of_types((INSTANCE,))
        if each is not instance and each["iamInstanceProfile"].raw == profile.raw
    ]
    if sharing:
        yield Problem(at=profile, reason=f"{', '.join(sharing)} has the same role")


def _one_interface(instance: Resource) -> Iterator[Outcome]:
    interfaces = instance["networkInterfaces"]
    if len(interfaces.items()) > 1:
        yield Problem(at=interfaces, reason="expected one network interface")


RULES = (
    Rule(
        id="PGTLS-P032",
        title="An instance has no public address",
        area=Area.NETWORK,
        severity=Severity.HIGH,
        types=(INSTANCE,),
        checks=(_no_public_address,),
        why="The internet reaches it as soon as a security group slips.",
        fix="set associatePublicIpAddress to false; reach it through a load balancer or Session Manager",
        link=f"{_GUIDE}/using-instance-addressing.html",
        references=("SH:EC2.9", "CKV_AWS_88"),
    ),
    Rule(
        id="PGTLS-P033",
        title="An instance's metadata take a session token",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=(INSTANCE,),
        checks=(must_be(_TOKENS, "required"),),
        why="With IMDSv1, one forged request of a server gives away the role's credentials.",
        fix="set metadataOptions.httpTokens to required",
        link=_METADATA,
        references=("SH:EC2.8", "CIS5:5.7", "CKV_AWS_79"),
    ),
    Rule(
        id="PGTLS-P051",
        title="Metadata of instances that a template launches take a session token",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=(LAUNCH_TEMPLATE,),
        checks=(must_be(_TOKENS, "required"),),
        why="With IMDSv1, one forged request of a server gives away the role's credentials.",
        fix="set metadataOptions.httpTokens to required",
        link=_METADATA,
        references=("SH:EC2.170",),
    ),
    Rule(
        id="PGTLS-P034",
        title="Metadata do not leave the instance",
        area=Area.IDENTITY,
        severity=Severity.MEDIUM,
        types=(INSTANCE, LAUNCH_TEMPLATE),
        checks=(must_be("metadataOptions.httpPutResponseHopLimit", "1"),),
        why="With more hops, containers and forwarders on the instance get the role's credentials.",
        fix="set metadataOptions.httpPutResponseHopLimit to 1",
        link=_METADATA,
        references=("SH:AutoScaling.4", "CKV_AWS_341"),
    ),
    Rule(
        id="PGTLS-P037",
        title="An instance has a role of its own",
        area=Area.IDENTITY,
        severity=Severity.MEDIUM,
        types=(INSTANCE,),
        checks=(must_be_given("iamInstanceProfile", "expected an instance profile"),),
        why="Without a role, somebody puts keys of AWS on it.",
        fix="set iamInstanceProfile",
        link=f"{_GUIDE}/iam-roles-for-amazon-ec2.html",
        references=("CIS5:1.17", "CKV2_AWS_41"),
    ),
    Rule(
        id="PGTLS-P041",
        title="An instance is in a subnet that the program names",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=(INSTANCE,),
        checks=(
            must_be_given(
                "subnetId", "expected a subnet, else it is in the default VPC", when=_has_no_interface
            ),
        ),
        why="The default VPC has public subnets only.",
        fix="set subnetId, or a network interface that is in a subnet",
        link="https://docs.aws.amazon.com/vpc/latest/userguide/default-vpc.html",
    ),
    Rule(
        id="PGTLS-P045",
        title="An instance has a security group of its own",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=(INSTANCE,),
        stack_checks=(_not_the_default_group,),
        why="Everything that names no group shares the default one.",
        fix="set vpcSecurityGroupIds",
        link="https://docs.aws.amazon.com/vpc/latest/userguide/default-security-group.html",
    ),
    Rule(
        id="PGTLS-P046",
        title="An instance has one network interface",
        area=Area.NETWORK,
        severity=Severity.LOW,
        types=(INSTANCE,),
        checks=(_one_interface,),
        why="A second one bridges networks that are apart.",
        fix="remove the others",
        link=f"{_GUIDE}/using-eni.html",
        references=("SH:EC2.17",),
    ),
    Rule(
        id="PGTLS-P047",
        title="An instance routes for nobody",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=(INSTANCE,),
        checks=(
            must(
                "sourceDestCheck",
                lambda value: not value.text() or value.truth() is True,
                "expected true",
            ),
        ),
        why="It could pass on what was never meant for it.",
        fix="remove sourceDestCheck; use a NAT gateway",
        link="https://docs.aws.amazon.com/vpc/latest/userguide/VPC_NAT_Instance.html",
        references=("SH:EC2.180",),
    ),
    Rule(
        id="PGTLS-P049",
        title="An instance that the internet reaches has no role",
        area=Area.IDENTITY,
        severity=Severity.MEDIUM,
        types=(INSTANCE,),
        stack_checks=(_no_role_in_the_internet,),
        why="Whoever gets in gets what the role may do.",
        fix="set associatePublicIpAddress to false, or take the role away",
        link=f"{_GUIDE}/iam-roles-for-amazon-ec2.html",
    ),
    Rule(
        id="PGTLS-P052",
        title="Instances that a template launches have no public address",
        area=Area.NETWORK,
        severity=Severity.HIGH,
        types=(LAUNCH_TEMPLATE,),
        checks=(must_not_be_true("networkInterfaces[].associatePublicIpAddress"),),
        why="The internet reaches them as soon as a security group slips.",
        fix="set associatePublicIpAddress to false",
        link=f"{_GUIDE}/using-instance-addressing.html",
        references=("SH:EC2.25",),
    ),
)
