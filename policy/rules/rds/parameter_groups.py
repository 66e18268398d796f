"""RDS parameter groups for PostgreSQL: TLS forced, minimum version and ciphers set, SCRAM passwords."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from policy.floor import ACCEPTED_PROTOCOLS, NEWEST_PROTOCOL, RDS_CIPHERS, is_accepted, is_older
from policy.resources import Resource, Stack
from policy.rule import Area, Outcome, Problem, Rule, Severity, Unclear
from policy.rules.rds.resource_types import (
    CLUSTER_PARAMETER_GROUP,
    GROUPS,
    PARAMETER_GROUP,
    family_major,
    group_of,
    is_postgresql,
)
from policy.values import UndecidedError, Value
from postgres.rds_parameters import (
    CATALOGUE,
    FORCE_SSL,
    MAXIMUM_PROTOCOL,
    MINIMUM_PROTOCOL,
)

_GUIDE = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide"
_TLS = f"{_GUIDE}/PostgreSQL.Concepts.General.SSL.html"
_GROUP_TYPES = (PARAMETER_GROUP, CLUSTER_PARAMETER_GROUP)
_CIPHER_LIST = "ssl_ciphers"
_OF_TLS = (
    FORCE_SSL,
    MINIMUM_PROTOCOL,
    MAXIMUM_PROTOCOL,
    _CIPHER_LIST,
    "ssl_tls13_ciphers",
    "ssl_groups",
)
_PENDING = "pending-reboot"


def _parameter(group: Resource, name: str) -> Value:
    """The value of a parameter; absent where the group does not set it.

    Raises:
        UndecidedError: The group does not set it by a known name, and another name is not known yet.
    """
    found = _entry(group, name)
    if found is None:
        return Value(path=f"parameters[{name}]", raw=None)
    value = found.at("value")
    return Value.of(f"parameters[{name}].value", value.raw, secret=value.secret)


def _entry(group: Resource, name: str) -> Value | None:
    hidden, found = None, None
    for each in group["parameters"].items():
        if not each.is_known or not each.at("name").is_known:
            hidden = each
        elif each.at("name").text().lower() == name:
            found = each  # RDS applies the last one
    if found is None and hidden is not None:
        raise UndecidedError(f"{hidden.path} is not known before the update, and could be {name}")
    return found


def _forces_tls(group: Resource) -> Iterator[Outcome]:
    value = _parameter(group, FORCE_SSL)
    if family_major(group) is not None and value.truth() is not True:
        yield Problem(at=value, reason="expected 1")


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
    value = _parameter(group, FORCE_SSL)
    if value.truth() is not True:
        shown = Value.of(f"{reference.path} → {group.name}.{value.path}", value.raw, secret=value.secret)
        yield Problem(at=shown, reason="expected 1 in the parameter group of this server")


def _minimum_protocol(group: Resource) -> Iterator[Outcome]:
    value = _parameter(group, MINIMUM_PROTOCOL)
    if family_major(group) is not None and not is_accepted(value.text()):
        yield Problem(at=value, reason=f"expected {' or '.join(ACCEPTED_PROTOCOLS)}")


def _maximum_protocol(group: Resource) -> Iterator[Outcome]:
    value = _parameter(group, MAXIMUM_PROTOCOL)
    if family_major(group) is None or not value.text():
        return
    if not is_accepted(value.text()):
        yield Problem(at=value, reason="expected no maximum")
        return
    if is_older(value.text(), _parameter(group, MINIMUM_PROTOCOL).text()):
        yield Problem(at=value, reason="it is below the minimum, so no client could connect")


def _ciphers(group: Resource) -> Iterator[Outcome]:
    major, value = family_major(group), _parameter(group, _CIPHER_LIST)
    if major is None:
        return
    if not value.text():
        can_be_set = group.type == PARAMETER_GROUP and major >= CATALOGUE[_CIPHER_LIST].since
        if can_be_set and is_older(_parameter(group, MINIMUM_PROTOCOL).text(), NEWEST_PROTOCOL):
            yield Problem(
                at=value,
                reason="expected a list; by default RDS offers CBC and RSA key exchange with TLS 1.2",
            )
        return
    known = {cipher.lower() for cipher in RDS_CIPHERS}
    stated = [each.strip() for each in value.text().replace(":", ",").split(",")]
    if any(each.lower() not in known for each in stated):
        yield Problem(at=value, reason=f"expected only ciphers of {', '.join(RDS_CIPHERS)}")


def _is(name: str, expected: str, group: Resource) -> Iterator[Outcome]:
    value = _parameter(group, name)
    if family_major(group) is not None and value.text().lower() != expected:
        yield Problem(at=value, reason=f"expected {expected}")


def _waits_for_reboot(name: str) -> bool:
    # The RDS documentation contradicts itself about rds.force_ssl; pending-reboot is right in both cases.
    return name == FORCE_SSL or CATALOGUE[name].static


def _apply_method(name: str, group: Resource) -> Iterator[Outcome]:
    entry = _entry(group, name)
    if entry is None or family_major(group) is None:
        return
    method = entry.at("applyMethod")
    if method.text().lower() != _PENDING:
        shown = Value.of(f"parameters[{name}].applyMethod", method.raw, secret=method.secret)
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
        checks=(_forces_tls,),
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
        f"{_CIPHER_LIST} to ciphers with forward secrecy and authenticated encryption only",
        link=_TLS,
    ),
    Rule(
        id="PGTLS-N43",
        title="Passwords are stored and accepted as SCRAM only",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=_GROUP_TYPES,
        checks=(
            partial(_is, "password_encryption", "scram-sha-256"),
            partial(_is, "rds.accepted_password_auth_method", "scram"),
        ),
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
        checks=tuple(partial(_apply_method, name) for name in _OF_TLS if _waits_for_reboot(name)),
        why="RDS refuses `immediate` for a static parameter, and every preview shows a change.",
        fix=f"set applyMethod {_PENDING}, and reboot the server after the update",
        link=f"{_GUIDE}/USER_WorkingWithParamGroups.html",
    ),
)
