"""EC2 instances and launch templates."""

from __future__ import annotations

from collections.abc import Iterator

from policy.property_checks import (
    in_production,
    must,
    must_be,
    must_be_given,
    must_be_true,
    must_not_be_false,
    must_not_be_true,
)
from policy.resources import Resource, Stack
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.rules.ec2.security_group_rules import DEFAULT_GROUP
from policy.type_tokens import EC2_INSTANCE, LAUNCH_TEMPLATE

_GUIDE = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide"
_METADATA = f"{_GUIDE}/configuring-instance-metadata-options.html"
_TOKENS = "metadataOptions.httpTokens"
_INTERFACES = ("networkInterfaces", "primaryNetworkInterface")


def _has_an_interface(instance: Resource) -> bool:
    return any(instance[each].given and instance[each].raw not in ([], {}) for each in _INTERFACES)


def _has_no_interface(instance: Resource) -> bool:
    return not _has_an_interface(instance)


def _serves_metadata(instance: Resource) -> bool:
    """Whether there is a metadata service to protect."""
    return instance["metadataOptions"].at("httpEndpoint").text().lower() != "disabled"


def _not_the_default_group(instance: Resource, stack: Stack) -> Iterator[Outcome]:
    if _has_an_interface(instance):
        return
    groups = instance["vpcSecurityGroupIds"]
    if not groups.given or groups.raw == []:
        yield Problem(at=groups, reason="expected a security group; AWS would use the VPC's default one")
    for group in stack.all_referred(instance, "vpcSecurityGroupIds", (DEFAULT_GROUP,)):
        yield Problem(at=groups, reason=f"{group.name} is the VPC's default security group")


def _no_role_when_public(instance: Resource, stack: Stack) -> Iterator[Outcome]:
    profile = instance["iamInstanceProfile"]
    if instance["associatePublicIpAddress"].truth() is not True or not profile.given:
        return
    yield Problem(at=profile, reason="expected none, since the instance has a public IP address")
    sharing = [
        each.name
        for each in stack.of_types((EC2_INSTANCE,))
        if each is not instance and each["iamInstanceProfile"].raw == profile.raw
    ]
    if sharing:
        yield Problem(at=profile, reason=f"{', '.join(sharing)} has the same instance profile")


def _one_interface(instance: Resource) -> Iterator[Outcome]:
    interfaces = instance["networkInterfaces"]
    if len(interfaces.items()) > 1:
        yield Problem(at=interfaces, reason="expected one network interface")


def _no_elastic_address(address: Resource, stack: Stack) -> Iterator[Outcome]:
    for name in ("instance", "instanceId"):
        value = address[name]
        if value.given or stack.all_referred(address, name, (EC2_INSTANCE,)):
            yield Problem(at=value, reason="expected none; the instance gets a public IP address")


