"""Redshift: TLS, encryption at rest, reachability."""

from __future__ import annotations

from collections.abc import Iterator

from policy.property_checks import must_not_be_false, must_not_be_true
from policy.resources import Resource
from policy.rule import Area, Outcome, Problem, Rule, Severity

REDSHIFT = "aws:redshift/cluster:Cluster"
REDSHIFT_PARAMETERS = "aws:redshift/parameterGroup:ParameterGroup"
REDSHIFT_SERVERLESS = "aws:redshiftserverless/workgroup:Workgroup"
_REDSHIFT = "https://docs.aws.amazon.com/redshift/latest/mgmt"
_PLAIN = "Unencrypted traffic can be read and changed on its way."
_DISK = "Whoever gets at a disk or a snapshot reads it, and it cannot be encrypted later."


def _requires_tls(group: Resource) -> Iterator[Outcome]:
    if not group["family"].text().lower().startswith("redshift"):
        return
    for entry in group["parameters"].items():
        if entry.at("name").text().lower() == "require_ssl":
            if entry.at("value").truth() is not True:
                yield Problem(at=entry.at("value"), reason="expected true")
            return
    family = group["family"].text().lower()
    # The groups of 2.0 have it on by default.
    if family == "redshift-1.0":
        yield Problem(at=group["parameters"], reason="expected require_ssl true; the default is false")


def _own_redshift_parameters(cluster: Resource) -> Iterator[Outcome]:
    value = cluster["clusterParameterGroupName"]
    if value.is_known and value.text().lower() in ("", "default.redshift-1.0"):
        yield Problem(at=value, reason="expected a parameter group with require_ssl true")


RULES = (
    Rule(
        id="PGTLS-P250",
        title="Parameter groups of Redshift require TLS",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(REDSHIFT_PARAMETERS,),
        checks=(_requires_tls,),
        why=_PLAIN,
        fix="set the parameter require_ssl to true",
        link=f"{_REDSHIFT}/connecting-ssl-support.html",
        references=("SH:Redshift.2", "CKV_AWS_105"),
    ),
    Rule(
        id="PGTLS-P251",
        title="Redshift clusters have a parameter group of their own",
        area=Area.TLS,
        severity=Severity.MEDIUM,
        types=(REDSHIFT,),
        checks=(_own_redshift_parameters,),
        why="The default group does not require TLS, and cannot be changed.",
        fix="create a parameter group with require_ssl true, and set clusterParameterGroupName",
        link=f"{_REDSHIFT}/working-with-parameter-groups.html",
    ),
    Rule(
        id="PGTLS-P252",
        title="Redshift clusters are encrypted at rest",
        area=Area.ENCRYPTION,
        severity=Severity.HIGH,
        types=(REDSHIFT,),
        # Since 2025 AWS encrypts what states nothing.
        checks=(must_not_be_false("encrypted"),),
        why=_DISK,
        fix="set encrypted to true",
        link=f"{_REDSHIFT}/working-with-db-encryption.html",
        references=("SH:Redshift.10", "CKV_AWS_64"),
    ),
    Rule(
        id="PGTLS-P253",
        title="Redshift is not publicly accessible",
        area=Area.NETWORK,
        severity=Severity.CRITICAL,
        types=(REDSHIFT, REDSHIFT_SERVERLESS),
        # The API's default has been false since 2025; pulumi-aws 7 states false, too.
        checks=(must_not_be_true("publiclyAccessible"),),
        why="With a public address, one security group rule separates the data from the internet.",
        fix="set publiclyAccessible to false",
        link=f"{_REDSHIFT}/managing-clusters-vpc.html",
        references=("SH:Redshift.1", "CKV_AWS_87"),
    ),
)
