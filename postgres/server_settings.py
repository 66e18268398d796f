"""Settings of postgresql.conf: what the program sets, what users may add, and what nobody may weaken."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from postgres.protocol import MINIMUM_PROTOCOLS
from postgres.setting_catalogue import CATALOGUE, setting_rule
from postgres.setting_rule import value_problem
from postgres.tls_groups import DEFAULT_GROUPS, GROUPS_SINCE, groups_problems
from postgres.versions import SUPPORTED_MAJORS, require_supported

MACHINE_SETTINGS = frozenset(
    """
    config_file data_directory external_pid_file hba_file ident_file listen_addresses log_directory
    ssl_ca_file ssl_cert_file ssl_crl_dir ssl_crl_file ssl_dh_params_file ssl_key_file
    unix_socket_directories unix_socket_group
    """.split()  # noqa: SIM905 - a list of words is easier to read than one of strings
)
"""Settings that only the machine knows: it writes them itself, after the program's file is included."""

_CIPHERS_TLS12 = ":".join(
    f"ECDHE-{key}-{cipher}"
    for cipher in ("AES256-GCM-SHA384", "AES128-GCM-SHA256")
    for key in ("ECDSA", "RSA")
)
_CIPHERS_TLS13 = "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256"

_LOGGING: Mapping[str, str] = MappingProxyType(
    {
        "logging_collector": "on",
        "log_destination": "jsonlog",
        # The machine ships the lines elsewhere, and then removes the files that the server has left.
        "log_filename": "postgresql-%a-%H%M%S.log",
        "log_truncate_on_rotation": "on",
        "log_rotation_age": "1d",
        "log_rotation_size": "64MB",
        "log_file_mode": "0600",
        "log_connections": "on",
        "log_disconnections": "on",
        "log_hostname": "off",
        "log_line_prefix": "%m [%p]: db=%d,user=%u,app=%a,client=%h ",
        "log_min_messages": "warning",
        "log_min_error_statement": "error",
        "log_replication_commands": "on",
        "log_timezone": "UTC",
    }
)

_DEFAULTS: Mapping[str, str] = MappingProxyType({"authentication_timeout": "15s", "log_statement": "ddl"})
"""What the program sets and users may change, within _FLOORS."""

_FLOORS: Mapping[str, tuple[tuple[str, ...], str]] = MappingProxyType(
    {
        "allow_system_table_mods": (("off",), "catalogues could be changed by hand"),
        "autovacuum": (("on",), "tables would bloat until transaction ids run out"),
        "db_user_namespace": (("off",), "role names would mean something else per database"),
        "event_triggers": (("on",), "auditing by event triggers would stop"),
        "fsync": (("on",), "a crash would destroy the database"),
        "full_page_writes": (("on",), "a crash could destroy pages"),
        "ignore_checksum_failure": (("off",), "damaged pages would be served"),
        "log_statement": (("ddl", "mod", "all"), "changes of schemas and roles would leave no trace"),
        "row_security": (("on",), "queries under row security would fail"),
        "ssl_prefer_server_ciphers": (("on",), "clients would choose the weaker cipher"),
        "track_activities": (("on",), "sessions could not be watched"),
        "track_counts": (("on",), "autovacuum would stop"),
        "wal_level": (("replica", "logical"), "backups and replicas could not follow"),
        "zero_damaged_pages": (("off",), "damaged data would vanish silently"),
    }
)
"""Values that do not weaken the server, and what any other value would do."""

_WEAKER: Mapping[str, str] = MappingProxyType(
    {
        "log_connections": "logins would leave no trace",
        "log_destination": "the machine could not ship the log",
        "log_disconnections": "ends of sessions would leave no trace",
        "log_file_mode": "other users of the machine could read the log",
        "logging_collector": "the machine could not ship the log",
        "md5_password_warnings": "MD5 passwords would go unnoticed",
        "password_encryption": "passwords would be stored weakly",
        "scram_iterations": "passwords would be easier to guess",
        "ssl": "clients could not connect with TLS",
        "ssl_ciphers": "weaker ciphers could be negotiated",
        "ssl_groups": "weaker key exchange could be negotiated",
        "ssl_min_protocol_version": "old TLS could be negotiated",
        "ssl_tls13_ciphers": "weaker ciphers could be negotiated",
        "unix_socket_permissions": "other users of the machine could connect",
    }
)
_KEYS: Mapping[str, str] = MappingProxyType(
    {
        "port": "selfManaged.port",
        "ssl_groups": "selfManaged.tlsGroups",
        "ssl_min_protocol_version": "selfManaged.minimumProtocol",
    }
)
_COMMANDS = frozenset(
    {
        "archive_cleanup_command",
        "archive_command",
        "archive_library",
        "dynamic_library_path",
        "extension_control_path",
        "jit_provider",
        "local_preload_libraries",
        "oauth_validator_libraries",
        "output_plugin_libraries",
        "recovery_end_command",
        "restore_command",
        "session_preload_libraries",
        "ssl_passphrase_command",
        "ssl_passphrase_command_supports_reload",
    }
)


