"""Database Migration Service: TLS of endpoints, reachability of instances."""

from __future__ import annotations

from collections.abc import Iterator

from policy.property_checks import must_not_be_true
from policy.resources import Resource
from policy.rule import Area, Outcome, Problem, Rule, Severity

DMS_ENDPOINT = "aws:dms/endpoint:Endpoint"
DMS_INSTANCE = "aws:dms/replicationInstance:ReplicationInstance"
_DMS = "https://docs.aws.amazon.com/dms/latest/userguide"
# Engines whose endpoints can use TLS by sslMode (DMS user guide, Using SSL).
_DMS_WITH_TLS = (
    "postgres", "aurora-postgresql", "aurora-postgresql-serverless", "mysql", "aurora", "aurora-serverless",
    "mariadb", "oracle", "sqlserver", "sybase", "db2", "docdb", "mongodb", "azuredb", "babelfish",
)  # fmt: skip
_POSTGRESQL_OF_DMS = ("postgres", "aurora-postgresql", "aurora-postgresql-serverless", "babelfish")


def _dms_verifies(endpoint: Resource) -> Iterator[Outcome]:
    engine, value = endpoint["engineName"].text().lower(), endpoint["sslMode"]
    if engine not in _DMS_WITH_TLS:
        return
    text = value.text().lower()
    if text in ("", "none"):
        yield Problem(at=value, reason="expected verify-full")
    elif text != "verify-full" and engine in _POSTGRESQL_OF_DMS:
        yield Problem(
            at=value,
            reason="expected verify-full; it does not verify the server's name",
            severity=Severity.MEDIUM,
        )


RULES = (
    Rule(
        id="PGTLS-P270",
        title="Endpoints of DMS use TLS",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(DMS_ENDPOINT,),
        checks=(_dms_verifies,),
        why="A migration sends a whole database, with the password first. The default is no TLS.",
        fix="set sslMode to verify-full, with certificateArn",
        link=f"{_DMS}/CHAP_Security.SSL.html",
        references=("SH:DMS.9",),
    ),
    Rule(
        id="PGTLS-P271",
        title="Replication instances of DMS are not publicly accessible",
        area=Area.NETWORK,
        severity=Severity.HIGH,
        types=(DMS_INSTANCE,),
        # The provider's default is false; AWS's API has true.
        checks=(must_not_be_true("publiclyAccessible"),),
        why="The instance holds the data and credentials of both databases.",
        fix="set publiclyAccessible to false",
        link=f"{_DMS}/CHAP_ReplicationInstance.html",
        references=("SH:DMS.1", "CKV_AWS_89"),
    ),
)
