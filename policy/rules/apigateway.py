"""API Gateway: TLS and client certificates of custom domains."""

from __future__ import annotations

from collections.abc import Iterator

from policy.property_checks import must_be_given
from policy.resources import Resource, Stack
from policy.rule import Area, Outcome, Problem, Rule, Severity

DOMAIN = "aws:apigateway/domainName:DomainName"
DOMAIN_V2 = "aws:apigatewayv2/domainName:DomainName"
REST_API = "aws:apigateway/restApi:RestApi"
API = "aws:apigatewayv2/api:Api"
_GUIDE = "https://docs.aws.amazon.com/apigateway/latest/developerguide"
_MUTUAL = f"{_GUIDE}/rest-api-mutual-tls.html"
_TRUST = "mutualTlsAuthentication"
_MAPPINGS = {
    REST_API: ("aws:apigateway/basePathMapping:BasePathMapping", "restApi"),
    API: ("aws:apigatewayv2/apiMapping:ApiMapping", "apiId"),
}


def _policy_holder(domain: Resource) -> Iterator[Outcome]:
    value = (
        domain["domainNameConfiguration"].at("securityPolicy")
        if domain.type == DOMAIN_V2
        else domain["securityPolicy"]
    )
    text = value.text().upper()
    # AWS uses TLS_1_2 where none is stated. The newer names begin with SecurityPolicy_TLS12 or _TLS13.
    if text == "TLS_1_0" or (
        text and not text.startswith(("TLS_1_2", "SECURITYPOLICY_TLS12", "SECURITYPOLICY_TLS13"))
    ):
        yield Problem(at=value, reason="it allows TLS 1.0; expected TLS_1_2 or a SecurityPolicy_TLS13 policy")


def _is_mutual(domain: Resource) -> bool:
    return domain[_TRUST].given


def _only_by_the_domain(api: Resource, stack: Stack) -> Iterator[Outcome]:
    token, name = _MAPPINGS[api.type]
    for mapping in stack.referring(token, name, api):
        for domain in stack.all_referred(mapping, "domainName", (DOMAIN, DOMAIN_V2)):
            if _is_mutual(domain) and api["disableExecuteApiEndpoint"].truth() is not True:
                yield Problem(
                    at=api["disableExecuteApiEndpoint"],
                    reason=f"expected true, since the domain {domain.name} verifies client certificates",
                )
                return


RULES = (
    Rule(
        id="PGTLS-P220",
        title="Domains of API Gateway require TLS 1.2",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(DOMAIN, DOMAIN_V2),
        checks=(_policy_holder,),
        why="TLS 1.0 and 1.1 are broken.",
        fix="set securityPolicy to TLS_1_2",
        link=f"{_GUIDE}/apigateway-custom-domain-tls-version.html",
        references=("CKV_AWS_206",),
    ),
    Rule(
        id="PGTLS-N73",
        title="The trust store of a domain is a pinned object version",
        area=Area.IDENTITY,
        severity=Severity.MEDIUM,
        types=(DOMAIN, DOMAIN_V2),
        checks=(
            must_be_given(
                f"{_TRUST}.truststoreVersion", "expected the version that was reviewed", when=_is_mutual
            ),
        ),
        why="Whoever can write the object can add an authority, and so clients.",
        fix="set mutualTlsAuthentication.truststoreVersion, in a bucket with versions",
        link=_MUTUAL,
    ),
    Rule(
        id="PGTLS-N74",
        title="An API behind a domain that verifies clients has no other address",
        area=Area.IDENTITY,
        severity=Severity.CRITICAL,
        types=(REST_API, API),
        stack_checks=(_only_by_the_domain,),
        why="At its default address, execute-api, the API takes clients without a certificate.",
        fix="set disableExecuteApiEndpoint to true",
        link=_MUTUAL,
    ),
)
