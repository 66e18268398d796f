"""Parameter groups of RDS for PostgreSQL: what the program sets, what users may add, what AWS refuses.

Names, allowed values and apply types: RDS user guide, "Working with parameters on your RDS for
PostgreSQL DB instance" and "Using SSL with a PostgreSQL DB instance". RDS counts in PostgreSQL's base
units and writes booleans as 1 and 0; users write values as in postgresql.conf, and `rds_value` translates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Literal

from postgres.extensions import PRELOAD, delegated, implied_settings
from postgres.protocol import MINIMUM_PROTOCOLS
from postgres.server_settings import setting_problems
from postgres.setting_catalogue import setting_rule
from postgres.setting_rule import SettingRule, base_number
from postgres.tls_groups import DEFAULT_GROUPS
from postgres.versions import SUPPORTED_MAJORS, require_supported

ApplyMethod = Literal["immediate", "pending-reboot"]

FORCE_SSL = "rds.force_ssl"
DELEGATED = "rds.allowed_delegated_extensions"
"""Extensions that members of rds_extension may create; RDS user guide, "delegated extension support"."""
MINIMUM_PROTOCOL = "ssl_min_protocol_version"
MAXIMUM_PROTOCOL = "ssl_max_protocol_version"

CIPHERS: tuple[str, ...] = tuple(
    f"TLS_ECDHE_{key}_WITH_{cipher}"
    for key in ("ECDSA", "RSA")
    for cipher in ("AES_256_GCM_SHA384", "AES_128_GCM_SHA256")
)
"""Cipher suites of TLS 1.2 with forward secrecy and authenticated encryption, by their IANA names."""

_CIPHERS_WITH_CBC = (*CIPHERS, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA")
_CIPHERS_TLS13 = ("TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256")
_GROUPS = ("X25519MLKEM768", "SecP256r1MLKEM768", "X25519", "prime256v1", "secp384r1")


@dataclass(frozen=True, kw_only=True)
class RdsParameter:
    """One parameter as RDS knows it.

    Attributes:
        name: Its name.
        static: Whether a change waits for a reboot, so that AWS refuses `immediate`.
        pattern: Regular expression that the whole value must match.
        allowed: The allowed values, in words.
        since: First major release whose families have it.
    """

    name: str
    static: bool
    pattern: str
    allowed: str
    since: int = SUPPORTED_MAJORS[0]


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter of a group, its value as RDS writes it."""

    name: str
    value: str
    apply_method: ApplyMethod


def _choice(name: str, values: Iterable[str], *, static: bool = False, since: int = 15) -> RdsParameter:
    values = tuple(values)
    return RdsParameter(
        name=name,
        static=static,
        pattern="|".join(map(re.escape, values)),
        allowed="one of " + ", ".join(values),
        since=since,
    )


def _list(
    name: str, values: Iterable[str], separator: str, *, static: bool = False, since: int = 15
) -> RdsParameter:
    values = tuple(values)
    word = "|".join(map(re.escape, values))
    return RdsParameter(
        name=name,
        static=static,
        pattern=rf"(?:{word})(?:{separator}(?:{word}))*",
        allowed=f"a list of {', '.join(values)}, separated by {separator!r}",
        since=since,
    )


def _from_server(name: str) -> RdsParameter:
    rules = [rule for major in SUPPORTED_MAJORS if (rule := setting_rule(name, major)) is not None]
    rule = rules[0]
    return RdsParameter(
        name=name,
        static=rule.needs_restart,
        pattern=_rds_pattern(rule),
        allowed=_rds_words(rule),
        since=rule.since,
    )


def _rds_pattern(rule: SettingRule) -> str:
    match rule.kind:
        case "bool":
            return "[01]"
        case "enum":
            return "|".join(map(re.escape, rule.values))
        case "string":
            return rule.pattern
        case "integer":
            return "-?[0-9]+"
        case _:
            return r"-?[0-9]+(\.[0-9]+)?"


def _rds_words(rule: SettingRule) -> str:
    if rule.kind == "bool":
        return "0 or 1"
    return f"{rule.allowed().partition(', written')[0]}, as a bare number" if rule.unit else rule.allowed()


