"""RDS servers: how they are reached, by whom, with what certificate."""

from __future__ import annotations

from collections.abc import Iterator

from policy.connect_grants import HOLDERS, known_grants
from policy.registered import Resource, Stack
from policy.rule import Area, Outcome, Problem, Rule, Severity, Unclear
from policy.rules.rds_servers import (
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
"""Authorities of RDS that are not about to expire (RDS user guide, 2026)."""

_GUIDE = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide"
_IAM = "iamDatabaseAuthenticationEnabled"


def _not_public(server: Resource) -> Iterator[Outcome]:
    value = server["publiclyAccessible"]
    # Without it AWS decides, and says yes where the subnets' VPC has an internet gateway.
    if value.truth() is not False:
        yield Problem(at=value, reason="expected false")


def _encrypted(server: Resource) -> Iterator[Outcome]:
    value = server["storageEncrypted"]
    if value.truth() is not True:
        yield Problem(at=value, reason="expected true")


def _iam_authentication(server: Resource) -> Iterator[Outcome]:
    value = server[_IAM]
    if is_postgresql(server) and value.truth() is not True:
        yield Problem(at=value, reason="expected true")


def _current_authority(server: Resource) -> Iterator[Outcome]:
    value = server["caCertIdentifier"]
    if value.text() and value.text().lower() not in AUTHORITIES:
        yield Problem(at=value, reason=f"expected one of {', '.join(AUTHORITIES)}")


def _authority_is_stated(server: Resource) -> Iterator[Outcome]:
    value = server["caCertIdentifier"]
    if not value.given:
        yield Problem(at=value, reason="the account's default applies, which differs and changes")


def _no_password(server: Resource) -> Iterator[Outcome]:
    for name in PASSWORDS[server.type]:
        value = server[name]
        # Whatever it is, it is in the program and, but for write-only ones, in the state.
        if value.given:
            yield Problem(
                at=Value.of(name, value.raw, secret=True),
                reason="the program must not know the master's password",
            )


def _own_group(server: Resource, stack: Stack) -> Iterator[Outcome]:
    if not is_postgresql(server) or group_of(server, stack) is not None:
        return
    value = server[GROUPS[server.type].property]
    if not value.text() or value.text().lower().startswith("default."):
        yield Problem(at=value, reason="expected a parameter group of its own")


def _family_of_the_engine(server: Resource, stack: Stack) -> Iterator[Outcome]:
    group = group_of(server, stack)
    if group is None or not is_postgresql(server):
        return
    version = server["engineVersion"]
    if not version.text():
        yield Unclear(why="engineVersion is not set, so RDS chooses the major release")
        return
    if major_of(version) != family_major(group):
        yield Problem(
            at=version,
            reason=f"its parameter group {group.name} is of the family {group['family'].shown}",
        )


def _iam_iff_granted(server: Resource, stack: Stack) -> Iterator[Outcome]:
    if not is_postgresql(server):
        return
    enabled = server[_IAM].truth() is True
    granted, hidden = _is_granted(server, stack)
    if granted and not enabled:
        yield Problem(at=server[_IAM], reason="rds-db:connect is granted, and would allow nothing")
    elif enabled and not granted and hidden:
        yield Unclear(
            why=f"the policies of {', '.join(hidden)} are not known before the update; it is checked again "
            "at the end of the update"
        )
    elif enabled and not granted:
        yield Problem(at=server[_IAM], reason="rds-db:connect is granted to nobody in this stack")


def _is_granted(server: Resource, stack: Stack) -> tuple[bool, list[str]]:
    """Whether somebody may log in to a server, and the resources whose documents are not known."""
    resource_id = server[RESOURCE_IDS[server.type]]
    # Before the server exists, its id is in no document that is known.
    unseen = not resource_id.is_known or not resource_id.given
    granted, hidden = False, []
    for holder in stack.of_types(HOLDERS):
        found, is_hidden = known_grants(holder)
        granted = granted or any(unseen or grant.covers(resource_id.text()) for grant in found)
        if is_hidden:
            hidden.append(holder.name)
    return granted, hidden


RULES = (
    Rule(
        id="PGTLS-P001",
        title="RDS servers are not publicly accessible",
        area=Area.NETWORK,
        severity=Severity.CRITICAL,
        types=(INSTANCE, CLUSTER_INSTANCE),
        checks=(_not_public,),
        why="A public address leaves one security group rule between the database and everybody.",
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
        checks=(_encrypted,),
        why="Storage, backups and snapshots are encrypted together, and only from the beginning.",
        fix="set storageEncrypted to true; to keep the data, restore an encrypted copy of a snapshot",
        link=f"{_GUIDE}/Overview.Encryption.html",
        references=("SH:RDS.3", "CIS5:2.2.1", "CKV_AWS_16"),
    ),
    Rule(
        id="PGTLS-P014",
        title="IAM database authentication is enabled",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=(INSTANCE, CLUSTER),
        checks=(_iam_authentication,),
        why="Without it, every login needs a password that somebody keeps.",
        fix=f"set {_IAM} to true",
        link=f"{_GUIDE}/UsingWithRDS.IAMDBAuth.html",
        references=("SH:RDS.10", "CKV_AWS_161"),
    ),
    Rule(
        id="PGTLS-P015",
        title="The server's certificate comes from a current authority of RDS",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(INSTANCE, CLUSTER_INSTANCE),
        checks=(_current_authority,),
        why="Clients that verify refuse a server whose authority has expired, as rds-ca-2019 did in 2024.",
        fix=f"set caCertIdentifier to one of {', '.join(AUTHORITIES)}",
        link=f"{_GUIDE}/UsingWithRDS.SSL.html",
        references=("CKV_AWS_211",),
    ),
    Rule(
        id="PGTLS-N50",
        title="The authority of the server's certificate is stated",
        area=Area.TLS,
        severity=Severity.MEDIUM,
        types=(INSTANCE, CLUSTER_INSTANCE),
        checks=(_authority_is_stated,),
        why="Which authority signs would depend on a default of the account, and clients on luck.",
        fix=f"set caCertIdentifier to one of {', '.join(AUTHORITIES)}",
        link=f"{_GUIDE}/UsingWithRDS.SSL.html",
    ),
    Rule(
        id="PGTLS-P025",
        title="The program does not know the master's password",
        area=Area.SECRETS,
        severity=Severity.HIGH,
        types=(INSTANCE, CLUSTER),
        checks=(_no_password,),
        why="A password in the program is in its state, its history and its reviews.",
        fix="remove it and set manageMasterUserPassword to true: RDS makes, keeps and rotates the password",
        link=f"{_GUIDE}/rds-secrets-manager.html",
        references=("guard:RDS_MASTER_USER_PASSWORD_NO_PLAINTEXT_PASSWORD",),
    ),
    Rule(
        id="PGTLS-N40",
        title="A PostgreSQL server has a parameter group of its own",
        area=Area.TLS,
        severity=Severity.CRITICAL,
        types=tuple(GROUPS),
        stack_checks=(_own_group,),
        why="The default group cannot be changed: it forces no TLS before 15, and pins no version of TLS.",
        fix="make a parameter group with rds.force_ssl 1 and name it in the server",
        link=f"{_GUIDE}/PostgreSQL.Concepts.General.SSL.html",
    ),
    Rule(
        id="PGTLS-N45",
        title="The family of the parameter group is the major release of the engine",
        area=Area.TLS,
        severity=Severity.MEDIUM,
        types=tuple(GROUPS),
        stack_checks=(_family_of_the_engine,),
        why="RDS refuses the combination, in the middle of an update.",
        fix="give group and server the same major release; an upgrade takes a new group",
        link=f"{_GUIDE}/USER_WorkingWithParamGroups.html",
    ),
    Rule(
        id="PGTLS-N48",
        title="IAM authentication is on if and only if somebody is granted rds-db:connect",
        area=Area.IDENTITY,
        severity=Severity.MEDIUM,
        types=(INSTANCE, CLUSTER),
        stack_checks=(_iam_iff_granted,),
        why="One without the other does nothing, so somebody expects what is not there.",
        fix=f"set {_IAM} to true and grant rds-db:connect for each database role, or do neither",
        link=f"{_GUIDE}/UsingWithRDS.IAMDBAuth.IAMPolicy.html",
    ),
)
