"""The rules of security groups, in each of the resource types that can hold them."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from policy.resources import Resource
from policy.rules.ec2.internet import Network
from policy.values import UndecidedError, Value

SECURITY_GROUP = "aws:ec2/securityGroup:SecurityGroup"
DEFAULT_GROUP = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
EITHER_RULE = "aws:ec2/securityGroupRule:SecurityGroupRule"
INGRESS_RULE = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS_RULE = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
RULE_SHAPES = (EITHER_RULE, INGRESS_RULE)
SEPARATE = (*RULE_SHAPES, EGRESS_RULE)
INGRESS_HOLDERS = (SECURITY_GROUP, DEFAULT_GROUP, *RULE_SHAPES)
EGRESS_HOLDERS = (SECURITY_GROUP, EITHER_RULE, EGRESS_RULE)

_LAST_PORT = 65535
_EVERY_PROTOCOL = "-1"
_WITHOUT_PORTS = ("icmp", "icmpv6", "1", "58")
_BLOCKS = ("cidrBlocks", "ipv6CidrBlocks", "cidrIpv4", "cidrIpv6")
_GROUPS = ("securityGroups", "sourceSecurityGroupId", "referencedSecurityGroupId", "self")
PREFIX_LISTS = ("prefixListIds", "prefixListId")

POSTGRESQL_PORT = 5432


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a rule lets traffic come from or, for egress, go to.

    Attributes:
        value: Its value.
        name: The property that it is given by, such as `cidrBlocks`.
        holder: The property of the resource that it is in, which carries its dependencies.
    """

    value: Value
    name: str
    holder: str

    @property
    def is_a_group(self) -> bool:
        """Whether it is a security group."""
        return self.name in _GROUPS

    @property
    def is_a_network(self) -> bool:
        """Whether it is a network."""
        return self.name in _BLOCKS


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
    sources: tuple[Source, ...]

    @property
    def is_of_every_protocol(self) -> bool:
        """Whether it opens all protocols, and so all ports."""
        return self.protocol.text().lower() in (_EVERY_PROTOCOL, "all", "")

    @cached_property
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

    @property
    def is_open(self) -> bool:
        """Whether it opens every port."""
        return self.is_of_every_protocol or len(self.ports) > _LAST_PORT

    def networks(self) -> Iterator[tuple[Value, Network]]:
        """The sources that are networks.

        Raises:
            UndecidedError: One of them is not known or is not a network; raised after all others.
        """
        hidden: Value | None = None
        for source in self.sources:
            if not source.is_a_network:
                continue
            try:
                yield source.value, network_of(source.value)
            except UndecidedError:
                hidden = source.value
        if hidden is not None:
            raise UndecidedError(f"{hidden.path} is {hidden.shown}, which is not a network")


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Network:
    return ipaddress.ip_network(text, strict=False)


def network_of(value: Value) -> Network:
    """A value as a network, with or without host bits.

    Raises:
        UndecidedError: It is not known yet, or is not a network.
    """
    try:
        return _parsed(value.text())
    except ValueError:
        raise UndecidedError(f"{value.path} is {value.shown}, which is not a network") from None


@lru_cache(maxsize=64)
def security_group_rules(resource: Resource, direction: str = "ingress") -> list[SecurityGroupRule]:
    """The ingress or egress rules of a security group, or of a resource that is one rule.

    Raises:
        UndecidedError: A list of rules is not known yet.
    """
    if resource.type in (SECURITY_GROUP, DEFAULT_GROUP):
        return [_rule(each, each.at, "protocol", direction) for each in resource[direction].items()]
    if resource.type == EITHER_RULE and resource["type"].text().lower() != direction:
        return []
    if resource.type in (INGRESS_RULE, EGRESS_RULE):
        wanted = INGRESS_RULE if direction == "ingress" else EGRESS_RULE
        return [_separate(resource, "ipProtocol")] if resource.type == wanted else []
    return [_separate(resource, "protocol")]


def _separate(resource: Resource, protocol: str) -> SecurityGroupRule:
    return _rule(resource["securityGroupId"], resource.__getitem__, protocol)


def _rule(
    place: Value, at: Callable[[str], Value], protocol: str, holder: str | None = None
) -> SecurityGroupRule:
    sources = [
        Source(value=value, name=name, holder=holder or name)
        for name in (*_BLOCKS, *_GROUPS, *PREFIX_LISTS)
        for value in _of(at(name))
    ]
    return SecurityGroupRule(
        place=place,
        protocol=at(protocol),
        first=at("fromPort"),
        last=at("toPort"),
        sources=tuple(sources),
    )


def _of(value: Value) -> list[Value]:
    if not value.given or value.raw is False:
        return []
    if not value.is_known:
        return [value]
    return value.items() if isinstance(value.raw, list) else [value]
