"""The rules of security groups, in each of the resource types that can hold them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

from policy.resources import Resource
from policy.values import UndecidedError, Value

SECURITY_GROUP = "aws:ec2/securityGroup:SecurityGroup"
DEFAULT_GROUP = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
EITHER_RULE = "aws:ec2/securityGroupRule:SecurityGroupRule"
INGRESS_RULE = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS_RULE = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
RULE_SHAPES = (EITHER_RULE, INGRESS_RULE)
INGRESS_HOLDERS = (SECURITY_GROUP, DEFAULT_GROUP, *RULE_SHAPES)
EGRESS_HOLDERS = (SECURITY_GROUP, EITHER_RULE, EGRESS_RULE)

_LAST_PORT = 65535
_EVERY_PROTOCOL = "-1"
_WITHOUT_PORTS = ("icmp", "icmpv6", "1", "58")
_BLOCKS = ("cidrBlocks", "ipv6CidrBlocks", "cidrIpv4", "cidrIpv6")
_GROUPS = ("securityGroups", "sourceSecurityGroupId", "referencedSecurityGroupId", "self")
_LISTS = ("prefixListIds", "prefixListId")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, kw_only=True)
class SecurityGroupRule:
    """One rule: a protocol, a range of ports, and sources (or, for egress, destinations).

    Attributes:
        place: The rule's value.
        protocol: Protocol as written; `-1` for all.
        first: First port.
        last: Last port.
        sources: Every network, security group and prefix list.
    """

    place: Value
    protocol: Value
    first: Value
    last: Value
    sources: tuple[Value, ...]

    @property
    def is_of_every_protocol(self) -> bool:
        """Whether it opens all protocols, and so all ports."""
        return self.protocol.text().lower() in (_EVERY_PROTOCOL, "all", "")

    @property
    def ports(self) -> range:
        """The ports that it opens.

        Raises:
            UndecidedError: The ports are not known yet.
        """
        if self.protocol.text().lower() in _WITHOUT_PORTS:
            return range(0)
        if self.is_of_every_protocol:
            return range(_LAST_PORT + 1)
        first = self.first.number() if self.first.text() else 0
        last = self.last.number() if self.last.text() else _LAST_PORT
        if first is None or last is None:
            raise UndecidedError(f"{self.first.path} or {self.last.path} is not a port number")
        if first < 0:
            return range(_LAST_PORT + 1)
        return range(int(first), int(last) + 1)

    def covers(self, port: int) -> bool:
        """Whether it opens a port."""
        return port in self.ports

    def is_from_a_group(self, source: Value) -> bool:
        """Whether a source is a security group."""
        return any(each in source.path for each in _GROUPS)

    def networks(self) -> Iterator[tuple[Value, Network]]:
        """The sources that are networks.

        Raises:
            UndecidedError: One of them is not known or is not a network; raised after all others.
        """
        hidden: Value | None = None
        for source in self.sources:
            if not any(each in source.path for each in _BLOCKS):
                continue
            try:
                yield source, ipaddress.ip_network(source.text(), strict=False)
            except (UndecidedError, ValueError):
                hidden = source
        if hidden is not None:
            raise UndecidedError(f"{hidden.path} is {hidden.shown}, which is not a network")


def security_group_rules(resource: Resource, direction: str = "ingress") -> list[SecurityGroupRule]:
    """The ingress or egress rules of a security group, or of a resource that is one rule.

    Raises:
        UndecidedError: A list of rules is not known yet.
    """
    if resource.type in (SECURITY_GROUP, DEFAULT_GROUP):
        return [_inline(each) for each in resource[direction].items()]
    if resource.type == EITHER_RULE and resource["type"].text().lower() != direction:
        return []
    if resource.type in (INGRESS_RULE, EGRESS_RULE):
        wanted = INGRESS_RULE if direction == "ingress" else EGRESS_RULE
        return [_separate(resource, "ipProtocol")] if resource.type == wanted else []
    return [_separate(resource, "protocol")]


def _inline(rule: Value) -> SecurityGroupRule:
    sources = [source for name in (*_BLOCKS, *_GROUPS, *_LISTS) for source in _of(rule.at(name))]
    return SecurityGroupRule(
        place=rule,
        protocol=rule.at("protocol"),
        first=rule.at("fromPort"),
        last=rule.at("toPort"),
        sources=tuple(sources),
    )


def _separate(resource: Resource, protocol: str) -> SecurityGroupRule:
    sources = [source for name in (*_BLOCKS, *_GROUPS, *_LISTS) for source in _of(resource[name])]
    return SecurityGroupRule(
        place=resource["securityGroupId"],
        protocol=resource[protocol],
        first=resource["fromPort"],
        last=resource["toPort"],
        sources=tuple(sources),
    )


def _of(value: Value) -> list[Value]:
    if not value.given or value.raw is False:
        return []
    if not value.is_known:
        return [value]
    return value.items() if isinstance(value.raw, list) else [value]
