"""RDS parameter groups for PostgreSQL: TLS forced, minimum version and ciphers set, SCRAM passwords."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from difflib import SequenceMatcher
from functools import lru_cache

from policy.defaults import parameter_default
from policy.floor import ACCEPTED_PROTOCOLS, NEWEST_PROTOCOL, RDS_CIPHERS, is_accepted, is_older
from policy.resources import Resource, Stack
from policy.rule import Area, Outcome, Problem, Rule, Severity, Unclear
from policy.rules.rds.resource_types import (
    CLUSTER_PARAMETER_GROUP,
    GROUPS,
    PARAMETER_GROUP,
    family_major,
    group_of,
    is_of_aurora,
    is_postgresql,
)
from policy.values import UndecidedError, Value, throughout

# RDS's names, stated here as well as in the program, so that one wrong name cannot blind both.
FORCE_SSL = "rds.force_ssl"
MINIMUM_PROTOCOL = "ssl_min_protocol_version"
MAXIMUM_PROTOCOL = "ssl_max_protocol_version"
CIPHERS = "ssl_ciphers"
STORED_PASSWORDS = "password_encryption"
ACCEPTED_PASSWORDS = "rds.accepted_password_auth_method"
CIPHERS_SINCE = 16
"""First major version in which RDS lets `ssl_ciphers` be set (RDS user guide, "Using SSL")."""

_GUIDE = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide"
_TLS = f"{_GUIDE}/PostgreSQL.Concepts.General.SSL.html"
_GROUP_TYPES = (PARAMETER_GROUP, CLUSTER_PARAMETER_GROUP)
_ALIKE = 0.8
_MEANT = re.compile(r"ssl|tls|(?:rds\.)?(?:\w*_)?(?:force|require|enforce)[\w.]*(?:ssl|tls)\w*")
_PENDING = "pending-reboot"


def _values(group: Resource, name: str) -> list[Value]:
    """Every value of a parameter; a single absent one where the group does not set it.

    The provider keeps parameters as a set, so that of two values of one name either can be the one that
    RDS applies, and each has to be good.

    Raises:
        UndecidedError: The group does not set it by a known name, and another name is not known yet.
    """
    given = [
        Value.of(f"parameters[{name}].value", value.raw, secret=value.secret)
        for value in (each.at("value") for each in _entries(group, name))
    ]
    return given or [Value(path=f"parameters[{name}]", raw=None)]


def _entries(group: Resource, name: str) -> tuple[Value, ...]:
    found, hidden = _by_name(group)
    if name not in found and hidden is not None:
        raise UndecidedError(f"{hidden.path} is not known before the update, and could be {name}")
    return found.get(name, ())


@lru_cache(maxsize=512)
def _by_name(group: Resource) -> tuple[Mapping[str, tuple[Value, ...]], Value | None]:
    """The parameters by their known names, and the last one without."""
    hidden, found = None, dict[str, tuple[Value, ...]]()
    for each in group["parameters"].items():
        if not each.is_known or not each.at("name").is_known:
            hidden = each
        else:
            name = each.at("name").text().lower()
            found[name] = (*found.get(name, ()), each)
    return found, hidden


def _effective(group: Resource, name: str, value: Value) -> Value:
    """A parameter's value, where it is absent RDS's default as far as that is known to be safe."""
    major = family_major(group) if value.raw is None else None
    if major is None:
        return value
    default = parameter_default(name, major, aurora=is_of_aurora(group))
    return Value(path=value.path, raw=default or None)


def _must(
    group: Resource, name: str, holds: Callable[[Value], bool], expected: str, *, where: str = ""
) -> Iterator[Outcome]:
    """What is wrong with a parameter. One that is absent is worth a line where RDS's default is safe."""

    def judge(value: Value) -> Iterator[Outcome]:
        effective = _effective(group, name, value)
        at = Value.of(f"{where}{value.path}", value.raw, secret=value.secret)
        if not holds(effective):
            yield Problem(at=at, reason=expected)
        elif effective is not value:
            by_default = f"{expected}; RDS's default is {effective.text()}, now"
            yield Problem(at=at, reason=by_default, severity=Severity.LOW)

    yield from throughout(_values(group, name), judge)


