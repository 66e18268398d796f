"""Classic load balancers: TLS of listeners and their policies, access logs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policy.property_checks import must_be_true, must_not_be
from policy.resources import Resource
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.values import Value, throughout

CLASSIC = "aws:elb/loadBalancer:LoadBalancer"
POLICY = "aws:elb/loadBalancerPolicy:LoadBalancerPolicy"
NEGOTIATION = "aws:elb/sslNegotiationPolicy:SslNegotiationPolicy"
_GUIDE = "https://docs.aws.amazon.com/elasticloadbalancing/latest/classic"
_POLICIES = f"{_GUIDE}/elb-security-policy-table.html"
# The only predefined policies without TLS 1.0 and 1.1.
_GOOD_REFERENCES = ("ELBSecurityPolicy-TLS-1-2-2017-01",)
_BROKEN = re.compile(r"Protocol-(?:SSLv2|SSLv3|TLSv1|TLSv1\.1)")
_WEAK_SUITE = re.compile(r"(?:RC4|DES|EXP|NULL|ADH|MD5|PSK|SEED|CAMELLIA|KRB5|IDEA)", re.IGNORECASE)


def _listeners(balancer: Resource) -> Iterator[Value]:
    yield from balancer["listeners"].items()


def _listens_with_tls(balancer: Resource) -> Iterator[Outcome]:
    def judge(listener: Value) -> Iterator[Outcome]:
        value = listener.at("lbProtocol")
        if value.text().upper() not in ("HTTPS", "SSL"):
            # With TCP the targets may terminate TLS; HTTP is plain.
            severity = Severity.MEDIUM if value.text().upper() == "TCP" else None
            yield Problem(at=value, reason="expected HTTPS or SSL", severity=severity)

    yield from throughout(_listeners(balancer), judge)


def _targets_with_tls(balancer: Resource) -> Iterator[Outcome]:
    def judge(listener: Value) -> Iterator[Outcome]:
        value = listener.at("instanceProtocol")
        if value.text().upper() == "HTTP" and listener.at("lbProtocol").text().upper() == "HTTPS":
            yield Problem(at=value, reason="expected HTTPS")
        if value.text().upper() == "TCP" and listener.at("lbProtocol").text().upper() == "SSL":
            yield Problem(at=value, reason="expected SSL")

    yield from throughout(_listeners(balancer), judge)


def _negotiates(policy: Resource) -> Iterator[Outcome]:
    if policy.type == POLICY and policy["policyTypeName"].text() != "SSLNegotiationPolicyType":
        return
    attributes = policy["policyAttributes" if policy.type == POLICY else "attributes"]
    found: list[Value] = attributes.items()

    def judge(entry: Value) -> Iterator[Outcome]:
        name, value = entry.at("name"), entry.at("value")
        if name.text() == "Reference-Security-Policy":
            if value.text() not in _GOOD_REFERENCES:
                yield Problem(at=value, reason=f"expected {_GOOD_REFERENCES[0]}")
        elif value.truth() is not False and _BROKEN.fullmatch(name.text()):
            yield Problem(at=name, reason="expected Protocol-TLSv1.2 only")
        elif value.truth() is not False and _WEAK_SUITE.search(name.text()):
            yield Problem(at=name, reason="expected suites with AES-GCM only")

    if not found:
        yield Problem(at=attributes, reason="AWS would use ELBSecurityPolicy-2016-08, which allows TLS 1.0")
    yield from throughout(found, judge)


RULES = (
    Rule(
        id="PGTLS-P290",
        title="Classic load balancers use TLS",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(CLASSIC,),
        checks=(_listens_with_tls,),
        why="Unencrypted traffic can be read and changed on its way.",
        fix="set lbProtocol to HTTPS or SSL, or use an application load balancer, which can redirect",
        link=f"{_GUIDE}/elb-listener-config.html",
        references=("SH:ELB.3", "CKV_AWS_376"),
    ),
    Rule(
        id="PGTLS-P291",
        title="Classic load balancers use TLS to their targets",
        area=Area.TLS,
        severity=Severity.MEDIUM,
        types=(CLASSIC,),
        checks=(_targets_with_tls,),
        why="Otherwise traffic between load balancer and target can be read.",
        fix="set instanceProtocol to HTTPS, or to SSL",
        link=f"{_GUIDE}/elb-listener-config.html",
    ),
    Rule(
        id="PGTLS-P292",
        title="Policies of classic load balancers require TLS 1.2",
        area=Area.TLS,
        severity=Severity.CRITICAL,
        types=(POLICY, NEGOTIATION),
        checks=(_negotiates,),
        why="TLS 1.0 and 1.1 are broken, and AWS's default policy allows them.",
        fix="set Reference-Security-Policy to ELBSecurityPolicy-TLS-1-2-2017-01",
        link=_POLICIES,
        references=("SH:ELB.8",),
    ),
    Rule(
        id="PGTLS-P293",
        title="Classic load balancers write access logs",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=(CLASSIC,),
        checks=(
            # With a bucket, enabled is true by default.
            lambda balancer: (
                Problem(at=value, reason="expected accessLogs with a bucket")
                for value in (balancer["accessLogs"],)
                if not value.given or value.at("enabled").truth() is False
            ),
        ),
        why="Without them nobody can tell afterwards who connected.",
        fix="set accessLogs to a bucket",
        link=f"{_GUIDE}/access-log-collection.html",
        references=("SH:ELB.5", "CKV_AWS_92"),
    ),
    Rule(
        id="PGTLS-P294",
        title="Classic load balancers are internal",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=(CLASSIC,),
        checks=(must_be_true("internal"),),
        why="What does not need to be reached from the internet should not be reachable.",
        fix="set internal to true, or exempt a load balancer that is meant to be public",
        link=f"{_GUIDE}/elb-internet-facing-load-balancers.html",
    ),
    Rule(
        id="PGTLS-P295",
        title="Classic load balancers refuse ambiguous requests",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=(CLASSIC,),
        # Absent is defensive.
        checks=(must_not_be("desyncMitigationMode", "monitor", expected="expected defensive or strictest"),),
        why="A request that proxy and target read differently can carry another one past the proxy.",
        fix="set desyncMitigationMode to strictest",
        link=f"{_GUIDE}/config-desync-mitigation-mode.html",
        references=("SH:ELB.14", "CKV_AWS_328"),
    ),
)
