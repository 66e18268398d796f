"""A security group rule has the same meaning in each resource type that can hold it."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.rules.ec2.security_group_rules import EITHER_RULE, SecurityGroupRule, security_group_rules
from policy.values import UndecidedError
from tests.policy.examples import UNKNOWN, resource, sent
from tests.policy.fixtures.gateway import opened

PORTS = st.integers(0, 65535)


def seen(port: int, source: str, last: int, protocol: str = "tcp") -> list[SecurityGroupRule]:
    shapes = opened(port, source, last, protocol).values()
    return [rule for shape in shapes for rule in security_group_rules(resource(shape))]


@settings(max_examples=40)
@given(PORTS, PORTS, PORTS)
def test_a_port_is_covered_when_it_is_in_the_range(first: int, last: int, asked: int) -> None:
    for rule in seen(max(first, 1), "10.0.0.0/24", max(last, 1)):
        assert rule.covers(asked) == (max(first, 1) <= asked <= max(last, 1))


@settings(max_examples=40)
@given(st.ip_addresses(), st.integers(0, 32))
def test_networks_are_read_with_or_without_their_host_bits(address: object, prefix: int) -> None:
    network = ipaddress.ip_network(f"{address}/{prefix}", strict=False)
    for rule in seen(443, f"{address}/{prefix}", 443):
        assert [found for _, found in rule.networks()] == [network]


@pytest.mark.parametrize("protocol", ["-1", "all"])
def test_every_protocol_is_every_port(protocol: str) -> None:
    for rule in seen(-1, "10.0.0.0/24", -1, protocol):
        assert rule.covers(1)
        assert rule.covers(65535)


@pytest.mark.parametrize("protocol", ["icmp", "icmpv6", "58"])
def test_messages_of_the_network_have_no_ports(protocol: str) -> None:
    for rule in seen(8, "10.0.0.0/24", 8, protocol):
        assert not rule.covers(8)


def test_a_rule_is_of_one_direction() -> None:
    rule = resource(
        sent(EITHER_RULE, "rule", {"type": "egress", "protocol": "tcp", "fromPort": 1, "toPort": 1})
    )
    assert security_group_rules(rule) == []
    assert len(security_group_rules(rule, "egress")) == 1


@pytest.mark.parametrize("source", [UNKNOWN, "swordfish"])
def test_a_source_that_cannot_be_read_is_undecided_after_those_that_can(source: str) -> None:
    rule = resource(sent(EITHER_RULE, "rule", {"type": "ingress", "cidrBlocks": [source, "10.0.0.0/24"]}))
    [rule] = security_group_rules(rule)
    networks = rule.networks()
    assert next(networks)[1] == ipaddress.ip_network("10.0.0.0/24")
    with pytest.raises(UndecidedError):
        next(networks)