def _is_on(value: Value) -> bool:
    return value.truth() is True


@lru_cache(maxsize=1024)
def _is_a_near_miss(name: str) -> bool:
    """Whether a name is meant as the switch that forces TLS, and is none of RDS's."""
    if name == FORCE_SSL:
        return False
    alike = SequenceMatcher(None, name, FORCE_SSL).ratio() > _ALIKE
    return alike or _MEANT.fullmatch(name) is not None


def _names_the_switch(group: Resource) -> Iterator[Outcome]:
    if family_major(group) is None or any(_entries(group, FORCE_SSL)):
        return
    for each in group["parameters"].items():
        name = each.at("name")
        if _is_a_near_miss(name.text().lower()):
            yield Problem(at=name, reason=f"it does not force TLS; expected {FORCE_SSL}")


def _forces_tls(group: Resource) -> Iterator[Outcome]:
    if family_major(group) is not None:
        yield from _must(group, FORCE_SSL, _is_on, "expected 1")


def _group_forces_tls(server: Resource, stack: Stack) -> Iterator[Outcome]:
    if not is_postgresql(server):
        return
    reference = server[GROUPS[server.type].property]
    group = group_of(server, stack)
    if group is None:
        if reference.text() and not reference.text().lower().startswith("default."):
            yield Unclear(
                why=f"{reference.path} is {reference.shown}, not in this stack, so {FORCE_SSL} is unknown"
            )
        return
    where = f"{reference.path} → {group.name}."
    yield from _must(
        group, FORCE_SSL, _is_on, "expected 1 in the parameter group of this server", where=where
    )


def _minimum_protocol(group: Resource) -> Iterator[Outcome]:
    if family_major(group) is not None:
        yield from _must(
            group,
            MINIMUM_PROTOCOL,
            lambda value: is_accepted(value.text()),
            f"expected {' or '.join(ACCEPTED_PROTOCOLS)}",
        )


def _minimum_of(group: Resource) -> str:
    """The oldest version that the group could make the minimum."""
    minimums = [_effective(group, MINIMUM_PROTOCOL, each).text() for each in _values(group, MINIMUM_PROTOCOL)]
    return next(
        (each for each in minimums if all(not is_older(other, each) for other in minimums)), minimums[0]
    )


def _maximum_protocol(group: Resource) -> Iterator[Outcome]:
    def judge(value: Value) -> Iterator[Outcome]:
        if not value.text():
            return
        if not is_accepted(value.text()):
            yield Problem(at=value, reason="expected no maximum")
        elif is_older(value.text(), _minimum_of(group)):
            yield Problem(at=value, reason="it is below the minimum, so no client could connect")

    if family_major(group) is not None:
        yield from throughout(_values(group, MAXIMUM_PROTOCOL), judge)


def _ciphers(group: Resource) -> Iterator[Outcome]:
    major = family_major(group)

    def judge(value: Value) -> Iterator[Outcome]:
        if not value.text():
            can_be_set = group.type == PARAMETER_GROUP and (major or 0) >= CIPHERS_SINCE
            if can_be_set and is_older(_minimum_of(group), NEWEST_PROTOCOL):
                yield Problem(
                    at=value,
                    reason="expected a list; with TLS 1.2 RDS's default has CBC and RSA key exchange, too",
                    severity=Severity.MEDIUM,
                )
            return
        stated = [each.strip() for each in value.text().replace(":", ",").split(",")]
        if any(each.lower() not in known for each in stated):
            yield Problem(at=value, reason=f"expected only ciphers of {', '.join(RDS_CIPHERS)}")

    known = {cipher.lower() for cipher in RDS_CIPHERS}
    if major is not None:
        yield from throughout(_values(group, CIPHERS), judge)