def tls_settings(major: int, minimum_protocol: str, groups: Sequence[str] = DEFAULT_GROUPS) -> dict[str, str]:
    """The TLS settings of PostgreSQL `major`, except the paths of files, which the machine adds.

    Raises:
        ValueError: `major` is not supported or `minimum_protocol` is not one of MINIMUM_PROTOCOLS.
    """
    require_supported(major)
    if minimum_protocol not in MINIMUM_PROTOCOLS:
        raise ValueError(
            f"minimum protocol {minimum_protocol!r} is not one of {', '.join(MINIMUM_PROTOCOLS)}"
        )
    settings = {
        "ssl": "on",
        "ssl_min_protocol_version": minimum_protocol,
        "ssl_ciphers": _CIPHERS_TLS12,
    }
    if major >= GROUPS_SINCE:
        settings["ssl_tls13_ciphers"] = _CIPHERS_TLS13
        settings["ssl_groups"] = ":".join(groups)
    else:
        # These majors would not start with X25519: they look for an elliptic curve of that name.
        settings["ssl_ecdh_curve"] = "prime256v1"
    return settings


def required_settings(major: int) -> dict[str, str]:
    """The settings that every postgresql.conf of PostgreSQL `major` must have, with these values.

    Port, ssl_min_protocol_version, ssl_groups and what users may change are not among them: they vary.

    Raises:
        ValueError: `major` is not supported.
    """
    settings = tls_settings(major, MINIMUM_PROTOCOLS[-1])
    del settings["ssl_min_protocol_version"]
    settings.pop("ssl_groups", None)
    settings["password_encryption"] = "scram-sha-256"
    if major >= 16:
        settings["scram_iterations"] = "4096"
    if major >= 18:
        settings["md5_password_warnings"] = "on"
    # The socket belongs to the server's own user, and the machine connects as that user.
    settings["unix_socket_permissions"] = "0770"
    return settings | dict(_LOGGING)


def server_settings(
    major: int,
    port: int,
    minimum_protocol: str,
    extra: Mapping[str, str] | None = None,
    groups: Sequence[str] = DEFAULT_GROUPS,
) -> dict[str, str]:
    """All settings of the program's postgresql.conf, in a fixed order.

    Raises:
        ValueError: the major, port (1 to 65535) or protocol is wrong, or setting_problems finds something
            in `extra`; the message lists everything.
    """
    extra = extra or {}
    problems = [problem for name in sorted(extra) for problem in setting_problems(major, name, extra[name])]
    problems += _library_problems(extra)
    problems += _port_problems(str(port))
    if problems:
        raise ValueError("; ".join(problems))
    program = (
        {"port": str(port)}
        | tls_settings(major, minimum_protocol, groups)
        | required_settings(major)
        | dict(_DEFAULTS)
    )
    return {
        **{name: value for name, value in program.items() if name not in extra},
        **{name: extra[name] for name in sorted(extra)},
    }


def setting_problems(major: int, name: str, value: str) -> list[str]:
    """Why users may not set `name` to `value` on PostgreSQL `major`; empty when they may.

    Raises:
        ValueError: `major` is not supported.
    """
    require_supported(major)
    if name != name.lower():
        return [f"setting {name!r}: write it in lower case, {name.lower()!r}"]
    problem = _refusal(name, value) or _value_problem(major, name, value)
    return [] if problem is None else [f"setting {name} = {value!r}{problem}"]


def configuration_problems(major: int, settings: Mapping[str, str]) -> list[str]:
    """What is wrong with a whole postgresql.conf of the program; empty when nothing is.

    A machine checks this before it uses the file: everything required has exactly its value, port, groups and
    minimum protocol are valid, and the rest is what users may set.

    Raises:
        ValueError: `major` is not supported.
    """
    required = required_settings(major)
    problems = [
        f"setting {name} is {settings.get(name)!r}; it must be {value!r}"
        for name, value in required.items()
        if settings.get(name) != value
    ]
    protocol = settings.get("ssl_min_protocol_version")
    if protocol not in MINIMUM_PROTOCOLS:
        allowed = ", ".join(MINIMUM_PROTOCOLS)
        problems.append(f"setting ssl_min_protocol_version is {protocol!r}; it must be one of {allowed}")
    if major >= GROUPS_SINCE:
        groups = settings.get("ssl_groups", "").split(":")
        problems += [f"setting ssl_groups {text}" for text in groups_problems(major, protocol or "", groups)]
    problems += _port_problems(settings.get("port", ""))
    problems += [f"setting {name} is missing" for name in _DEFAULTS if name not in settings]
    varying = {"port", "ssl_min_protocol_version", *tls_settings(major, MINIMUM_PROTOCOLS[-1]), *required}
    extra = {name: value for name, value in settings.items() if name not in varying}
    problems += [problem for name in extra for problem in setting_problems(major, name, extra[name])]
    return problems + _library_problems(extra)


