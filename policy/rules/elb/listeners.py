"""Listeners: TLS versions and cipher suites, and verification of client certificates."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policy.property_checks import has, must, must_not_be_true, stated_or_default
from policy.resources import Resource, Stack
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.rules.elb.security_policies import DOCUMENTED, POLICIES, RECOMMENDED, SOURCE
from policy.values import Value, throughout

LISTENER = "aws:lb/listener:Listener"
LISTENER_RULE = "aws:lb/listenerRule:ListenerRule"
MUTUAL = "mutualAuthentication"
VERIFY = "verify"
TRUST_STORE = "aws:lb/trustStore:TrustStore"

_GUIDE = "https://docs.aws.amazon.com/elasticloadbalancing/latest/application"
_MUTUAL_LINK = f"{_GUIDE}/mutual-authentication.html"
_ACM = re.compile(r"arn:aws[a-z-]*:acm:\S+")
_HEADER = re.compile(r"routingHttpRequestXAmzn(?:Mtls|Tls)\w+HeaderName")
# Headers that clients, browsers and proxies send, so that a client could forge them.
_ORDINARY = frozenset(
    [
        "accept",
        "authorization",
        "cache-control",
        "client-cert",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "forwarded",
        "host",
        "origin",
        "proxy-authorization",
        "referer",
        "ssl-client-cert",
        "user-agent",
        "via",
        "x-api-key",
        "x-client-cert",
        "x-forwarded-client-cert",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
        "x-real-ip",
        "x-request-id",
        "x-ssl-client-cert",
    ]
)

_is_tls = has("protocol", "HTTPS", "TLS")
_is_https = has("protocol", "HTTPS")
_is_http = has("protocol", "HTTP")


def verifies(listener: Resource) -> bool:
    """Whether a listener accepts only clients whose certificate it has verified.

    Raises:
        UndecidedError: The mode is not known yet.
    """
    return listener[MUTUAL].at("mode").text().lower() == VERIFY


def _types(listener: Resource) -> list[str]:
    return [action.at("type").text().lower() for action in listener["defaultActions"].items()]


def _is_of_a_gateway(listener: Resource) -> bool:
    """Whether it belongs to a gateway load balancer, whose listeners have neither protocol nor port."""
    return not listener["protocol"].given and not listener["port"].given


def _speaks_tls(listener: Resource) -> Iterator[Outcome]:
    protocol = listener["protocol"]
    effective = stated_or_default(listener, protocol).text().upper()
    if effective in ("HTTPS", "TLS", "TCP", "UDP", "TCP_UDP", "QUIC", "TCP_QUIC", "GENEVE"):
        return  # P103 reports listeners that do not terminate TLS
    if _is_of_a_gateway(listener):
        return
    if not (_is_http(listener) and "redirect" in _types(listener)):
        yield Problem(at=protocol, reason="expected HTTPS or TLS")


def _only_redirects(listener: Resource) -> Iterator[Outcome]:
    if not _is_http(listener) or "redirect" not in _types(listener):
        return

    yield from throughout(listener["defaultActions"].items(), _redirects)


def _redirects(action: Value) -> Iterator[Outcome]:
    if action.at("type").text().lower() != "redirect":
        yield Problem(at=action.at("type"), reason="expected redirect")
    elif action.at("redirect").at("protocol").text().upper() != "HTTPS":
        yield Problem(at=action.at("redirect").at("protocol"), reason="expected HTTPS")


def _rules_only_redirect(listener: Resource, stack: Stack) -> Iterator[Outcome]:
    if not _is_http(listener) or "redirect" not in _types(listener):
        return
    for rule in stack.referring(LISTENER_RULE, "listenerArn", listener):
        actions = [each.renamed(f"{rule.name}.{each.path}") for each in rule["actions"].items()]
        yield from throughout(actions, _redirects)


def _passes_no_certificate_on(listener: Resource) -> Iterator[Outcome]:
    mode = listener[MUTUAL].at("mode")
    if _is_https(listener) and mode.text().lower() not in ("", "off", VERIFY):
        yield Problem(at=mode, reason=f"expected {VERIFY}")


def _verifies_where_wanted(listener: Resource, stack: Stack) -> Iterator[Outcome]:
    """A trust store that no listener uses says that client certificates are wanted."""
    mode = listener[MUTUAL].at("mode")
    stores = stack.of_types((TRUST_STORE,))
    if not stores or not _is_https(listener) or mode.text().lower() not in ("", "off"):
        return
    others = [each for each in stack.of_types((LISTENER,)) if each is not listener]
    modes = [each[MUTUAL].at("mode") if each[MUTUAL].is_known else each[MUTUAL] for each in others]
    if all(each.is_known and each.text().lower() != VERIFY for each in modes):
        yield Problem(at=mode, reason=f"expected {VERIFY}, since no listener uses {stores[0].name}")


def _policy_is_known(listener: Resource) -> Iterator[Outcome]:
    value = listener["sslPolicy"]
    if value.text() and _is_tls(listener) and value.text() not in POLICIES:
        yield Problem(
            at=value,
            reason=f"expected a policy that AWS had documented by {DOCUMENTED}",
        )


def _floor(listener: Resource) -> Iterator[Outcome]:
    if not _is_tls(listener):
        return
    value = listener["sslPolicy"]
    if not value.text():
        yield Problem(
            at=value,
            reason="AWS would use ELBSecurityPolicy-2016-08, which allows TLS 1.0",
        )
        return
    policy = POLICIES.get(value.text())
    if policy is not None and policy.minimum not in ("1.2", "1.3"):
        yield Problem(at=value, reason=f"it allows TLS {policy.minimum}; expected 1.2 or later")


def _suites(listener: Resource) -> Iterator[Outcome]:
    value = listener["sslPolicy"]
    policy = POLICIES.get(value.text()) if _is_tls(listener) else None
    if policy is None or policy.minimum not in ("1.2", "1.3"):
        return
    if not policy.forward_secret:
        yield Problem(at=value, reason="it offers cipher suites without forward secrecy")
    elif not policy.authenticated:
        yield Problem(at=value, reason="it offers CBC cipher suites")


def _post_quantum(listener: Resource) -> Iterator[Outcome]:
    value = listener["sslPolicy"]
    policy = POLICIES.get(value.text()) if _is_tls(listener) else None
    if policy is not None and not policy.post_quantum:
        yield Problem(at=value, reason="expected a policy with -PQ- in its name")


def _header_names(listener: Resource) -> Iterator[Outcome]:
    names = sorted(name for name in listener.properties if _HEADER.fullmatch(name))
    seen: dict[str, str] = {}

    def judge(value: Value) -> Iterator[Outcome]:
        text = value.text().lower()
        if text in _ORDINARY:
            yield Problem(at=value, reason="expected a header that clients do not send themselves")
        elif text and text in seen:
            yield Problem(at=value, reason=f"expected another name than that of {seen[text]}")
        seen.setdefault(text, value.path)

    yield from throughout((listener[name] for name in names), judge)


def _lasts(value: Value) -> bool:
    match = re.search(r"max-age=([0-9]{1,10})", value.text().lower())
    return match is not None and int(match[1]) > 0


RULES = (
    Rule(
        id="PGTLS-P097",
        title="Listeners use TLS",
        area=Area.TLS,
        severity=Severity.CRITICAL,
        types=(LISTENER,),
        checks=(_speaks_tls,),
        why="Unencrypted traffic can be read and changed on its way.",
        fix="set protocol to HTTPS, or to TLS on a network load balancer",
        link=f"{_GUIDE}/create-https-listener.html",
        references=("SH:ELB.18",),
    ),
    Rule(
        id="PGTLS-P098",
        title="HTTP listeners only redirect to HTTPS",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(LISTENER,),
        checks=(_only_redirects,),
        stack_checks=(_rules_only_redirect,),
        why="Any other action serves clients without encryption.",
        fix="set one default action: redirect, with protocol HTTPS; move its rules to the HTTPS listener",
        link=f"{_GUIDE}/create-listener.html",
        references=("SH:ELB.1",),
    ),
    Rule(
        id="PGTLS-P099",
        title="Listeners require TLS 1.2 or later",
        area=Area.TLS,
        severity=Severity.CRITICAL,
        types=(LISTENER,),
        checks=(_floor,),
        why="TLS 1.0 and 1.1 are broken, and AWS's default policy allows them.",
        fix=f"set sslPolicy to {RECOMMENDED}",
        link=SOURCE,
        references=("SH:ELB.17", "CKV_AWS_103"),
    ),
    Rule(
        id="PGTLS-P100",
        title="Listeners offer only cipher suites with forward secrecy and authenticated encryption",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(LISTENER,),
        checks=(_suites,),
        why="Without forward secrecy a stolen key decrypts recorded traffic; CBC has been attacked often.",
        fix=f"set sslPolicy to a TLS13-1-2-Res or TLS13-1-3 policy, preferably {RECOMMENDED}",
        link=SOURCE,
        references=("CKV2_AWS_74",),
    ),
    Rule(
        id="PGTLS-P101",
        title="Listeners offer post-quantum key exchange",
        area=Area.TLS,
        severity=Severity.LOW,
        types=(LISTENER,),
        checks=(_post_quantum,),
        why="Traffic that is recorded today can be decrypted once large quantum computers exist.",
        fix=f"set sslPolicy to {RECOMMENDED}",
        link=SOURCE,
    ),
    Rule(
        id="PGTLS-P102",
        title="Listener certificates are managed by ACM",
        area=Area.TLS,
        severity=Severity.MEDIUM,
        types=(LISTENER,),
        checks=(
            must(
                "certificateArn",
                lambda value: _ACM.fullmatch(value.text()) is not None,
                "expected the ARN of an ACM certificate",
                when=_is_tls,
            ),
        ),
        why="IAM server certificates are not renewed, and nobody is warned before they expire.",
        fix="store the certificate in AWS Certificate Manager and set certificateArn to its ARN",
        link=f"{_GUIDE}/https-listener-certificates.html",
    ),
    Rule(
        id="PGTLS-P103",
        title="Network load balancers terminate TLS",
        area=Area.TLS,
        severity=Severity.LOW,
        types=(LISTENER,),
        checks=(
            must(
                "protocol",
                lambda value: value.text().upper() not in ("TCP", "UDP", "TCP_UDP"),
                "expected TLS",
            ),
        ),
        why="With a TCP listener, the targets decide which TLS versions are accepted.",
        fix="set protocol to TLS, with a certificate and an sslPolicy",
        link="https://docs.aws.amazon.com/elasticloadbalancing/latest/network/create-tls-listener.html",
    ),
    Rule(
        id="PGTLS-N60",
        title="HTTPS listeners verify client certificates where they are wanted",
        area=Area.IDENTITY,
        severity=Severity.CRITICAL,
        types=(LISTENER,),
        checks=(_passes_no_certificate_on,),
        stack_checks=(_verifies_where_wanted,),
        why="With mode off, clients need no certificate; with passthrough, any certificate is accepted.",
        fix="set mutualAuthentication to mode verify with a trustStoreArn",
        link=_MUTUAL_LINK,
    ),
    Rule(
        id="PGTLS-N61",
        title="Listeners refuse expired client certificates",
        area=Area.IDENTITY,
        severity=Severity.CRITICAL,
        types=(LISTENER,),
        checks=(must_not_be_true(f"{MUTUAL}.ignoreClientCertificateExpiry"),),
        why="A leaked key would work forever.",
        fix="remove ignoreClientCertificateExpiry",
        link=_MUTUAL_LINK,
    ),
    Rule(
        id="PGTLS-N67",
        title="Headers for verified certificates have names that nobody else sends",
        area=Area.IDENTITY,
        severity=Severity.MEDIUM,
        types=(LISTENER,),
        checks=(_header_names,),
        why="A client or another proxy can send an ordinary header, which the application would then trust.",
        fix="give each header a name that nobody else sends, and configure the application accordingly",
        link=f"{_GUIDE}/header-modification.html",
    ),
    Rule(
        id="PGTLS-N68",
        title="Listeners use a documented security policy",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(LISTENER,),
        checks=(_policy_is_known,),
        why="The name alone does not tell what a policy allows: TLS13-1-0 allows TLS 1.0.",
        fix=f"set sslPolicy to {RECOMMENDED}, or add the policy to policy/rules/elb/security_policies.py",
        link=SOURCE,
    ),
    Rule(
        id="PGTLS-N69",
        title="HTTPS listeners send Strict-Transport-Security",
        area=Area.TLS,
        severity=Severity.LOW,
        types=(LISTENER,),
        checks=(
            must(
                "routingHttpResponseStrictTransportSecurityHeaderValue",
                _lasts,
                "expected a value with max-age, such as max-age=31536000",
                when=_is_https,
            ),
        ),
        why="Without it a browser's first request may be sent unencrypted.",
        fix="set routingHttpResponseStrictTransportSecurityHeaderValue to max-age=31536000",
        link=f"{_GUIDE}/header-modification.html",
    ),
)