RULES = (
    Rule(
        id="PGTLS-N77",
        title="Instances have no Elastic IP address",
        area=Area.NETWORK,
        severity=Severity.HIGH,
        types=("aws:ec2/eip:Eip", "aws:ec2/eipAssociation:EipAssociation"),
        stack_checks=(_no_elastic_address,),
        why="One wrong security group rule would expose the instance to the internet.",
        fix="remove the association; use a load balancer or Session Manager to reach the instance",
        link=f"{_GUIDE}/elastic-ip-addresses-eip.html",
        references=("SH:EC2.9",),
    ),
    Rule(
        id="PGTLS-P038",
        title="Detailed monitoring of instances is not turned off",
        area=Area.NETWORK,
        severity=Severity.LOW,
        types=(EC2_INSTANCE,),
        checks=(must_not_be_false("monitoring"),),
        why="Metrics come every five minutes only, so alarms come late.",
        fix="set monitoring to true",
        link=f"{_GUIDE}/manage-detailed-monitoring.html",
        references=("CKV_AWS_126",),
    ),
    Rule(
        id="PGTLS-P039",
        title="Instances have a way of their own to their volumes",
        area=Area.NETWORK,
        severity=Severity.LOW,
        types=(EC2_INSTANCE,),
        checks=(must_not_be_false("ebsOptimized"),),
        why="A busy network would slow the disk down; current types cannot turn it off.",
        fix="remove ebsOptimized",
        link="https://docs.aws.amazon.com/ebs/latest/userguide/ebs-optimization.html",
        references=("CKV_AWS_135",),
    ),
    Rule(
        id="PGTLS-P040",
        title="Instances of production are protected from termination",
        area=Area.NETWORK,
        severity=Severity.LOW,
        types=(EC2_INSTANCE,),
        checks=(must_be_true("disableApiTermination", when=in_production),),
        why="One wrong update terminates the machine.",
        fix="set disableApiTermination to true",
        link=f"{_GUIDE}/Using_ChangingDisableAPITermination.html",
    ),
    Rule(
        id="PGTLS-P032",
        title="Instances have no public IP address",
        area=Area.NETWORK,
        severity=Severity.HIGH,
        types=(EC2_INSTANCE,),
        checks=(must_not_be_true("associatePublicIpAddress"),),
        why="One wrong security group rule would expose the instance to the internet.",
        fix="set associatePublicIpAddress to false; use a load balancer or Session Manager to reach it",
        link=f"{_GUIDE}/using-instance-addressing.html",
        references=("SH:EC2.9", "CKV_AWS_88"),
    ),
    Rule(
        id="PGTLS-P033",
        title="Instance metadata requires session tokens",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=(EC2_INSTANCE,),
        checks=(must_be(_TOKENS, "required", when=_serves_metadata),),
        why="With IMDSv1, a single server-side request forgery discloses the role's credentials.",
        fix="set metadataOptions.httpTokens to required",
        link=_METADATA,
        references=("SH:EC2.8", "CIS5:5.7", "CKV_AWS_79"),
    ),
    Rule(
        id="PGTLS-P051",
        title="Launch templates require session tokens for instance metadata",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=(LAUNCH_TEMPLATE,),
        checks=(must_be(_TOKENS, "required", when=_serves_metadata),),
        why="With IMDSv1, a single server-side request forgery discloses the role's credentials.",
        fix="set metadataOptions.httpTokens to required",
        link=_METADATA,
        references=("SH:EC2.170",),
    ),
    Rule(
        id="PGTLS-P034",
        title="Instance metadata is not reachable beyond the instance",
        area=Area.IDENTITY,
        severity=Severity.MEDIUM,
        types=(EC2_INSTANCE, LAUNCH_TEMPLATE),
        checks=(must_be("metadataOptions.httpPutResponseHopLimit", "1", when=_serves_metadata),),
        why="With more hops, containers and proxies on the instance can obtain the role's credentials.",
        fix="set metadataOptions.httpPutResponseHopLimit to 1",
        link=_METADATA,
        references=("SH:AutoScaling.4", "CKV_AWS_341"),
    ),
    Rule(
        id="PGTLS-P037",
        title="Every instance has an instance profile",
        area=Area.IDENTITY,
        severity=Severity.MEDIUM,
        types=(EC2_INSTANCE,),
        checks=(must_be_given("iamInstanceProfile", "expected an instance profile"),),
        why="Without a role, people put AWS access keys on the instance.",
        fix="set iamInstanceProfile",
        link=f"{_GUIDE}/iam-roles-for-amazon-ec2.html",
        references=("CIS5:1.17", "CKV2_AWS_41"),
    ),
    Rule(
        id="PGTLS-P041",
        title="Instances are launched into a named subnet",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=(EC2_INSTANCE,),
        checks=(
            must_be_given(
                "subnetId", "expected a subnet; AWS would use the default VPC", when=_has_no_interface
            ),
        ),
        why="The default VPC has only public subnets.",
        fix="set subnetId, or attach a network interface that is in a subnet",
        link="https://docs.aws.amazon.com/vpc/latest/userguide/default-vpc.html",
    ),
    Rule(
        id="PGTLS-P045",
        title="Instances do not use the default security group",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=(EC2_INSTANCE,),
        stack_checks=(_not_the_default_group,),
        why="Everything that names no security group shares the default one.",
        fix="set vpcSecurityGroupIds",
        link="https://docs.aws.amazon.com/vpc/latest/userguide/default-security-group.html",
    ),
    Rule(
        id="PGTLS-P046",
        title="Instances have one network interface",
        area=Area.NETWORK,
        severity=Severity.LOW,
        types=(EC2_INSTANCE,),
        checks=(_one_interface,),
        why="A second interface can bridge separate networks.",
        fix="remove the other network interfaces",
        link=f"{_GUIDE}/using-eni.html",
        references=("SH:EC2.17",),
    ),
    Rule(
        id="PGTLS-P047",
        title="Instances do not route traffic",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=(EC2_INSTANCE,),
        checks=(
            must(
                "sourceDestCheck",
                lambda value: not value.text() or value.truth() is True,
                "expected true",
            ),
        ),
        why="Without the source/destination check the instance can forward other machines' traffic.",
        fix="remove sourceDestCheck; use a NAT gateway for routing",
        link="https://docs.aws.amazon.com/vpc/latest/userguide/VPC_NAT_Instance.html",
        references=("SH:EC2.180",),
    ),
    Rule(
        id="PGTLS-P049",
        title="Instances with a public IP address have no role",
        area=Area.IDENTITY,
        severity=Severity.MEDIUM,
        types=(EC2_INSTANCE,),
        stack_checks=(_no_role_when_public,),
        why="Whoever takes over the instance gets the role's permissions.",
        fix="set associatePublicIpAddress to false, or remove iamInstanceProfile",
        link=f"{_GUIDE}/iam-roles-for-amazon-ec2.html",
    ),
    Rule(
        id="PGTLS-P052",
        title="Launch templates assign no public IP addresses",
        area=Area.NETWORK,
        severity=Severity.HIGH,
        types=(LAUNCH_TEMPLATE,),
        checks=(must_not_be_true("networkInterfaces[].associatePublicIpAddress"),),
        why="One wrong security group rule would expose the instances to the internet.",
        fix="set associatePublicIpAddress to false",
        link=f"{_GUIDE}/using-instance-addressing.html",
        references=("SH:EC2.25",),
    ),
)
