"""All rules of one security group together, with the prefix lists that they name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import NamedTuple

from policy.resources import Resource, Stack
from policy.rule import Area, Outcome, Problem, Rule, Severity, Unclear
from policy.rules.ec2.internet import Network, is_the_internet, share
from policy.rules.ec2.security_group_rules import (
    DEFAULT_GROUP,
    EGRESS_HOLDERS,
    INGRESS_HOLDERS,
    POSTGRESQL_PORT,
    PREFIX_LISTS,
    SECURITY_GROUP,
    SecurityGroupRule,
    Source,
    network_of,
    security_group_rules,
)
from policy.values import UndecidedError

PREFIX_LIST = "aws:ec2/managedPrefixList:ManagedPrefixList"
PREFIX_LIST_ENTRY = "aws:ec2/managedPrefixListEntry:ManagedPrefixListEntry"
_LINK = "https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html"
_GROUPS = (SECURITY_GROUP, DEFAULT_GROUP)
# Meant to be reached from the internet, on a load balancer.
_PUBLIC_PORTS = (80, 443)


class _Admitted(NamedTuple):
    """One network that a rule admits, itself or by a prefix list."""

    rule: SecurityGroupRule
    holder: Resource
    source: Source
    network: Network


@lru_cache(maxsize=2)
def _groups(stack: Stack, holders: tuple[str, ...]) -> dict[str, list[list[Resource]]]:
    """The resources that hold the rules of each group, by the URN of the first of them."""
    found: dict[str, list[Resource]] = {}
    for each in stack.of_types(holders):
        names = [each.urn]
        if each.type not in _GROUPS:
            names = [group.urn for group in stack.all_referred(each, "securityGroupId", _GROUPS)]
            given = each["securityGroupId"]
            names = names or ([given.text()] if given.is_known else [])
        for name in names:
            found.setdefault(name, []).append(each)
    result: dict[str, list[list[Resource]]] = {}
    for members in found.values():
        result.setdefault(members[0].urn, []).append(members)
    return result


def _admitted(holder: Resource, direction: str, stack: Stack, hidden: list[Unclear]) -> Iterator[_Admitted]:
    """Every network of a resource's rules. A list for PostgreSQL that cannot be read is added to `hidden`."""
    try:
        rules = [(rule, rule.covers(POSTGRESQL_PORT)) for rule in security_group_rules(holder, direction)]
    except UndecidedError:
        return  # the rules about single resources report it
    for rule, is_of_postgresql in rules:
        unread = hidden if is_of_postgresql else []
        for source in rule.sources:
            try:
                for network in _networks(source, holder, stack, unread):
                    yield _Admitted(rule, holder, source, network)
            except UndecidedError as error:
                if not source.is_a_network:
                    unread.append(Unclear.of(error))


def _networks(source: Source, holder: Resource, stack: Stack, hidden: list[Unclear]) -> Iterator[Network]:
    if source.is_a_network:
        yield network_of(source.value)
    if source.name not in PREFIX_LISTS:
        return
    for each in _lists_of(source, holder, stack, hidden):
        for entry in each["entries"].items():
            yield network_of(entry.at("cidr"))
        for entry in stack.referring(PREFIX_LIST_ENTRY, "prefixListId", each):
            yield network_of(entry["cidr"])


def _lists_of(source: Source, holder: Resource, stack: Stack, hidden: list[Unclear]) -> list[Resource]:
    lists = stack.all_referred(holder, source.holder, (PREFIX_LIST,))
    if not source.value.is_known:
        return lists
    named = [each for each in lists if not each["id"].is_known or each["id"].raw in (None, source.value.raw)]
    if not named:
        hidden.append(
            Unclear(why=f"the prefix list {source.value.path} {source.value.shown} is not in this stack")
        )
    return named


def _ports(found: list[_Admitted]) -> list[int]:
    """Ports at which the set of admitted networks can be largest: where a range begins."""
    starts = {each.rule.ports.start for each in found if len(each.rule.ports) > 0}
    return sorted({*starts, *(port + 1 for port in _PUBLIC_PORTS), POSTGRESQL_PORT + 1})


def _only_postgresql(_: list[_Admitted]) -> list[int]:
    return [POSTGRESQL_PORT]


def _other_ports(found: list[_Admitted]) -> list[int]:
    return [each for each in _ports(found) if each not in (*_PUBLIC_PORTS, POSTGRESQL_PORT)]


def _every_port(_: list[_Admitted]) -> list[int]:
    return [-1]


def _covers(rule: SecurityGroupRule, port: int) -> bool:
    return rule.is_open if port < 0 else rule.covers(port)


def _together(
    direction: str,
    holders: tuple[str, ...],
    ports: Callable[[list[_Admitted]], list[int]],
    resource: Resource,
    stack: Stack,
) -> Iterator[Outcome]:
    # The first member of each group is judged, for all.
    for members in _groups(stack, holders).get(resource.urn, ()):
        hidden: list[Unclear] = []
        found = [each for member in members for each in _admitted(member, direction, stack, hidden)]
        for port in ports(found):
            concerned = [each for each in found if _covers(each.rule, port)]
            if problem := _problem(concerned, port):
                yield problem
                break
        else:
            if ports is _only_postgresql:
                yield from hidden


def _problem(found: list[_Admitted], port: int) -> Problem | None:
    networks = {each.network for each in found}
    if not is_the_internet(networks) or any(_is_reported_already(each, found) for each in found):
        return None
    first = found[0]
    reached = "every port" if port < 0 else f"port {port}"
    return Problem(
        at=first.source.value.renamed(f"{first.holder.name}.{first.source.value.path}"),
        reason=f"the {len(networks)} networks of the whole group are {share(networks):.0%} of the "
        f"internet, for {reached}",
    )


def _is_reported_already(admitted: _Admitted, found: list[_Admitted]) -> bool:
    """Whether the networks in one resource alone are the internet, which its own rules report."""
    own = [each.network for each in found if each.holder is admitted.holder and each.source.is_a_network]
    return is_the_internet(own)


RULES = (
    Rule(
        id="PGTLS-N70",
        title="Rules and prefix lists of a group together do not open PostgreSQL to the internet",
        area=Area.NETWORK,
        severity=Severity.CRITICAL,
        types=INGRESS_HOLDERS,
        stack_checks=(partial(_together, "ingress", INGRESS_HOLDERS, _only_postgresql),),
        why="Several rules, or a prefix list, admit as much as one rule for 0.0.0.0/0.",
        fix="use the clients' security groups or networks as the source",
        link=_LINK,
    ),
    Rule(
        id="PGTLS-N71",
        title="Rules and prefix lists of a group together open only 80 and 443 to the internet",
        area=Area.NETWORK,
        severity=Severity.HIGH,
        types=INGRESS_HOLDERS,
        stack_checks=(partial(_together, "ingress", INGRESS_HOLDERS, _other_ports),),
        why="Several rules, or a prefix list, admit as much as one rule for 0.0.0.0/0.",
        fix="use the clients' security groups or networks as the source",
        link=_LINK,
    ),
    Rule(
        id="PGTLS-N72",
        title="Rules and prefix lists of a group together restrict egress",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=EGRESS_HOLDERS,
        stack_checks=(partial(_together, "egress", EGRESS_HOLDERS, _every_port),),
        why="Several rules, or a prefix list, let as much out as one rule for 0.0.0.0/0.",
        fix="list the ports and destinations that are needed",
        link=_LINK,
    ),
)