_OF_RDS = (
    _choice(FORCE_SSL, ("0", "1")),
    RdsParameter(
        name=DELEGATED, static=False, pattern=r"[a-z0-9_-]+(?:,[a-z0-9_-]+)*", allowed="a list of extensions"
    ),
    _choice("rds.accepted_password_auth_method", ("md5+scram", "scram")),
    _choice("rds.restrict_password_commands", ("0", "1"), static=True),
    _choice("rds.logical_replication", ("0", "1"), static=True),
    RdsParameter(
        name="rds.log_retention_period",
        static=False,
        pattern=r"14[4-9][0-9]|1[5-9][0-9]{2}|[2-9][0-9]{3}|100[0-7][0-9]|10080",
        allowed="minutes, from 1440 to 10080",
    ),
)
_OF_TLS = (
    _choice(MINIMUM_PROTOCOL, ("TLSv1", "TLSv1.1", *MINIMUM_PROTOCOLS)),
    _choice(MAXIMUM_PROTOCOL, ("TLSv1", "TLSv1.1", *MINIMUM_PROTOCOLS)),
    _list("ssl_ciphers", _CIPHERS_WITH_CBC, ",", since=16),
    _list("ssl_tls13_ciphers", _CIPHERS_TLS13, ":", since=18),
    _list("ssl_groups", _GROUPS, ":", since=18),
)
_OF_LOGINS_AND_LOGS = (
    _choice("password_encryption", ("md5", "scram-sha-256")),
    _choice("log_connections", ("0", "1")),
    _choice("log_disconnections", ("0", "1")),
)

EXTRA: tuple[str, ...] = tuple(
    """
    autovacuum_analyze_scale_factor autovacuum_max_workers autovacuum_naptime autovacuum_vacuum_cost_delay
    autovacuum_vacuum_scale_factor checkpoint_timeout cron.database_name cron.log_run
    cron.max_running_jobs cron.use_background_workers deadlock_timeout default_statistics_target
    effective_cache_size effective_io_concurrency idle_in_transaction_session_timeout idle_session_timeout
    lock_timeout log_autovacuum_min_duration log_lock_waits log_min_duration_statement log_statement
    log_temp_files maintenance_work_mem max_connections max_locks_per_transaction max_parallel_workers
    max_parallel_workers_per_gather max_replication_slots max_slot_wal_keep_size max_wal_senders
    max_wal_size max_worker_processes min_wal_size pg_stat_statements.track pgaudit.log
    pgaudit.log_catalog pgaudit.log_parameter pgaudit.log_relation pgaudit.log_statement_once
    random_page_cost shared_buffers statement_timeout temp_buffers track_activity_query_size
    track_functions track_io_timing work_mem
    """.split()  # noqa: SIM905 - a list of words is easier to read than one of strings
)
"""Settings of PostgreSQL that users may add to a group, written as in postgresql.conf."""

PRELOADABLE_LIBRARIES = (
    "auto_explain", "orafce", "pgaudit", "pglogical", "pg_bigm", "pg_cron", "pg_hint_plan", "pg_prewarm",
    "pg_similarity", "pg_stat_statements", "pg_tle", "pg_transport", "plprofiler", "plrust",
)  # fmt: skip
"""What RDS allows in `shared_preload_libraries` (DescribeDBParameters of the families postgres15 to 18)."""

_LIBRARIES = _list(PRELOAD, PRELOADABLE_LIBRARIES, ",", static=True)

CATALOGUE: Mapping[str, RdsParameter] = MappingProxyType(
    {
        parameter.name: parameter
        for parameter in (*_OF_RDS, *_OF_TLS, *_OF_LOGINS_AND_LOGS, *map(_from_server, EXTRA), _LIBRARIES)
    }
)
"""The parameters that are known here, by name. RDS has more, which the project neither sets nor accepts."""

OF_USERS = frozenset({*EXTRA, "rds.log_retention_period", "rds.logical_replication", _LIBRARIES.name})
"""The parameters that users may add to a group."""

_WEAKER: Mapping[str, str] = MappingProxyType(
    {
        FORCE_SSL: "the program sets it to 1, and anything else would let clients in without TLS",
        MINIMUM_PROTOCOL: "set minimumProtocol instead",
        MAXIMUM_PROTOCOL: "new TLS versions would be locked out",
        "ssl": "it is not a switch on RDS and does not enforce TLS; the program sets rds.force_ssl",
        "rds.accepted_password_auth_method": "the program sets it to scram",
        "rds.restrict_password_commands": "the roles function could no longer clear passwords",
        "password_encryption": "the program sets it to scram-sha-256",
        "log_connections": "the program sets it, so that logins leave a trace",
        "log_disconnections": "the program sets it, so that ends of sessions leave a trace",
        "ssl_ciphers": "weaker ciphers could be negotiated",
        "ssl_tls13_ciphers": "weaker ciphers could be negotiated",
        "ssl_groups": "weaker key exchange could be negotiated",
    }
)


def family(major: int) -> str:
    """The parameter group family of a major release, such as `postgres17`.

    Raises:
        ValueError: The major is not supported.
    """
    require_supported(major)
    return f"postgres{major}"


