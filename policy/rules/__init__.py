"""Every rule of the pack, by service."""

from __future__ import annotations

from policy.rule import Rule
from policy.rules import (
    acm,
    anywhere,
    buckets,
    certificates,
    iam,
    listeners,
    load_balancers,
    machines,
    networks,
    permissions,
    postgresql_provider,
    proxies,
    rds,
    rds_parameter_groups,
    secrets,
    security_groups,
    server_access,
    server_configuration,
    topics,
)

_MODULES = (
    acm,
    anywhere,
    buckets,
    certificates,
    iam,
    listeners,
    load_balancers,
    machines,
    networks,
    permissions,
    postgresql_provider,
    proxies,
    rds,
    rds_parameter_groups,
    secrets,
    security_groups,
    server_access,
    server_configuration,
    topics,
)

RULES: tuple[Rule, ...] = tuple(
    sorted((rule for module in _MODULES for rule in module.RULES), key=lambda rule: rule.id)
)
"""The rules, by id."""
