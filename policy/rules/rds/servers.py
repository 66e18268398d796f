"""RDS instances and clusters: reachability, authentication, certificates, parameter groups."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from policy.defaults import parameter_default
from policy.property_checks import must_be_false, must_be_given, must_be_true
from policy.resources import Resource, Stack
from policy.rule import Area, Outcome, Problem, Rule, Severity, Unclear
from policy.rules.rds.connect_grants import HOLDERS, known_grants
from policy.rules.rds.resource_types import (
    CLUSTER,
    CLUSTER_INSTANCE,
    GROUPS,
    INSTANCE,
    PASSWORDS,
    RESOURCE_IDS,
    family_major,
    group_of,
    is_postgresql,
    major_of,
)
from policy.values import Value

AUTHORITIES = ("rds-ca-rsa2048-g1", "rds-ca-rsa4096-g1", "rds-ca-ecc384-g1")
"""RDS authorities that do not expire soon (RDS user guide, 2026)."""

_GUIDE = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide"
_IAM = "iamDatabaseAuthenticationEnabled"
_SOURCES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        INSTANCE: ("replicateSourceDb", "restoreToPointInTime", "snapshotIdentifier"),
        CLUSTER: (
            "globalClusterIdentifier",
            "replicationSourceIdentifier",
            "restoreToPointInTime",
            "snapshotIdentifier",
        ),
    }
)


def _current_authority(server: Resource) -> Iterator[Outcome]:
    value = server["caCertIdentifier"]
    if value.text() and value.text().lower() not in AUTHORITIES:
        yield Problem(at=value, reason=f"expected one of {', '.join(AUTHORITIES)}")


def _no_password(server: Resource) -> Iterator[Outcome]:
    for name in PASSWORDS[server.type]:
        value = server[name]
        # Any password is in the program, and in the state unless it is write-only.
        if value.given:
            yield Problem(
                at=value.hidden(),
                reason="expected none; RDS manages the master password",
            )


def _own_group(server: Resource, stack: Stack) -> Iterator[Outcome]:
    if not is_postgresql(server) or group_of(server, stack) is not None:
        return
    value = server[GROUPS[server.type].property]
    if not value.text() or value.text().lower().startswith("default."):
        forces_tls = _default_group_forces_tls(server, value)
        because = "; RDS's default group forces TLS, now" if forces_tls else ""
        yield Problem(
            at=value,
            reason=f"expected a parameter group of its own{because}",
            severity=Severity.LOW if forces_tls else None,
        )


def _default_group_forces_tls(server: Resource, reference: Value) -> bool:
    named = re.search(r"([0-9]+)$", reference.text())
    version = server["engineVersion"]
    stated = major_of(version) if version.is_known else None
    aurora = server.type == CLUSTER and not server["engine"].text().lower().startswith("postgres")
    if named is None and stated is None:
        # RDS chooses the version: 15 or later since 2023, for Aurora perhaps before 17.
        return not aurora and not version.given
    major = int(named[1]) if named else stated or 0
    return parameter_default("rds.force_ssl", major, aurora=aurora) == "1"


def _family_of_the_engine(server: Resource, stack: Stack) -> Iterator[Outcome]:
    group = group_of(server, stack)
    if group is None or not is_postgresql(server):
        return
    version = server["engineVersion"]
    if not version.text():
        yield Unclear(why="engineVersion is not set, so RDS chooses the major version")
        return
    if major_of(version) != family_major(group):
        yield Problem(
            at=version,
            reason=f"the family of its parameter group {group.name} is {group['family'].shown}",
        )


def _iam_iff_granted(server: Resource, stack: Stack) -> Iterator[Outcome]:
    if not is_postgresql(server):
        return
    enabled = server[_IAM].truth() is True
    granted, hidden = _is_granted(server, stack)
    if granted and not enabled:
        yield Problem(at=server[_IAM], reason="expected true, since rds-db:connect is granted")
    elif enabled and not granted and hidden:
        yield Unclear(
            why=f"the policies of {', '.join(hidden)} are not known before the update", is_decided_later=True
        )
    elif enabled and not granted:
        yield Problem(at=server[_IAM], reason="expected false, since the stack does not grant rds-db:connect")


def _is_granted(server: Resource, stack: Stack) -> tuple[bool, list[str]]:
    """Whether somebody is granted access to a server, and the resources whose policies are not known."""
    resource_id = server[RESOURCE_IDS[server.type]]
    # Before the server exists, no policy can name its id.
    unseen = not resource_id.is_known or not resource_id.given
    granted, hidden = False, []
    for holder in stack.of_types(HOLDERS):
        found, is_hidden = known_grants(holder)
        granted = granted or any(unseen or grant.covers(resource_id.text()) for grant in found)
        if is_hidden:
            hidden.append(holder.name)
    return granted, hidden


def _decides_encryption(server: Resource) -> bool:
    # A replica, a member of a global cluster and what is restored are encrypted as their source is.
    return server["storageEncrypted"].given or not any(server[name].given for name in _SOURCES[server.type])


def _has_subnets_of_its_own(server: Resource) -> bool:
    # A replica in the same region uses its source's subnet group.
    return not server["replicateSourceDb"].given


RULES = (
    Rule(
        id="PGTLS-P020",
        title="RDS servers are in a named subnet group",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=(INSTANCE, CLUSTER),
        checks=(must_be_given("dbSubnetGroupName", "expected a subnet group", when=_has_subnets_of_its_own),),
        why="Without a subnet group the server is in the default VPC, whose subnets are public.",
        fix="set dbSubnetGroupName",
        link=f"{_GUIDE}/USER_VPC.WorkingWithRDSInstanceinaVPC.html",
        references=("SH:RDS.18",),
    ),
    Rule(
        id="PGTLS-P001",
        title="RDS servers are not publicly accessible",
        area=Area.NETWORK,
        severity=Severity.CRITICAL,
        types=(INSTANCE, CLUSTER_INSTANCE),
        checks=(must_be_false("publiclyAccessible"),),
        why="With a public address, one security group rule separates the database from the internet.",
        fix="set publiclyAccessible to false",
        link=f"{_GUIDE}/USER_VPC.WorkingWithRDSInstanceinaVPC.html",
        references=("SH:RDS.2", "CIS5:2.2.3", "CKV_AWS_17"),
    ),
    Rule(
        id="PGTLS-P002",
        title="RDS storage is encrypted at rest",
        area=Area.ENCRYPTION,
        severity=Severity.HIGH,
        types=(INSTANCE, CLUSTER),
        checks=(must_be_true("storageEncrypted", when=_decides_encryption),),
        why="Storage, backups and snapshots are encrypted together, and only from creation on.",
        fix="set storageEncrypted to true; to keep existing data, restore an encrypted copy of a snapshot",
        link=f"{_GUIDE}/Overview.Encryption.html",
        references=("SH:RDS.3", "CIS5:2.2.1", "CKV_AWS_16"),
    ),
    Rule(
        id="PGTLS-P014",
        title="IAM database authentication is enabled",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=(INSTANCE, CLUSTER),
        checks=(must_be_true(_IAM, when=is_postgresql),),
        why="Without it, every login needs a password that somebody has to store.",
        fix=f"set {_IAM} to true",
        link=f"{_GUIDE}/UsingWithRDS.IAMDBAuth.html",
        references=("SH:RDS.10", "CKV_AWS_161"),
    ),
    Rule(
        id="PGTLS-P015",
        title="The server certificate is signed by a current RDS authority",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(INSTANCE, CLUSTER_INSTANCE),
        checks=(_current_authority,),
        why="Clients reject a server whose authority has expired, as rds-ca-2019 did in 2024.",
        fix=f"set caCertIdentifier to one of {', '.join(AUTHORITIES)}",
        link=f"{_GUIDE}/UsingWithRDS.SSL.html",
        references=("CKV_AWS_211",),
    ),
    Rule(
        id="PGTLS-N50",
        title="The authority of the server certificate is set explicitly",
        area=Area.TLS,
        severity=Severity.LOW,
        types=(INSTANCE, CLUSTER_INSTANCE),
        checks=(
            must_be_given("caCertIdentifier", "expected a current authority, not the account's default"),
        ),
        why="Otherwise the account's default decides, and it differs between accounts and changes.",
        fix=f"set caCertIdentifier to one of {', '.join(AUTHORITIES)}",
        link=f"{_GUIDE}/UsingWithRDS.SSL.html",
    ),
    Rule(
        id="PGTLS-P025",
        title="The program does not set the master password",
        area=Area.SECRETS,
        severity=Severity.HIGH,
        types=(INSTANCE, CLUSTER),
        checks=(_no_password,),
        why="A password in the program is stored in its state, its history and its reviews.",
        fix="remove the password and set manageMasterUserPassword to true",
        link=f"{_GUIDE}/rds-secrets-manager.html",
        references=("guard:RDS_MASTER_USER_PASSWORD_NO_PLAINTEXT_PASSWORD",),
    ),
    Rule(
        id="PGTLS-N40",
        title="PostgreSQL servers have a parameter group of their own",
        area=Area.TLS,
        severity=Severity.CRITICAL,
        types=tuple(GROUPS),
        stack_checks=(_own_group,),
        why="The default group cannot be changed: it sets no TLS version, and does not force TLS before 15.",
        fix="create a parameter group with rds.force_ssl 1 and set it on the server",
        link=f"{_GUIDE}/PostgreSQL.Concepts.General.SSL.html",
    ),
    Rule(
        id="PGTLS-N45",
        title="The parameter group's family matches the engine's major version",
        area=Area.TLS,
        severity=Severity.MEDIUM,
        types=tuple(GROUPS),
        stack_checks=(_family_of_the_engine,),
        why="RDS refuses the combination in the middle of an update.",
        fix="set the same major version in group and server; an upgrade needs a new group",
        link=f"{_GUIDE}/USER_WorkingWithParamGroups.html",
    ),
    Rule(
        id="PGTLS-N48",
        title="IAM authentication is on if and only if rds-db:connect is granted",
        area=Area.IDENTITY,
        severity=Severity.MEDIUM,
        types=(INSTANCE, CLUSTER),
        stack_checks=(_iam_iff_granted,),
        why="One without the other has no effect, so somebody relies on access that does not work.",
        fix=f"set {_IAM} to true and grant rds-db:connect for every database role, or neither",
        link=f"{_GUIDE}/UsingWithRDS.IAMDBAuth.IAMPolicy.html",
    ),
)