def required_parameters(major: int, minimum_protocol: str) -> tuple[Parameter, ...]:
    """The parameters of every group of this project, in alphabetical order.

    Where AWS's documents disagree on whether a parameter is static (`rds.force_ssl`: dynamic in the
    table of parameters, refused as static in 2019), it is applied at the reboot, which AWS accepts for
    both; on a new instance that is its first start.

    Raises:
        ValueError: The major or the protocol is not supported.
    """
    require_supported(major)
    if minimum_protocol not in MINIMUM_PROTOCOLS:
        raise ValueError(
            f"minimum protocol {minimum_protocol!r} is not one of {', '.join(MINIMUM_PROTOCOLS)}"
        )
    values = {
        FORCE_SSL: "1",
        MINIMUM_PROTOCOL: minimum_protocol,
        "rds.accepted_password_auth_method": "scram",
        "password_encryption": "scram-sha-256",
        "log_connections": "1",
        "log_disconnections": "1",
        "log_statement": "ddl",
        "ssl_ciphers": ",".join(CIPHERS),
        "ssl_tls13_ciphers": ":".join(_CIPHERS_TLS13),
        "ssl_groups": ":".join(DEFAULT_GROUPS),
    }
    return tuple(
        Parameter(
            name=name,
            value=value,
            apply_method="pending-reboot" if name == FORCE_SSL or CATALOGUE[name].static else "immediate",
        )
        for name, value in sorted(values.items())
        if CATALOGUE[name].since <= major
    )


def group_parameters(
    major: int,
    minimum_protocol: str,
    extra: Mapping[str, str],
    extensions: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> tuple[Parameter, ...]:
    """The whole group: what is required, `extra`, written as in postgresql.conf, and what extensions need.

    Args:
        major: Major release.
        minimum_protocol: Lowest TLS version.
        extra: What users add.
        extensions: The extensions of each database.

    Raises:
        ValueError: Something in `extra` may not be set; see `extra_parameter_problems`.
    """
    problems = [
        problem for name, value in extra.items() for problem in extra_parameter_problems(major, name, value)
    ]
    if problems:
        raise ValueError("; ".join(problems))
    found = {parameter.name: parameter for parameter in required_parameters(major, minimum_protocol)}
    wanted = {**extra, **implied_settings(extensions, extra, "rds")}
    if of_delegates := delegated(name for names in extensions.values() for name in names):
        wanted[DELEGATED] = ",".join(of_delegates)
    for name, value in wanted.items():
        found[name] = Parameter(
            name=name,
            value=rds_value(major, name, value),
            apply_method="pending-reboot" if CATALOGUE[name].static else "immediate",
        )
    return tuple(found[name] for name in sorted(found))


def rds_value(major: int, name: str, value: str) -> str:
    """A value as RDS writes it: `64MB` of `work_mem`, which counts in kB, is `65536`; `on` is `1`."""
    rule = setting_rule(name, major)
    if rule is None or name == _LIBRARIES.name:
        return value.replace(" ", "")
    if rule.kind == "bool":
        return "1" if value.lower() in ("on", "true", "yes") else "0"
    if rule.kind == "integer" and (number := base_number(rule, value)) is not None:
        return str(round(number))
    if rule.kind == "real" and (number := base_number(rule, value)) is not None:
        return _decimal(number)
    return value


def _decimal(number: Fraction) -> str:
    return str(number.numerator) if number.denominator == 1 else f"{float(number):.6f}".rstrip("0")


def extra_parameter_problems(major: int, name: str, value: str) -> list[str]:
    """Why users may not add this to a group; empty when they may. `value` as in postgresql.conf."""
    if name in _WEAKER:
        return [f"parameter {name} cannot be set here: {_WEAKER[name]}; remove it"]
    known = CATALOGUE.get(name)
    if known is None or name not in OF_USERS:
        allowed = ", ".join(sorted(OF_USERS))
        return [f"parameter {name} is not on the list of RDS parameters that may be set: {allowed}"]
    if known.since > major:
        return [f"parameter {name} exists from PostgreSQL {known.since}; this is {major}; remove it"]
    if setting_rule(name, major) is not None and name != _LIBRARIES.name:
        return setting_problems(major, name, value)
    good = re.fullmatch(known.pattern, rds_value(major, name, value))
    return [] if good else [f"parameter {name} is not {known.allowed}"]


def parameter_problems(major: int, name: str, value: str, apply_method: str) -> list[str]:
    """Why RDS refuses a parameter of a group of this major's family; empty when it accepts it.

    `value` is written as RDS writes it. Values are compared case-insensitively, as RDS does.
    """
    known = CATALOGUE.get(name)
    if known is None or known.since > major:
        return [f"Could not find parameter with name: {name}"]
    found = []
    if re.fullmatch(known.pattern, value, re.IGNORECASE) is None:
        found.append(f"Invalid parameter value: {value} for: {name} allowed values are: {known.allowed}")
    if known.static and apply_method == "immediate":
        found.append("cannot use immediate apply method for static parameter")
    return found
