"""RDS servers for PostgreSQL, and the names of the same property in instances and clusters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from policy.resources import Resource, Stack
from policy.values import Value

INSTANCE = "aws:rds/instance:Instance"
CLUSTER = "aws:rds/cluster:Cluster"
CLUSTER_INSTANCE = "aws:rds/clusterInstance:ClusterInstance"
PARAMETER_GROUP = "aws:rds/parameterGroup:ParameterGroup"
CLUSTER_PARAMETER_GROUP = "aws:rds/clusterParameterGroup:ClusterParameterGroup"


class GroupReference(NamedTuple):
    """The property by which a server names its parameter group, and the group's type."""

    property: str
    token: str


GROUPS: Mapping[str, GroupReference] = MappingProxyType(
    {
        INSTANCE: GroupReference("parameterGroupName", PARAMETER_GROUP),
        CLUSTER: GroupReference("dbClusterParameterGroupName", CLUSTER_PARAMETER_GROUP),
    }
)
MASTERS: Mapping[str, str] = MappingProxyType({INSTANCE: "username", CLUSTER: "masterUsername"})
RESOURCE_IDS: Mapping[str, str] = MappingProxyType({INSTANCE: "resourceId", CLUSTER: "clusterResourceId"})
PASSWORDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {INSTANCE: ("password", "passwordWo"), CLUSTER: ("masterPassword", "masterPasswordWo")}
)

SUPERUSERS = ("postgres", "rds_superuser", "rdsadmin")
"""Roles with power over a whole server, self-managed or of RDS."""

_ENGINES = ("postgres", "aurora-postgresql")
_FAMILIES: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        # Aurora has the TLS and authentication parameters in the cluster's group.
        PARAMETER_GROUP: re.compile(r"postgres([0-9]+)(?:\.[0-9]+)?"),
        CLUSTER_PARAMETER_GROUP: re.compile(r"(?:aurora-postgresql|postgres)([0-9]+)(?:\.[0-9]+)?"),
    }
)


def is_postgresql(server: Resource) -> bool:
    """Whether a server runs PostgreSQL. One without an engine has that of its source, and counts.

    Raises:
        UndecidedError: The engine is not known yet.
    """
    engine = server["engine"].text().lower()
    return not engine or engine in _ENGINES


def group_of(server: Resource, stack: Stack) -> Resource | None:
    """The parameter group of a server, None unless it is in the stack. RDS's default groups never are.

    Raises:
        UndecidedError: It could be one of several.
    """
    reference = GROUPS[server.type]
    value = server[reference.property]
    if value.is_known and value.text().lower().startswith("default."):
        return None
    return stack.referred(server, reference.property, reference.token)


def family_major(group: Resource) -> int | None:
    """The major version that a group is for; None where it is not for PostgreSQL.

    Raises:
        UndecidedError: The family is not known yet.
    """
    match = _FAMILIES[group.type].fullmatch(group["family"].text().lower())
    return int(match[1]) if match else None


def is_of_aurora(group: Resource) -> bool:
    """Whether a parameter group is for Aurora.

    Raises:
        UndecidedError: The family is not known yet.
    """
    return group["family"].text().lower().startswith("aurora")


def major_of(version: Value) -> int | None:
    """The major version of `17`, `17.6` or `17.0`; None for anything else.

    Raises:
        UndecidedError: The version is not known yet.
    """
    match = re.match(r"[0-9]+", version.text())
    return int(match[0]) if match else None
