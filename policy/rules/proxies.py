"""RDS Proxy, and where an RDS server is in the network."""

from __future__ import annotations

from collections.abc import Iterator

from policy.registered import Resource
from policy.requirement import must_be_given, must_be_true, throughout
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.rules.rds_servers import CLUSTER, INSTANCE
from policy.values import Value

PROXY = "aws:rds/proxy:Proxy"
_GUIDE = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide"
_SCRAM = "postgres_scram_sha_256"


def _of_postgresql(proxy: Resource) -> bool:
    return proxy["engineFamily"].text().upper() in ("", "POSTGRESQL")


def _identity(proxy: Resource) -> Iterator[Outcome]:
    if not _of_postgresql(proxy):
        return
    by_default = proxy["defaultAuthScheme"].text().upper() == "IAM_AUTH"

    def judge(auth: Value) -> Iterator[Outcome]:
        if auth.at("iamAuth").text().upper() != "REQUIRED":
            yield Problem(at=auth.at("iamAuth"), reason="expected REQUIRED")
        kind = auth.at("clientPasswordAuthType")
        if kind.text() and kind.text().lower() != _SCRAM:
            yield Problem(at=kind, reason=f"expected {_SCRAM.upper()}")

    auths = proxy["auths"].items()
    yield from throughout(auths, judge)
    if not auths and not by_default:
        yield Problem(at=proxy["defaultAuthScheme"], reason="expected IAM_AUTH")


def _is_alone(instance: Resource) -> bool:
    # A replica in the same region is in its source's subnets.
    return not instance["replicateSourceDb"].given


RULES = (
    Rule(
        id="PGTLS-P020",
        title="A server is in subnets that the program names",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=(INSTANCE, CLUSTER),
        checks=(must_be_given("dbSubnetGroupName", "expected a subnet group", when=_is_alone),),
        why="Without a subnet group it is in the default VPC, whose subnets are public.",
        fix="set dbSubnetGroupName",
        link=f"{_GUIDE}/USER_VPC.WorkingWithRDSInstanceinaVPC.html",
        references=("SH:RDS.18",),
    ),
    Rule(
        id="PGTLS-P030",
        title="A proxy takes connections over TLS only",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(PROXY,),
        checks=(must_be_true("requireTls"),),
        why="Between application and proxy, everything could be read.",
        fix="set requireTls to true",
        link=f"{_GUIDE}/rds-proxy.howitworks.html",
        references=("SH:RDS.43",),
    ),
    Rule(
        id="PGTLS-N49",
        title="A proxy asks for IAM's tokens, and nobody's password but by SCRAM",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=(PROXY,),
        checks=(_identity,),
        why="Otherwise applications need a password, which the proxy was to spare them.",
        fix="set iamAuth to REQUIRED in each of auths, or defaultAuthScheme to IAM_AUTH",
        link=f"{_GUIDE}/rds-proxy-setup.html",
    ),
)
