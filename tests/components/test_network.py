from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable
from typing import Any

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st

import settings
from components.network import NetworkArgs, for_database, for_load_balancer
from components.subnets import plan_subnets
from tests.components.examples import ACCOUNT, existing_network, network, security_group
from tests.recording_monitor import ABSENT, Recording, plain, record

SUBNET = "aws:ec2/subnet:Subnet"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"


@given(prefix=st.integers(16, 25), zones=st.integers(1, 3), address=st.integers(0, 2**32 - 1))
def test_subnets_divide_the_network(prefix: int, zones: int, address: int) -> None:
    network = ipaddress.ip_network((address >> (32 - prefix) << (32 - prefix), prefix))
    plan = plan_subnets(str(network), zones)
    parts = [ipaddress.IPv4Network(each) for each in (*plan.private, *plan.public)]
    assert len(plan.private) == len(plan.public) == zones
    assert all(part.subnet_of(ipaddress.IPv4Network(str(network))) for part in parts)
    assert not any(a.overlaps(b) for i, a in enumerate(parts) for b in parts[i + 1 :])
    if zones < 3:
        more = plan_subnets(str(network), zones + 1)
        assert more.private[:zones] == plan.private
        assert more.public[:zones] == plan.public


@pytest.mark.parametrize(
    ("cidr", "zones", "message"),
    [("10.0.0.0/26", 2, "too small"), ("10.0.0.0/16", 4, "from 1 to 3"), ("10.0.0.0/16", 0, "from 1 to 3")],
)
def test_networks_that_cannot_be_divided(cidr: str, zones: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan_subnets(cidr, zones)


def routes(recording: Recording) -> dict[str, tuple[str | None, str | None]]:
    return {
        each.name: (plain(each.inputs).get("gatewayId"), plain(each.inputs).get("natGatewayId"))
        for each in recording.of_type("aws:ec2/route:Route")
    }


def test_a_new_network() -> None:
    recording = record(network)
    recording.has_properties(
        "aws:ec2/vpc:Vpc", cidrBlock="10.20.0.0/16", enableDnsSupport=True, enableDnsHostnames=True
    )
    assert [(each.name, each.inputs["cidrBlock"]) for each in recording.of_type(SUBNET)] == [
        ("net-private-1", "10.20.0.0/19"),
        ("net-private-2", "10.20.32.0/19"),
        ("net-public-1", "10.20.128.0/19"),
        ("net-public-2", "10.20.160.0/19"),
    ]
    for subnet in recording.of_type(SUBNET):
        assert subnet.inputs["mapPublicIpOnLaunch"] is False
        assert list(subnet.request.ignoreChanges) == ["availabilityZone"]
    assert routes(recording) == {
        "net-private-1-nat": (None, "net-nat-1-id"),
        "net-private-2-nat": (None, "net-nat-1-id"),
        "net-public-internet": ("net-internet-id", None),
    }
    recording.has_properties("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", ingress=[], egress=[])
    recording.has_properties(
        "aws:ec2/vpcEndpoint:VpcEndpoint",
        vpcEndpointType="Gateway",
        serviceName="com.amazonaws.eu-central-1.s3",
        routeTableIds=["net-private-1-id", "net-private-2-id"],
    )
    assert recording.of_type(INGRESS) == []


def test_one_nat_gateway_per_zone_on_request() -> None:
    recording = record(lambda: network(nat_gateway_per_zone=True))
    assert len(recording.of_type("aws:ec2/natGateway:NatGateway")) == 2
    assert routes(recording)["net-private-2-nat"] == (None, "net-nat-2-id")


def test_flow_logs_go_to_a_log_group_with_an_end() -> None:
    recording = record(network)
    group = recording.has_properties(
        "aws:cloudwatch/logGroup:LogGroup",
        name="/passwordless-postgres/test/net/flow-log",
        retentionInDays=90,
    )
    arn = f"arn:aws:logs:eu-central-1:123456789012:log-group:{group.inputs['name']}"
    recording.has_properties(
        "aws:ec2/flowLog:FlowLog",
        trafficType="ALL",
        logDestinationType="cloud-watch-logs",
        logDestination=arn,
    )
    policy = json.loads(recording.one("aws:iam/rolePolicy:RolePolicy").inputs["policy"])
    assert [each["Resource"] for each in policy["Statement"]] == [f"{arn}:*"]


def test_an_existing_network_is_only_read() -> None:
    def program() -> None:
        made = existing_network()
        pulumi.export("vpc", made.vpc_id)
        pulumi.export("zones", [each.zone for each in made.private_subnets])

    recording = record(program)
    assert [each.custom for each in recording.registrations] == [False]
    assert sorted(recording.reads) == [
        (SUBNET, "net-private-1", "subnet-01234567"),
        (SUBNET, "net-private-2", "subnet-89abcdef"),
    ]
    assert recording.exports["zones"].value == ["eu-central-1a", "eu-central-1b"]


@pytest.mark.parametrize("cidr", ["10.0.0.0/27", "10.0.0.0/20", None])
def test_a_load_balancer_takes_subnets_that_are_large_enough(cidr: str | None) -> None:
    def program() -> None:
        pulumi.export("ids", [each.id_for_load_balancer for each in existing_network().private_subnets])

    found = record(program, overrides={SUBNET: {"cidrBlock": cidr}})
    assert found.exports["ids"].value == ["subnet-01234567", "subnet-89abcdef"]


@pytest.mark.parametrize(
    ("chosen", "zone", "said"),
    [
        (for_load_balancer, "eu-central-1a", "subnet-01234567 and subnet-89abcdef are both in eu-central-1a"),
        (for_database, "eu-central-1a", "subnet-01234567, subnet-89abcdef are all in eu-central-1a"),
        (for_load_balancer, None, None),
        (for_database, None, None),
    ],
)
def test_subnets_of_one_zone_are_refused_by_name(
    chosen: Callable[..., Any], zone: str | None, said: str | None
) -> None:
    def program() -> None:
        pulumi.export("ids", chosen(existing_network().private_subnets))

    overrides = {SUBNET: {"availabilityZone": zone}} if zone else {}
    if said is None:
        assert record(program).exports["ids"].value == ["subnet-01234567", "subnet-89abcdef"]
        return
    with pytest.raises(pulumi.RunError, match=said):
        record(program, overrides=overrides)


@pytest.mark.parametrize("cidr", ["10.0.0.0/28", "10.0.0.16/28"])
def test_a_load_balancer_takes_no_smaller_subnet_of_an_existing_network(cidr: str) -> None:
    def program() -> None:
        pulumi.export("ids", [each.id_for_load_balancer for each in existing_network().private_subnets])

    with pytest.raises(pulumi.RunError, match=rf"subnet-01234567 is {cidr}, and a load balancer takes"):
        record(program, overrides={SUBNET: {"cidrBlock": cidr}})


@pytest.mark.parametrize(
    "values",
    [{}, {"create": {}, "existing": {"vpcId": "vpc-01234567", "privateSubnetIds": ["subnet-01234567"]}}],
)
def test_a_network_is_either_made_or_used(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="exactly one of create and existing"):
        NetworkArgs(settings=settings.Network.model_validate(values), stack="test", account=ACCOUNT)


def test_only_named_clients_get_in_and_to_one_port_only() -> None:
    recording = record(security_group)
    recording.has_properties(
        "aws:ec2/securityGroup:SecurityGroup", ingress=ABSENT, egress=ABSENT, vpcId="vpc-1"
    )
    rules = {
        (
            each.inputs.get("cidrIpv4"),
            each.inputs.get("cidrIpv6"),
            each.inputs.get("referencedSecurityGroupId"),
        ): (each.inputs["ipProtocol"], each.inputs["fromPort"], each.inputs["toPort"])
        for each in recording.of_type(INGRESS)
    }
    assert rules == {
        ("10.30.0.0/16", None, None): ("tcp", 5432, 5432),
        (None, "fd00::/64", None): ("tcp", 5432, 5432),
        (None, None, "sg-0123456789abcdef0"): ("tcp", 5432, 5432),
    }
    assert {each.inputs["toPort"] for each in recording.of_type(EGRESS)} == {80, 443}


@pytest.mark.parametrize("everybody", ["0.0.0.0/0", "::/0"])
def test_the_whole_internet_is_no_client(everybody: str) -> None:
    with pytest.raises(ValueError, match="is the whole internet"):
        settings.AllowedClients(networks=(everybody,))
