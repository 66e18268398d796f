"""RDS Proxy: TLS and IAM authentication."""

from __future__ import annotations

from collections.abc import Iterator

from policy.property_checks import must_be_true
from policy.resources import Resource
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.values import Value, throughout

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


RULES = (
    Rule(
        id="PGTLS-P030",
        title="RDS proxies require TLS",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(PROXY,),
        checks=(must_be_true("requireTls"),),
        why="Traffic between application and proxy could be read.",
        fix="set requireTls to true",
        link=f"{_GUIDE}/rds-proxy.howitworks.html",
        references=("SH:RDS.43",),
    ),
    Rule(
        id="PGTLS-N49",
        title="RDS proxies require IAM authentication, and SCRAM for passwords",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=(PROXY,),
        checks=(_identity,),
        why="Otherwise applications need a password, which the proxy is there to avoid.",
        fix="set iamAuth to REQUIRED in every element of auths, or set defaultAuthScheme to IAM_AUTH",
        link=f"{_GUIDE}/rds-proxy-setup.html",
    ),
)
