"""VPCs, their subnets and endpoints."""

from __future__ import annotations

from collections.abc import Iterator

from policy.property_checks import has, must, must_be_given, must_not_be_true
from policy.resources import Resource, Stack
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.text.policy_document import in_policy, not_everybody

VPC = "aws:ec2/vpc:Vpc"
DEFAULT_VPC = "aws:ec2/defaultVpc:DefaultVpc"
SUBNET = "aws:ec2/subnet:Subnet"
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
FLOW_LOG = "aws:ec2/flowLog:FlowLog"
SUBNET_GROUP = "aws:rds/subnetGroup:SubnetGroup"
_ROUTE = "aws:ec2/route:Route"
_TABLE = "aws:ec2/routeTable:RouteTable"
_ASSOCIATION = "aws:ec2/routeTableAssociation:RouteTableAssociation"
_GATEWAY = "aws:ec2/internetGateway:InternetGateway"
_LINK = "https://docs.aws.amazon.com/vpc/latest"
_is_interface = has("vpcEndpointType", "Interface")


def _leads_to_the_internet(subnet: Resource, stack: Stack) -> bool:
    for association in stack.referring(_ASSOCIATION, "subnetId", subnet):
        for table in stack.all_referred(association, "routeTableId", (_TABLE,)):
            if stack.all_referred(table, "routes", (_GATEWAY,)):
                return True
            if any(
                stack.all_referred(route, "gatewayId", (_GATEWAY,))
                or (route["gatewayId"].is_known and route["gatewayId"].text().startswith("igw-"))
                for route in stack.referring(_ROUTE, "routeTableId", table)
            ):
                return True
    return False


def _subnets_are_private(group: Resource, stack: Stack) -> Iterator[Outcome]:
    for subnet in stack.all_referred(group, "subnetIds", (SUBNET,)):
        if _leads_to_the_internet(subnet, stack):
            yield Problem(at=group["subnetIds"], reason=f"{subnet.name} has a route to an internet gateway")


def _is_the_default_vpc(vpc: Resource) -> Iterator[Outcome]:
    yield Problem(
        at=vpc["cidrBlock"], reason="every subnet of the default VPC is public; expected another VPC"
    )


def _several_zones(vpc: Resource, stack: Stack) -> Iterator[Outcome]:
    subnets = stack.referring(SUBNET, "vpcId", vpc)
    zones = {each["availabilityZone"].text() for each in subnets}
    if subnets and len(zones) < 2:
        yield Problem(
            at=vpc["cidrBlock"],
            reason="all of its subnets are in one availability zone; expected two or more",
        )


def _has_endpoints(vpc: Resource, stack: Stack) -> Iterator[Outcome]:
    if stack.referring(SUBNET, "vpcId", vpc) and not stack.referring(ENDPOINT, "vpcId", vpc):
        yield Problem(at=vpc["cidrBlock"], reason="expected VPC endpoints for the services in use")


def _is_recorded(vpc: Resource, stack: Stack) -> Iterator[Outcome]:
    if not stack.referring(FLOW_LOG, "vpcId", vpc):
        yield Problem(at=vpc["cidrBlock"], reason="expected a FlowLog for this VPC")


def _goes_to_cloudwatch(log: Resource) -> bool:
    return log["logDestinationType"].text().lower() in ("", "cloud-watch-logs")


