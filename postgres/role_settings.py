"""Settings that a declared role may have of its own, by ALTER ROLE … SET.

They are what each of its sessions starts with, and may change: they keep mistakes short, not attackers.
"""

from __future__ import annotations

import re

from postgres.identifiers import quote_identifier, quote_literal
from postgres.setting_catalogue import setting_rule
from postgres.setting_rule import base_number, value_problem
from postgres.versions import SUPPORTED_MAJORS

SEARCH_PATH = "search_path"
_TIMEOUTS = (
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "lock_timeout",
    "statement_timeout",
    "transaction_timeout",
)
ROLE_SETTINGS = (
    "default_transaction_isolation",
    *_TIMEOUTS,
    "jit",
    "maintenance_work_mem",
    "max_parallel_workers_per_gather",
    "plan_cache_mode",
    "random_page_cost",
    SEARCH_PATH,
    "temp_buffers",
    "work_mem",
)
"""Their names. None changes what a role may do, what is logged, or what survives a crash."""

PROVIDER_SETTINGS = ("idle_in_transaction_session_timeout", SEARCH_PATH, "statement_timeout")
"""Those that pulumi-postgresql knows."""

_SCHEMA = re.compile(r'"\$user"|(?!pg_)[a-z_][a-z0-9_]*')


def role_setting_problems(name: str, value: str, major: int) -> list[str]:
    """Why no role may have the setting on PostgreSQL `major`, as ends of sentences; empty when it may."""
    if name == SEARCH_PATH:
        wrong = [schema for schema in _schemas(value) if not _SCHEMA.fullmatch(schema)]
        text = 'is not a list of schemas such as app, public; only lower case, or "$user", and none of pg_…'
        return [text] if wrong else []
    rule = setting_rule(name, major) if name in ROLE_SETTINGS else None
    if rule is None:
        known = [each for each in ROLE_SETTINGS if each == SEARCH_PATH or setting_rule(each, major)]
        return [f"is no setting that a role may have; allowed: {', '.join(known)} (PostgreSQL {major})"]
    problem = value_problem(rule, value)
    return [problem] if problem else []


def stored_value(name: str, value: str) -> str:
    """The value as every executor stores it: timeouts as milliseconds, schemas with one comma and space."""
    if name == SEARCH_PATH:
        return ", ".join(_schemas(value))
    rule = setting_rule(name, SUPPORTED_MAJORS[-1]) if name in _TIMEOUTS else None
    number = base_number(rule, value) if rule else None
    return value if number is None else f"{round(number)}"


def written_value(name: str, value: str) -> str:
    """A stored value as a stack file has it, with its unit."""
    return f"{value}ms" if name in _TIMEOUTS and value.isdigit() else value


def schemas_of(value: str) -> list[str]:
    """The names in a stored `search_path`, without quotes."""
    return [schema.strip('"') for schema in _schemas(value)]


def assigned(name: str, value: str) -> str:
    """The stored setting after the words ALTER ROLE … SET."""
    if name == SEARCH_PATH:
        return f"{name} TO {', '.join(map(quote_identifier, schemas_of(value)))}"
    return f"{name} TO {quote_literal(value)}"


def _schemas(value: str) -> list[str]:
    return [part.strip() for part in value.split(",")]
