"""CloudFront distributions: TLS of viewers and of origins."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policy.property_checks import inside
from policy.resources import Resource
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.values import Value, throughout

DISTRIBUTION = "aws:cloudfront/distribution:Distribution"
_GUIDE = "https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide"
_VIEWERS = f"{_GUIDE}/secure-connections-supported-viewer-protocols-ciphers.html"
_ORIGINS = f"{_GUIDE}/using-https-cloudfront-to-custom-origin.html"
_OLD = ("SSLv3", "TLSv1", "TLSv1_2016", "TLSv1.1_2016")
_BROKEN = ("SSLv3", "TLSv1", "TLSv1.1")
# The website endpoints of S3 have no TLS: s3-website-<region> or s3-website.<region>.
_WEBSITE = re.compile(r"\.s3-website[.-]")


def _floor(distribution: Resource) -> Iterator[Outcome]:
    certificate = distribution["viewerCertificate"]
    if certificate.at("cloudfrontDefaultCertificate").truth() is True:
        yield Problem(
            at=certificate.at("cloudfrontDefaultCertificate"),
            reason="CloudFront allows TLS 1.0 with its own certificate; expected one for the domain",
            severity=Severity.MEDIUM,
        )
        return
    value = certificate.at("minimumProtocolVersion")
    # Without it, the provider's default is TLSv1.
    if not value.text() or value.text() in _OLD:
        yield Problem(at=value, reason="it allows TLS 1.0 or 1.1; expected TLSv1.2_2021 or later")


def _custom_origins(distribution: Resource) -> Iterator[tuple[Value, Value]]:
    for origin in distribution["origins"].items():
        config = origin.at("customOriginConfig")
        if config.given:
            yield origin, config


def _is_a_website(origin: Value) -> bool:
    domain = origin.at("domainName")
    return domain.is_known and _WEBSITE.search(domain.text()) is not None


def _https_to_origins(distribution: Resource) -> Iterator[Outcome]:
    def judge(found: tuple[Value, Value]) -> Iterator[Outcome]:
        origin, config = found
        value = config.at("originProtocolPolicy")
        if value.text().lower() == "https-only":
            return
        if not origin.at("domainName").is_known or _is_a_website(origin):
            yield Problem(
                at=value,
                reason="expected https-only; a website of S3 has no TLS, its bucket behind origin access "
                "control has",
                severity=Severity.MEDIUM,
            )
        else:
            yield Problem(at=value, reason="expected https-only")

    yield from throughout(_custom_origins(distribution), judge)


def _origin_versions(distribution: Resource) -> Iterator[Outcome]:
    def judge(found: tuple[Value, Value]) -> Iterator[Outcome]:
        _, config = found
        if config.at("originProtocolPolicy").text().lower() == "http-only":
            return
        for value in config.at("originSslProtocols").items():
            if value.text() in _BROKEN:
                yield Problem(at=value, reason="expected TLSv1.2 only")

    yield from throughout(_custom_origins(distribution), judge)


def _behaviors(distribution: Resource) -> Iterator[Outcome]:
    values = [
        *inside(distribution, "defaultCacheBehavior.viewerProtocolPolicy"),
        *inside(distribution, "orderedCacheBehaviors[].viewerProtocolPolicy"),
    ]

    def judge(value: Value) -> Iterator[Outcome]:
        if value.text().lower() == "allow-all":
            yield Problem(at=value, reason="expected redirect-to-https or https-only")

    yield from throughout(values, judge)


RULES = (
    Rule(
        id="PGTLS-P210",
        title="Distributions require TLS 1.2 of viewers",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(DISTRIBUTION,),
        checks=(_floor,),
        why="TLS 1.0 and 1.1 are broken.",
        fix="set viewerCertificate.minimumProtocolVersion to TLSv1.2_2021 or later, with a certificate",
        link=_VIEWERS,
        references=("SH:CloudFront.15", "CKV_AWS_174"),
    ),
    Rule(
        id="PGTLS-P211",
        title="Viewers use HTTPS",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(DISTRIBUTION,),
        checks=(_behaviors,),
        why="Unencrypted traffic can be read and changed on its way.",
        fix="set viewerProtocolPolicy to redirect-to-https or https-only in every cache behavior",
        link=f"{_GUIDE}/using-https-viewers-to-cloudfront.html",
        references=("SH:CloudFront.3", "CKV_AWS_34"),
    ),
    Rule(
        id="PGTLS-P212",
        title="Distributions use TLS to their origins",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(DISTRIBUTION,),
        checks=(_https_to_origins,),
        why="Between CloudFront and the origin, traffic crosses the internet.",
        fix="set originProtocolPolicy to https-only",
        link=_ORIGINS,
        references=("SH:CloudFront.9",),
    ),
    Rule(
        id="PGTLS-P213",
        title="Distributions use TLS 1.2 to their origins",
        area=Area.TLS,
        severity=Severity.MEDIUM,
        types=(DISTRIBUTION,),
        checks=(_origin_versions,),
        why="TLS 1.0 and 1.1 are broken.",
        fix="set originSslProtocols to TLSv1.2",
        link=_ORIGINS,
        references=("SH:CloudFront.10",),
    ),
)