RULES = (
    Rule(
        id="PGTLS-P074",
        title="VPCs have flow logs",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=(VPC,),
        stack_checks=(_is_recorded,),
        why="Without them nobody can tell afterwards who connected to what.",
        fix="add a FlowLog with vpcId",
        link=f"{_LINK}/userguide/flow-logs.html",
        references=("SH:EC2.6", "CIS5:3.7", "CKV2_AWS_11"),
    ),
    Rule(
        id="PGTLS-P080",
        title="Flow logs to CloudWatch have a role",
        area=Area.NETWORK,
        severity=Severity.LOW,
        types=(FLOW_LOG,),
        checks=(must_be_given("iamRoleArn", "expected a role", when=_goes_to_cloudwatch),),
        why="Without one nothing is written.",
        fix="set iamRoleArn",
        link=f"{_LINK}/userguide/flow-logs-iam-role.html",
    ),
    Rule(
        id="PGTLS-P021",
        title="Database subnets have no route to an internet gateway",
        area=Area.NETWORK,
        severity=Severity.HIGH,
        types=(SUBNET_GROUP,),
        stack_checks=(_subnets_are_private,),
        why="In a public subnet, one wrong setting exposes the database to the internet.",
        fix="use subnets whose route table has no internet gateway",
        link="https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_VPC.WorkingWithRDSInstanceinaVPC.html",
        references=("SH:RDS.46",),
    ),
    Rule(
        id="PGTLS-P075",
        title="The default VPC is not used",
        area=Area.NETWORK,
        severity=Severity.HIGH,
        types=(DEFAULT_VPC,),
        checks=(_is_the_default_vpc,),
        why="Every subnet of the default VPC is public.",
        fix="create a VPC",
        link=f"{_LINK}/userguide/default-vpc.html",
    ),
    Rule(
        id="PGTLS-P076",
        title="VPCs have endpoints for AWS services",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=(VPC,),
        stack_checks=(_has_endpoints,),
        why="Reaching AWS through the internet needs a route out, which everything else can use too.",
        fix="add VPC endpoints for S3 and the other services in use",
        link=f"{_LINK}/privatelink/what-is-privatelink.html",
        references=("SH:EC2.10", "SH:EC2.57"),
    ),
    Rule(
        id="PGTLS-P078",
        title="Subnets assign no public IP addresses",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=(SUBNET,),
        checks=(must_not_be_true("mapPublicIpOnLaunch"),),
        why="Whatever is launched there would be reachable from the internet.",
        fix="set mapPublicIpOnLaunch to false",
        link=f"{_LINK}/userguide/subnet-public-ip.html",
        references=("SH:EC2.15",),
    ),
    Rule(
        id="PGTLS-P079",
        title="VPCs have subnets in several availability zones",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=(VPC,),
        stack_checks=(_several_zones,),
        why="With one zone, an outage of that zone stops everything.",
        fix="create subnets in two or more zones",
        link=f"{_LINK}/userguide/configure-subnets.html",
    ),
    Rule(
        id="PGTLS-P081",
        title="VPC endpoint policies name the trusted principals",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=(ENDPOINT,),
        checks=(in_policy(not_everybody, unreadable=True),),
        why="With another account's credentials, data could be copied to that account.",
        fix="name principals, or add a condition such as aws:PrincipalAccount",
        link=f"{_LINK}/privatelink/vpc-endpoints-access.html",
    ),
    Rule(
        id="PGTLS-P082",
        title="Interface endpoints do not use the default security group",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=(ENDPOINT,),
        checks=(
            must_be_given(
                "securityGroupIds",
                "expected a group; AWS would use the VPC's default one",
                when=_is_interface,
            ),
        ),
        why="Everything that names no security group shares the default one.",
        fix="set securityGroupIds",
        link=f"{_LINK}/privatelink/create-interface-endpoint.html",
    ),
    Rule(
        id="PGTLS-P083",
        title="Interface endpoints span several availability zones",
        area=Area.NETWORK,
        severity=Severity.LOW,
        types=(ENDPOINT,),
        checks=(
            must(
                "subnetIds",
                lambda value: len(value.items()) > 1,
                "expected one subnet in each of two or more zones",
                when=_is_interface,
            ),
        ),
        why="With one zone, an outage of that zone cuts off the service.",
        fix="set subnetIds to one subnet per zone",
        link=f"{_LINK}/privatelink/create-interface-endpoint.html",
    ),
)
