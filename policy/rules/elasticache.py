"""ElastiCache: TLS, encryption at rest, authentication of clients."""

from __future__ import annotations

from collections.abc import Iterator

from policy.property_checks import has, must_be, must_be_true, must_not_be_false
from policy.resources import Resource
from policy.rule import Area, Outcome, Problem, Rule, Severity

REPLICATION_GROUP = "aws:elasticache/replicationGroup:ReplicationGroup"
CACHE = "aws:elasticache/cluster:Cluster"
_ELASTICACHE = "https://docs.aws.amazon.com/AmazonElastiCache/latest/dg"
_PLAIN = "Unencrypted traffic can be read and changed on its way."
_DISK = "Whoever gets at a disk or a snapshot reads it, and it cannot be encrypted later."


def _is_a_replica_group_of_its_own(group: Resource) -> bool:
    # A member of a global group has the settings of its primary.
    return not group["globalReplicationGroupId"].given


def _valkey(group: Resource) -> bool:
    return group["engine"].text().lower() == "valkey"


def _redis(group: Resource) -> bool:
    return _is_a_replica_group_of_its_own(group) and not _valkey(group)


def _authenticates(group: Resource) -> Iterator[Outcome]:
    if not _is_a_replica_group_of_its_own(group):
        return
    given = [group[name] for name in ("authToken", "authTokenWo", "userGroupIds")]
    if not any(each.given and each.raw != [] for each in given):
        yield Problem(at=group["authToken"], reason="expected userGroupIds, or a token")


RULES = (
    Rule(
        id="PGTLS-P240",
        title="Caches require TLS",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(REPLICATION_GROUP,),
        # Valkey has it by default, Redis has not (ElastiCache user guide, In-transit encryption).
        checks=(
            must_be_true("transitEncryptionEnabled", when=_redis),
            must_not_be_false("transitEncryptionEnabled", when=_valkey),
        ),
        why=_PLAIN,
        fix="set transitEncryptionEnabled to true",
        link=f"{_ELASTICACHE}/in-transit-encryption.html",
        references=("SH:ElastiCache.5", "CKV_AWS_30"),
    ),
    Rule(
        id="PGTLS-P241",
        title="Caches do not accept clients without TLS",
        area=Area.TLS,
        severity=Severity.MEDIUM,
        types=(REPLICATION_GROUP,),
        checks=(
            must_be("transitEncryptionMode", "required", when=has("transitEncryptionMode", "preferred")),
        ),
        why="In mode preferred the cache accepts both.",
        fix="set transitEncryptionMode to required once every client uses TLS",
        link=f"{_ELASTICACHE}/in-transit-encryption-enable.html",
    ),
    Rule(
        id="PGTLS-P242",
        title="Caches are encrypted at rest",
        area=Area.ENCRYPTION,
        severity=Severity.HIGH,
        types=(REPLICATION_GROUP,),
        checks=(
            must_be_true("atRestEncryptionEnabled", when=_redis),
            must_not_be_false("atRestEncryptionEnabled", when=_valkey),
        ),
        why=_DISK,
        fix="set atRestEncryptionEnabled to true",
        link=f"{_ELASTICACHE}/at-rest-encryption.html",
        references=("SH:ElastiCache.4", "CKV_AWS_29"),
    ),
    Rule(
        id="PGTLS-P243",
        title="Caches authenticate their clients",
        area=Area.IDENTITY,
        severity=Severity.MEDIUM,
        types=(REPLICATION_GROUP,),
        checks=(_authenticates,),
        why="Otherwise everything on the network reads and writes the cache.",
        fix="set userGroupIds to a user group, or authToken",
        link=f"{_ELASTICACHE}/Clusters.RBAC.html",
        references=("SH:ElastiCache.6", "CKV_AWS_31"),
    ),
    Rule(
        id="PGTLS-P244",
        title="Memcached clusters do not turn TLS off",
        area=Area.TLS,
        severity=Severity.MEDIUM,
        types=(CACHE,),
        checks=(must_be_true("transitEncryptionEnabled", when=has("engine", "memcached")),),
        why=_PLAIN,
        fix="set transitEncryptionEnabled to true",
        link=f"{_ELASTICACHE}/in-transit-encryption-mc.html",
    ),
)
