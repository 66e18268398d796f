"""RDS servers: keys, logs, backups, versions, and who is told of events."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from policy.property_checks import (
    both,
    in_production,
    must,
    must_be_at_least,
    must_be_given,
    must_be_true,
    must_not_be,
    must_not_be_false,
    must_not_be_true,
)
from policy.resources import Resource, Stack
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.rules.rds.resource_types import (
    CLUSTER,
    CLUSTER_INSTANCE,
    GROUPS,
    INSTANCE,
    MASTERS,
    is_postgresql,
    major_of,
)

GLOBAL_CLUSTER = "aws:rds/globalCluster:GlobalCluster"
SELECTION = "aws:backup/selection:Selection"
EVENTS = "aws:rds/eventSubscription:EventSubscription"
VOLUME = "aws:ebs/volume:Volume"
SNAPSHOT = "aws:rds/snapshot:Snapshot"
CLUSTER_SNAPSHOT = "aws:rds/clusterSnapshot:ClusterSnapshot"
SNAPSHOT_COPY = "aws:rds/snapshotCopy:SnapshotCopy"
_GUIDE = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide"
_VERSIONS = (
    "https://docs.aws.amazon.com/AmazonRDS/latest/PostgreSQLReleaseNotes/postgresql-release-calendar.html"
)

OLDEST_MAJOR = 14
"""The oldest major version that RDS supports without a charge for its age, 14 until 2027-02."""
# AWS-2022-004: log_fdw read files of the machine. First minor version without the flaw, by major.
_LOG_FDW_FIXED = {9: (6, 22), 10: (17,), 11: (12,), 12: (7,), 13: (3,)}
_LOG_FDW_FIXED_IN_AURORA = {10: (14,), 11: (9,)}
_DEFAULT_MASTERS = ("postgres", "admin", "administrator", "root", "master", "rdsadmin", "user")
_DAYS = 7


def _is_a_server(server: Resource) -> bool:
    # A replica, or a server made from a snapshot, has the user of its source.
    return not (server["replicateSourceDb"].given or server["replicationSourceIdentifier"].given)


def _exports_its_log(server: Resource) -> Iterator[Outcome]:
    if not is_postgresql(server):
        return
    value = server["enabledCloudwatchLogsExports"]
    if "postgresql" not in [each.text().lower() for each in value.items()]:
        yield Problem(at=value, reason="expected postgresql, and upgrade")


def _version(server: Resource) -> tuple[int, ...]:
    return tuple(int(each) for each in re.findall(r"[0-9]+", server["engineVersion"].text())[:3])


def _is_supported(server: Resource) -> Iterator[Outcome]:
    major = major_of(server["engineVersion"]) if is_postgresql(server) else None
    if major is not None and major < OLDEST_MAJOR:
        yield Problem(at=server["engineVersion"], reason=f"expected {OLDEST_MAJOR} or later")


def _is_without_log_fdw(server: Resource) -> Iterator[Outcome]:
    if not is_postgresql(server):
        return
    version = _version(server)
    aurora = server["engine"].text().lower().startswith("aurora")
    fixed = (_LOG_FDW_FIXED_IN_AURORA if aurora else _LOG_FDW_FIXED).get(version[0]) if version else None
    # A major version alone is its newest minor version.
    if fixed is not None and len(version) > 1 and version[1:] < fixed:
        minimum = ".".join(map(str, (version[0], *fixed)))
        yield Problem(at=server["engineVersion"], reason=f"expected {minimum} or later")


def _shared_with_nobody(snapshot: Resource) -> Iterator[Outcome]:
    for value in snapshot["sharedAccounts"].items():
        if value.text().lower() == "all":
            yield Problem(at=value, reason="expected account ids; all is every AWS account")


def _inherits_no_encryption(cluster: Resource) -> bool:
    # A global cluster made of a cluster is encrypted as that is.
    return not cluster["sourceDbClusterIdentifier"].given


def _logs_statements(group: Resource) -> Iterator[Outcome]:
    for entry in group["parameters"].items():
        name, value = entry.at("name"), entry.at("value")
        if name.is_known and name.text() == "log_statement" and value.text().lower() == "none":
            yield Problem(at=value, reason="expected ddl, or no value of one's own")


def _is_told_of(source: str, server: Resource, stack: Stack) -> Iterator[Outcome]:
    # A stack without subscriptions leaves events to the account.
    subscriptions = stack.of_types((EVENTS,))
    if subscriptions and not any(each["sourceType"].text().lower() in (source, "") for each in subscriptions):
        reason = f"expected an EventSubscription with sourceType {source} as well"
        yield Problem(at=server["identifier"], reason=reason)


def _is_backed_up(store: Resource, stack: Stack) -> Iterator[Outcome]:
    # A stack without selections leaves backups to the server, or to the account.
    selections = stack.of_types((SELECTION,))
    if not selections or any(
        stack.all_referred(each, "resources", (store.type,))
        or each["selectionTags"].given
        or each["conditions"].given
        or any("*" in text for text in each["resources"].known_texts())
        for each in selections
    ):
        return
    yield Problem(at=store["arn"], reason=f"expected it in the resources of {selections[0].name}")


def _has_insights(server: Resource) -> bool:
    return server["performanceInsightsEnabled"].truth() is True


RULES = (
    Rule(
        id="PGTLS-P005",
        title="Performance Insights of production is not turned off",
        area=Area.NETWORK,
        severity=Severity.LOW,
        types=(INSTANCE, CLUSTER, CLUSTER_INSTANCE),
        checks=(must_not_be_false("performanceInsightsEnabled", when=in_production),),
        why="Without it, nobody sees which statements load the server.",
        fix="set performanceInsightsEnabled to true",
        link=f"{_GUIDE}/USER_PerfInsights.Overview.html",
        references=("CKV_AWS_353",),
    ),
    Rule(
        id="PGTLS-P012",
        title="Where a stack selects what AWS Backup copies, it selects every server and volume",
        area=Area.ENCRYPTION,
        severity=Severity.LOW,
        types=(INSTANCE, CLUSTER, VOLUME),
        stack_checks=(_is_backed_up,),
        why="What is left out is missed only when it is needed.",
        fix="add its ARN to the selection's resources, or select by tag",
        link="https://docs.aws.amazon.com/aws-backup/latest/devguide/assigning-resources.html",
        references=("SH:RDS.26", "SH:EC2.28"),
    ),
    Rule(
        id="PGTLS-P017",
        title="Parameter groups do not turn the log of statements off",
        area=Area.IDENTITY,
        severity=Severity.LOW,
        types=tuple(each.token for each in GROUPS.values()),
        checks=(_logs_statements,),
        why="Without it nobody can tell afterwards who changed a table.",
        fix="set log_statement to ddl",
        link=f"{_GUIDE}/USER_LogAccess.Concepts.PostgreSQL.html",
        references=("CKV2_AWS_30",),
    ),
    *(
        Rule(
            id=f"PGTLS-{number}",
            title=f"Where a stack subscribes to events of RDS, it subscribes to those of {what}",
            area=Area.IDENTITY,
            severity=Severity.LOW,
            types=(INSTANCE,),
            stack_checks=(partial(_is_told_of, source),),
            why=why,
            fix=f"add an EventSubscription with sourceType {source}",
            link=f"{_GUIDE}/USER_Events.html",
            references=(reference,),
        )
        for number, source, what, why, reference in (
            ("P027", "db-instance", "instances", "Deletions and failovers go unnoticed.", "SH:RDS.20"),
            (
                "P028",
                "db-parameter-group",
                "parameter groups",
                "Their parameters decide whether TLS is forced.",
                "SH:RDS.21",
            ),
        )
    ),
    Rule(
        id="PGTLS-P003",
        title="RDS storage is encrypted with a key of one's own",
        area=Area.ENCRYPTION,
        severity=Severity.LOW,
        types=(INSTANCE, CLUSTER),
        checks=(must_be_given("kmsKeyId", "expected a key of the account", when=_is_a_server),),
        why="AWS's own key cannot be revoked, and its snapshots cannot be shared with another account.",
        fix="set kmsKeyId to a KMS key",
        link=f"{_GUIDE}/Overview.Encryption.Keys.html",
    ),
    Rule(
        id="PGTLS-P004",
        title="Performance Insights is encrypted with a key of one's own",
        area=Area.ENCRYPTION,
        severity=Severity.LOW,
        types=(INSTANCE, CLUSTER, CLUSTER_INSTANCE),
        checks=(
            must_be_given("performanceInsightsKmsKeyId", "expected a key of the account", when=_has_insights),
        ),
        why="It keeps the text of statements.",
        fix="set performanceInsightsKmsKeyId to a KMS key",
        link=f"{_GUIDE}/USER_PerfInsights.Overview.html",
        references=("CKV_AWS_354",),
    ),
    Rule(
        id="PGTLS-P006",
        title="RDS servers have enhanced monitoring",
        area=Area.NETWORK,
        severity=Severity.LOW,
        types=(INSTANCE,),
        checks=(must_be_at_least("monitoringInterval", 1, "seconds", when=in_production),),
        why="Without it, the processes of the machine are not seen.",
        fix="set monitoringInterval to 60 or less, and monitoringRoleArn",
        link=f"{_GUIDE}/USER_Monitoring.OS.html",
        references=("SH:RDS.6", "CKV_AWS_118"),
    ),
    Rule(
        id="PGTLS-P007",
        title="RDS servers export PostgreSQL's log",
        area=Area.IDENTITY,
        severity=Severity.MEDIUM,
        types=(INSTANCE, CLUSTER),
        checks=(_exports_its_log,),
        why="RDS deletes the log after days, and with it who logged in, from where and how.",
        fix="set enabledCloudwatchLogsExports to postgresql and upgrade",
        link=f"{_GUIDE}/USER_LogAccess.Concepts.PostgreSQL.html",
        references=("SH:RDS.9", "CKV_AWS_129"),
    ),
    Rule(
        id="PGTLS-P008",
        title=f"RDS servers keep backups for {_DAYS} days or more",
        area=Area.ENCRYPTION,
        severity=Severity.MEDIUM,
        types=(INSTANCE, CLUSTER),
        # AWS's default is 1 day for both through the API; a replica keeps none by default.
        checks=(must_be_at_least("backupRetentionPeriod", _DAYS, "days", when=_is_a_server, default=1),),
        why="What was deleted or encrypted by an attacker is often noticed after days.",
        fix=f"set backupRetentionPeriod to {_DAYS} or more",
        link=f"{_GUIDE}/USER_WorkingWithAutomatedBackups.html",
        references=("SH:RDS.11", "CKV_AWS_133"),
    ),
    Rule(
        id="PGTLS-P009",
        title="RDS servers of production are protected from deletion",
        area=Area.IDENTITY,
        severity=Severity.MEDIUM,
        types=(INSTANCE, CLUSTER, GLOBAL_CLUSTER),
        checks=(must_be_true("deletionProtection", when=in_production),),
        why="One wrong update, or one stolen permission, deletes the database and its backups.",
        fix="set deletionProtection to true",
        link=f"{_GUIDE}/USER_DeleteInstance.html",
        references=("SH:RDS.8", "CKV_AWS_293"),
    ),
    Rule(
        id="PGTLS-P010",
        title="RDS servers of production have a standby in another zone",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=(INSTANCE,),
        checks=(must_be_true("multiAz", when=both(in_production, _is_a_server)),),
        why="With one zone, an outage of that zone stops the database.",
        fix="set multiAz to true",
        link=f"{_GUIDE}/Concepts.MultiAZ.html",
        references=("SH:RDS.5", "CIS5:2.2.4", "CKV_AWS_157"),
    ),
    Rule(
        id="PGTLS-P011",
        title="Snapshots have the tags of their server",
        area=Area.IDENTITY,
        severity=Severity.LOW,
        types=(INSTANCE, CLUSTER),
        checks=(must_be_true("copyTagsToSnapshot"),),
        why="Permissions by tag do not reach snapshots without tags.",
        fix="set copyTagsToSnapshot to true",
        link=f"{_GUIDE}/USER_Tagging.html",
        references=("SH:RDS.17", "CKV2_AWS_60"),
    ),
    Rule(
        id="PGTLS-P013",
        title="RDS servers take minor versions by themselves",
        area=Area.TLS,
        severity=Severity.MEDIUM,
        types=(INSTANCE, CLUSTER_INSTANCE),
        checks=(must_not_be_false("autoMinorVersionUpgrade"),),
        why="Minor versions have the security fixes.",
        fix="remove autoMinorVersionUpgrade; true is the default",
        link=f"{_GUIDE}/USER_UpgradeDBInstance.Upgrading.html",
        references=("SH:RDS.13", "CIS5:2.2.2", "CKV_AWS_226"),
    ),
    Rule(
        id="PGTLS-P018",
        title="The master user has a name of its own",
        area=Area.IDENTITY,
        severity=Severity.MEDIUM,
        types=(INSTANCE, CLUSTER),
        checks=(
            lambda server: must_not_be(
                MASTERS[server.type], *_DEFAULT_MASTERS, expected="expected a name that is not tried first"
            )(server),
        ),
        why="Whoever guesses passwords begins with the default names.",
        fix="set another name, such as one made of the project's",
        link=f"{_GUIDE}/UsingWithRDS.MasterAccounts.html",
        references=("SH:RDS.25",),
    ),
    Rule(
        id="PGTLS-P022",
        title=f"RDS servers run PostgreSQL {OLDEST_MAJOR} or later",
        area=Area.TLS,
        severity=Severity.MEDIUM,
        types=(INSTANCE, CLUSTER),
        checks=(_is_supported,),
        why="Older major versions get no fixes from PostgreSQL's developers.",
        fix="upgrade to a supported major version",
        link=_VERSIONS,
    ),
    Rule(
        id="PGTLS-P023",
        title="RDS servers do not fall into extended support",
        area=Area.TLS,
        severity=Severity.LOW,
        types=(INSTANCE, CLUSTER, GLOBAL_CLUSTER),
        checks=(
            must(
                "engineLifecycleSupport",
                lambda value: value.text().lower() != "open-source-rds-extended-support",
                "expected open-source-rds-extended-support-disabled",
            ),
        ),
        why="An old major version is kept, at a price for each core and hour.",
        fix="set engineLifecycleSupport to open-source-rds-extended-support-disabled",
        link=f"{_GUIDE}/extended-support.html",
    ),
    Rule(
        id="PGTLS-P024",
        title="The PostgreSQL version does not have the flaw in log_fdw",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=(INSTANCE, CLUSTER),
        checks=(_is_without_log_fdw,),
        why="The extension log_fdw let a database user read the service's own credentials (AWS-2022-004).",
        fix="set engineVersion to a fixed minor version, or to a newer major version",
        link="https://aws.amazon.com/security/security-bulletins/AWS-2022-004/",
        references=("CKV_AWS_250", "CKV_AWS_388"),
    ),
    Rule(
        id="PGTLS-P201",
        title="Global clusters are encrypted at rest",
        area=Area.ENCRYPTION,
        severity=Severity.HIGH,
        types=(GLOBAL_CLUSTER,),
        checks=(must_be_true("storageEncrypted", when=_inherits_no_encryption),),
        why="Every cluster that joins must have the same setting, and it cannot be changed later.",
        fix="set storageEncrypted to true",
        link="https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database.html",
        references=("CKV_AWS_140",),
    ),
    Rule(
        id="PGTLS-P202",
        title="Snapshots are not public",
        area=Area.IDENTITY,
        severity=Severity.CRITICAL,
        types=(SNAPSHOT, CLUSTER_SNAPSHOT, SNAPSHOT_COPY),
        checks=(_shared_with_nobody,),
        why="Everybody with an AWS account can restore the database.",
        fix="list account ids in sharedAccounts, or remove it",
        link=f"{_GUIDE}/USER_ShareSnapshot.html",
        references=("SH:RDS.1",),
    ),
    Rule(
        id="PGTLS-P203",
        title="Clusters are not publicly accessible",
        area=Area.NETWORK,
        severity=Severity.CRITICAL,
        types=(CLUSTER,),
        # Only a Multi-AZ cluster has it; the instances of Aurora have their own.
        checks=(must_not_be_true("publiclyAccessible"),),
        why="With a public address, one security group rule separates the database from the internet.",
        fix="set publiclyAccessible to false",
        link=f"{_GUIDE}/multi-az-db-clusters-concepts.html",
    ),
    Rule(
        id="PGTLS-P204",
        title="The authority of a cluster's certificate is a current one",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(CLUSTER,),
        checks=(
            must_not_be(
                "caCertificateIdentifier", "rds-ca-2015", "rds-ca-2019", expected="expected rds-ca-*-g1"
            ),
        ),
        why="Clients reject a server whose authority has expired, as rds-ca-2019 did in 2024.",
        fix="set caCertificateIdentifier to rds-ca-rsa2048-g1, rds-ca-rsa4096-g1 or rds-ca-ecc384-g1",
        link=f"{_GUIDE}/UsingWithRDS.SSL.html",
    ),
    Rule(
        id="PGTLS-P031",
        title="RDS proxies do not log statements",
        area=Area.SECRETS,
        severity=Severity.MEDIUM,
        types=("aws:rds/proxy:Proxy",),
        checks=(must_not_be_true("debugLogging"),),
        why="Debug logging writes the text of statements, and what they contain.",
        fix="set debugLogging to false",
        link=f"{_GUIDE}/rds-proxy-creating.html",
    ),
)