def _stores_scram(group: Resource) -> Iterator[Outcome]:
    if family_major(group) is not None:
        yield from _must(
            group,
            STORED_PASSWORDS,
            lambda value: value.text().lower() == "scram-sha-256",
            "expected scram-sha-256",
        )


def _accepts_scram(group: Resource) -> Iterator[Outcome]:
    def judge(value: Value) -> Iterator[Outcome]:
        if not value.text():
            reason = "expected scram; by default RDS also accepts passwords that are stored as md5"
            yield Problem(at=value, reason=reason, severity=Severity.MEDIUM)
        elif value.text().lower() != "scram":
            yield Problem(at=value, reason="expected scram")

    if family_major(group) is not None:
        yield from throughout(_values(group, ACCEPTED_PASSWORDS), judge)


def _waits_for_a_reboot(group: Resource) -> Iterator[Outcome]:
    if family_major(group) is None:
        return
    for entry in _entries(group, FORCE_SSL):
        method = entry.at("applyMethod")
        if method.text().lower() != _PENDING:
            shown = Value.of(f"parameters[{FORCE_SSL}].applyMethod", method.raw, secret=method.secret)
            yield Problem(at=shown, reason=f"expected {_PENDING}, and a reboot after the update")


RULES = (
    Rule(
        id="PGTLS-P016",
        title="The parameter group of every PostgreSQL server forces TLS",
        area=Area.TLS,
        severity=Severity.CRITICAL,
        types=tuple(GROUPS),
        stack_checks=(_group_forces_tls,),
        why="With rds.force_ssl 0 the server accepts connections without TLS.",
        fix=f"set {FORCE_SSL} to 1 in that group",
        link=_TLS,
        references=("SH:RDS.38", "CKV2_AWS_69"),
    ),
    Rule(
        id="PGTLS-N41",
        title="Parameter groups set rds.force_ssl to 1, attached or not",
        area=Area.TLS,
        severity=Severity.CRITICAL,
        types=_GROUP_TYPES,
        checks=(_forces_tls, _names_the_switch),
        why="The default is 0 before 15 (Aurora: before 17), and the group can be attached after the review.",
        fix=f"set {FORCE_SSL} to 1 with applyMethod {_PENDING}; on RDS `ssl` does not force TLS",
        link=_TLS,
    ),
    Rule(
        id="PGTLS-N42",
        title="Parameter groups set a minimum of TLS 1.2 and the cipher suites",
        area=Area.TLS,
        severity=Severity.CRITICAL,
        types=_GROUP_TYPES,
        checks=(_minimum_protocol, _maximum_protocol, _ciphers),
        why="Otherwise RDS's defaults apply, now and after an upgrade.",
        fix=f"set {MINIMUM_PROTOCOL} to {NEWEST_PROTOCOL}, remove {MAXIMUM_PROTOCOL}, and set "
        f"{CIPHERS} to ciphers with forward secrecy and authenticated encryption only",
        link=_TLS,
    ),
    Rule(
        id="PGTLS-N43",
        title="Passwords are stored and accepted as SCRAM only",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=_GROUP_TYPES,
        checks=(_stores_scram, _accepts_scram),
        why="RDS accepts md5 by default; md5 hashes can be replayed and cracked quickly.",
        fix="set password_encryption to scram-sha-256 and rds.accepted_password_auth_method to scram",
        link=f"{_GUIDE}/PostgreSQL_Password_Encryption_configuration.html",
    ),
    Rule(
        id="PGTLS-N44",
        title="Static TLS parameters are applied at the next reboot",
        area=Area.TLS,
        severity=Severity.LOW,
        types=_GROUP_TYPES,
        # The RDS documentation contradicts itself about rds.force_ssl; pending-reboot is right in both cases.
        checks=(_waits_for_a_reboot,),
        why="RDS refuses `immediate` for a static parameter, and every preview shows a change.",
        fix=f"set applyMethod {_PENDING}, and reboot the server after the update",
        link=f"{_GUIDE}/USER_WorkingWithParamGroups.html",
    ),
)