def owned_settings(major: int, settings: Mapping[str, str]) -> frozenset[str]:
    """Settings that nobody may set beside a whole postgresql.conf with `settings`.

    They are those of the file, what the machine and the program set on any major, and what would weaken
    the server.
    """
    require_supported(major)
    return frozenset(settings) | MACHINE_SETTINGS | frozenset(_program_settings()) | frozenset(_FLOORS)


def access_settings(major: int) -> frozenset[str]:
    """Settings that decide who gets in, and how."""
    return (
        MACHINE_SETTINGS
        | frozenset(tls_settings(major, MINIMUM_PROTOCOLS[-1]))
        | {
            "password_encryption",
            "port",
            "ssl_max_protocol_version",
            "unix_socket_permissions",
        }
    )


def session_values(major: int) -> dict[str, tuple[str, ...]]:
    """Values that a role or a database may have of its own without weakening the server, by setting."""
    required = {name: (value,) for name, value in required_settings(major).items()}
    return required | {name: values for name, (values, _) in _FLOORS.items()}


def needs_restart(name: str, major: int | None = None) -> bool:
    """Whether a change of `name` needs a restart: on `major`, or on any supported major when None.

    An unknown setting is assumed to need one.
    """
    known = {"port": True, "logging_collector": True, "unix_socket_permissions": True}
    if name in known:
        return known[name]
    if name in _program_settings():
        return False
    rules = [rule for rule in CATALOGUE.get(name, ()) if major is None or rule.serves(major)]
    return not rules or any(rule.needs_restart for rule in rules)


def _program_settings() -> dict[str, str | None]:
    """What the program sets on any supported major; None where the value varies."""
    program: dict[str, str | None] = {
        "port": None,
        "ssl_groups": None,
        "ssl_min_protocol_version": None,
        "ssl_max_protocol_version": None,
    }
    for major in SUPPORTED_MAJORS:
        program |= required_settings(major)
    return program


def _refusal(name: str, value: str) -> str | None:
    """Why nobody may set `name`, or set it to `value`, on any major."""
    if name in MACHINE_SETTINGS:
        return ": only the machine knows it and sets it; drop it"
    if name in _COMMANDS:
        return ": it runs commands or loads code as the server; drop it"
    program = _program_settings()
    if name in program:
        return _program_refusal(name, value, program[name])
    floor = _FLOORS.get(name)
    if floor is not None and value.lower() not in floor[0]:
        return f": {floor[1]}; allowed: {', '.join(floor[0])}"
    return ": it already has this value; drop it" if floor is not None and name not in CATALOGUE else None


def _program_refusal(name: str, value: str, own: str | None) -> str:
    text = ": the program sets it" if own is None else f": the program sets it to {own!r}"
    if name in _WEAKER and value.lower() != own:
        text += f" (with another value {_WEAKER[name]})"
    return f"{text}; use {_KEYS[name]} instead" if name in _KEYS else f"{text}; drop it"


def _value_problem(major: int, name: str, value: str) -> str | None:
    rule = setting_rule(name, major)
    if rule is not None:
        problem = value_problem(rule, value)
        return None if problem is None else f" {problem}"
    if name in CATALOGUE:
        majors = ", ".join(str(other) for other in SUPPORTED_MAJORS if setting_rule(name, other))
        return f": PostgreSQL {major} does not know it, only {majors}; drop it"
    close = difflib.get_close_matches(name, CATALOGUE, n=1)
    meant = f"did you mean {close[0]!r}?" if close else "see postgres/setting_catalogue.py for the list"
    return f": it is not on the list of settings that may be set; {meant}"


def _library_problems(extra: Mapping[str, str]) -> list[str]:
    preloaded = {name.strip() for name in extra.get("shared_preload_libraries", "").split(",")}
    needed = {name: {rule.library for rule in CATALOGUE.get(name, ())} - {None} for name in sorted(extra)}
    return [
        f"setting {name}: add {library!r} to shared_preload_libraries, which it belongs to"
        for name, libraries in needed.items()
        for library in sorted(filter(None, libraries - preloaded))
    ]


def _port_problems(port: str) -> list[str]:
    if port.isascii() and port.isdigit() and 1 <= int(port) <= 65535 and not port.startswith("0"):
        return []
    return [f"setting port is {port!r}; it must be a number from 1 to 65535"]
