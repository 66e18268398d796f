"""VPCs, subnets and endpoints."""

from __future__ import annotations

from collections.abc import Iterator

from policy.policy_document import Statement, allowing
from policy.registered import Resource, Stack
from policy.requirement import has, must, must_be_given, must_not_be_true
from policy.rule import Area, Outcome, Problem, Rule, Severity

VPC = "aws:ec2/vpc:Vpc"
DEFAULT_VPC = "aws:ec2/defaultVpc:DefaultVpc"
SUBNET = "aws:ec2/subnet:Subnet"
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
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
            reason="its subnets are in one availability zone; expected two or more",
        )


def _a_way_to_aws(vpc: Resource, stack: Stack) -> Iterator[Outcome]:
    if stack.referring(SUBNET, "vpcId", vpc) and not stack.referring(ENDPOINT, "vpcId", vpc):
        yield Problem(at=vpc["cidrBlock"], reason="expected VPC endpoints of the services that it uses")


def _trusts_somebody(endpoint: Resource) -> Iterator[Outcome]:
    def judge(statement: Statement) -> Iterator[Outcome]:
        for principal in statement.principals:
            if principal.text() == "*" and not statement.condition.given:
                yield Problem(at=principal, reason="expected principals, or a condition on them")

    if endpoint["policy"].given:
        yield from allowing(endpoint["policy"], judge, unreadable=True)


RULES = (
    Rule(
        id="PGTLS-P021",
        title="Subnets of a database have no route to the internet",
        area=Area.NETWORK,
        severity=Severity.HIGH,
        types=(SUBNET_GROUP,),
        stack_checks=(_subnets_are_private,),
        why="A database in a public subnet is one setting away from the internet.",
        fix="name subnets whose route table has no internet gateway",
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
        fix="make a VPC",
        link=f"{_LINK}/userguide/default-vpc.html",
    ),
    Rule(
        id="PGTLS-P076",
        title="A VPC reaches services of AWS without the internet",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=(VPC,),
        stack_checks=(_a_way_to_aws,),
        why="What goes to AWS over the internet needs a way out, and others use that too.",
        fix="add VPC endpoints for S3 and the other services that are used",
        link=f"{_LINK}/privatelink/what-is-privatelink.html",
        references=("SH:EC2.10", "SH:EC2.57"),
    ),
    Rule(
        id="PGTLS-P078",
        title="A subnet gives no public addresses by itself",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=(SUBNET,),
        checks=(must_not_be_true("mapPublicIpOnLaunch"),),
        why="Whatever is started there would be in the internet.",
        fix="set mapPublicIpOnLaunch to false",
        link=f"{_LINK}/userguide/subnet-public-ip.html",
        references=("SH:EC2.15",),
    ),
    Rule(
        id="PGTLS-P079",
        title="A VPC has subnets in several availability zones",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=(VPC,),
        stack_checks=(_several_zones,),
        why="With one zone everything is gone.",
        fix="make subnets in two zones or more",
        link=f"{_LINK}/userguide/configure-subnets.html",
    ),
    Rule(
        id="PGTLS-P081",
        title="A VPC endpoint's policy names whom it trusts",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=(ENDPOINT,),
        checks=(_trusts_somebody,),
        why="With foreign credentials, data could leave to a foreign account.",
        fix="name principals, or add a condition such as aws:PrincipalAccount",
        link=f"{_LINK}/privatelink/vpc-endpoints-access.html",
    ),
    Rule(
        id="PGTLS-P082",
        title="An interface endpoint has a security group of its own",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=(ENDPOINT,),
        checks=(
            must_be_given(
                "securityGroupIds", "AWS would take the VPC's default security group", when=_is_interface
            ),
        ),
        why="The default group is shared by all that names none.",
        fix="set securityGroupIds",
        link=f"{_LINK}/privatelink/create-interface-endpoint.html",
    ),
    Rule(
        id="PGTLS-P083",
        title="An interface endpoint is in several availability zones",
        area=Area.NETWORK,
        severity=Severity.LOW,
        types=(ENDPOINT,),
        checks=(
            must(
                "subnetIds",
                lambda value: len(value.items()) > 1,
                "expected a subnet in each of two zones or more",
                when=_is_interface,
            ),
        ),
        why="With its one zone, the way to the service is gone.",
        fix="set subnetIds to a subnet in each zone",
        link=f"{_LINK}/privatelink/create-interface-endpoint.html",
    ),
)
