"""Security groups: ingress from the internet and from large networks, and egress."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial

from policy.floor import SHORTEST_PRIVATE_PREFIX
from policy.resources import Resource, Stack
from policy.rule import Area, Outcome, Problem, ResourceCheck, Rule, Severity
from policy.rules.ec2.internet import Network, is_the_internet, share
from policy.rules.ec2.security_group_rules import (
    DEFAULT_GROUP,
    EGRESS_HOLDERS,
    INGRESS_HOLDERS,
    POSTGRESQL_PORT,
    SECURITY_GROUP,
    SEPARATE,
    SecurityGroupRule,
    security_group_rules,
)
from policy.values import UndecidedError, Value, throughout

_LINK = "https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html"
_SSH, _RDP, _HTTP, _HTTPS = 22, 3389, 80, 443
_HIGH_RISK = (
    20, 21, 23, 25, 110, 135, 137, 138, 139, 143, 389, 445, 1433, 1434, 1521, 2375, 2376, 2379, 3000, 3306,
    4333, 5000, 5439, 5500, 5601, 5672, 5900, 6379, 6443, 8080, 8088, 8888, 9042, 9090, 9092, 9200, 9300,
    10250, 11211, 15672, 27017,
)  # fmt: skip
_OF_THEIR_OWN = (POSTGRESQL_PORT, _SSH, _RDP)
_PUBLIC_PREFIX = {4: 24, 6: 48}


def _is_all(rule: SecurityGroupRule) -> bool:
    return rule.is_open


def _covers(port: int, rule: SecurityGroupRule) -> bool:
    return not rule.is_open and rule.covers(port)


def _high_risk(rule: SecurityGroupRule) -> bool:
    return not rule.is_open and any(rule.covers(port) for port in _HIGH_RISK)


def _only_http(rule: SecurityGroupRule) -> bool:
    return list(rule.ports) == [_HTTP]


def _unnamed(rule: SecurityGroupRule) -> bool:
    if rule.is_open or _high_risk(rule) or any(rule.covers(port) for port in _OF_THEIR_OWN):
        return False
    return len(rule.ports) > 0 and list(rule.ports) not in ([_HTTPS], [_HTTP])


def _from_the_internet(
    concerns: Callable[[SecurityGroupRule], bool], reason: str, direction: str = "ingress"
) -> ResourceCheck:
    """The rules of one resource that are concerned do not admit the internet, alone or together."""

    def check(resource: Resource) -> Iterator[Outcome]:
        found: list[tuple[Value, Network]] = []

        def judge(rule: SecurityGroupRule) -> Iterator[Outcome]:
            if concerns(rule):
                for source, network in rule.networks():
                    found.append((source, network))
                    if is_the_internet([network]):
                        yield Problem(at=source, reason=reason.format(_said([network])))

        undecided: UndecidedError | None = None
        try:
            yield from throughout(security_group_rules(resource, direction), judge)
        except UndecidedError as error:
            undecided = error
        networks = [network for _, network in found]
        if not any(is_the_internet([each]) for each in networks) and is_the_internet(networks):
            yield Problem(at=found[0][0], reason=_together(reason, networks))
        if undecided is not None:
            raise undecided

    return check


def _said(networks: Iterable[Network]) -> str:
    given = list(networks)
    if any(each.prefixlen == 0 for each in given):
        return "the whole internet"
    return f"{share(given):.0%} of the internet"


def _together(reason: str, networks: Collection[Network]) -> str:
    return f"with the {len(set(networks)) - 1} other networks of the group, {reason.format(_said(networks))}"


def _wide_public(rule: SecurityGroupRule) -> Iterator[Outcome]:
    for source, network in rule.networks():
        is_public = not network.is_private and network.prefixlen > 0
        if is_public and network.prefixlen < _PUBLIC_PREFIX[network.version]:
            yield Problem(at=source, reason="it is a large part of the internet; expected smaller networks")


def _wide_private(rule: SecurityGroupRule) -> Iterator[Outcome]:
    if not rule.covers(POSTGRESQL_PORT):
        return
    for source, network in rule.networks():
        smallest = SHORTEST_PRIVATE_PREFIX[network.version]
        if network.is_private and not network.is_loopback and 0 < network.prefixlen < smallest:
            yield Problem(at=source, reason=f"expected a security group, or a network of /{smallest} at most")


def _one_port(rule: SecurityGroupRule) -> Iterator[Outcome]:
    if not rule.is_open and len(rule.ports) > 1:
        yield Problem(at=rule.last, reason=f"expected the same port as fromPort, {rule.first.text()}")


def _nothing_by_default(resource: Resource, direction: str) -> Iterator[Outcome]:
    for rule in security_group_rules(resource, direction):
        yield Problem(at=rule.place, reason="expected no rule in a default security group")


def _ingress(judge: Callable[[SecurityGroupRule], Iterator[Outcome]]) -> ResourceCheck:
    return lambda resource: throughout(security_group_rules(resource), judge)


_INTERNET = (
    ("P055", Severity.CRITICAL, partial(_covers, POSTGRESQL_PORT), "PostgreSQL", "port 5432", ("SH:EC2.19",)),
    ("P056", Severity.HIGH, partial(_covers, _SSH), "SSH", "port 22", ("SH:EC2.13", "CIS5:5.3")),
    ("P057", Severity.HIGH, partial(_covers, _RDP), "remote desktop", "port 3389", ("SH:EC2.14",)),
    ("P058", Severity.MEDIUM, _only_http, "unencrypted HTTP", "port 80", ()),
    ("P059", Severity.CRITICAL, _is_all, "all ports", "every port", ()),
    ("P060", Severity.HIGH, _unnamed, "ports other than 443", "a port other than 443", ("SH:EC2.18",)),
    ("P061", Severity.HIGH, _high_risk, "high-risk ports", "a high-risk port", ("SH:EC2.19",)),
)


def _in_one_place(group: Resource, stack: Stack) -> Iterator[Outcome]:
    separate = [each for token in SEPARATE for each in stack.referring(token, "securityGroupId", group)]
    for direction in ("ingress", "egress"):
        if separate and group[direction].items():
            yield Problem(
                at=group[direction], reason=f"expected none, since {separate[0].name} is a rule of its own"
            )
            return


RULES = (
    Rule(
        id="PGTLS-P070",
        title="The rules of a group are either inline or resources of their own",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=(SECURITY_GROUP,),
        stack_checks=(_in_one_place,),
        why="Each update of the group removes the separate rules, and the next one adds them again.",
        fix="write every rule as a SecurityGroupIngressRule or SecurityGroupEgressRule",
        link="https://www.pulumi.com/registry/packages/aws/api-docs/ec2/securitygroup/",
    ),
    *(
        Rule(
            id=f"PGTLS-{number}",
            title=f"The internet cannot reach {what}",
            area=Area.NETWORK,
            severity=severity,
            types=INGRESS_HOLDERS,
            checks=(_from_the_internet(concerns, f"{{}} can reach {ports}"),),
            why="Whatever the internet can reach is attacked within minutes.",
            fix="use the clients' security groups or networks as the source",
            link=_LINK,
            references=references,
        )
        for number, severity, concerns, what, ports, references in _INTERNET
    ),
    Rule(
        id="PGTLS-P062",
        title="Ingress is not open to large parts of the internet",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=INGRESS_HOLDERS,
        checks=(_ingress(_wide_public),),
        why="0.0.0.0/1 and 128.0.0.0/1 together are the whole internet.",
        fix="use public networks of /24 (IPv6: /48) or smaller",
        link=_LINK,
    ),
    Rule(
        id="PGTLS-P063",
        title="PostgreSQL is not open to large private networks",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=INGRESS_HOLDERS,
        checks=(_ingress(_wide_private),),
        why="Everything in the network could try to log in.",
        fix="use the applications' security groups as the source",
        link=_LINK,
    ),
    Rule(
        id="PGTLS-P064",
        title="Each rule opens one port",
        area=Area.NETWORK,
        severity=Severity.LOW,
        types=INGRESS_HOLDERS,
        checks=(_ingress(_one_port),),
        why="A range opens ports that nobody had in mind.",
        fix="write one rule per port",
        link=_LINK,
    ),
    Rule(
        id="PGTLS-P065",
        title="Egress is restricted",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=EGRESS_HOLDERS,
        checks=(_from_the_internet(_is_all, "every port of {} can be reached", "egress"),),
        why="Unrestricted egress lets an attacker copy data anywhere.",
        fix="list the ports and destinations that are needed",
        link=_LINK,
    ),
    Rule(
        id="PGTLS-P068",
        title="The VPC's default security group has no rules",
        area=Area.NETWORK,
        severity=Severity.HIGH,
        types=(DEFAULT_GROUP,),
        checks=(
            partial(_nothing_by_default, direction="ingress"),
            partial(_nothing_by_default, direction="egress"),
        ),
        why="Everything that names no security group uses the default one.",
        fix="remove ingress and egress from it, and create a security group for each purpose",
        link="https://docs.aws.amazon.com/vpc/latest/userguide/default-security-group.html",
        references=("SH:EC2.2", "CIS5:5.5"),
    ),
)
