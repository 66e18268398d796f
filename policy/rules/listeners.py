"""Listeners of load balancers: which TLS they offer, and that they verify client certificates."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policy.listener_policies import DOCUMENTED, POLICIES, RECOMMENDED, SOURCE
from policy.registered import Resource
from policy.requirement import has, must, must_be, must_not_be_true, throughout
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.values import Value

LISTENER = "aws:lb/listener:Listener"
LISTENER_RULE = "aws:lb/listenerRule:ListenerRule"
MUTUAL = "mutualAuthentication"
VERIFY = "verify"

_GUIDE = "https://docs.aws.amazon.com/elasticloadbalancing/latest/application"
_MUTUAL_LINK = f"{_GUIDE}/mutual-authentication.html"
_ACM = re.compile(r"arn:aws[a-z-]*:acm:\S+")
_HEADER = re.compile(r"routingHttpRequestXAmzn(?:Mtls|Tls)\w+HeaderName")
# What clients, browsers and proxies send anyway; a client could write these itself.
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
    """Whether a listener lets only clients in whose certificate it has verified.

    Raises:
        UndecidedError: The mode is not known yet.
    """
    return listener[MUTUAL].at("mode").text().lower() == VERIFY


def _types(listener: Resource) -> list[str]:
    return [action.at("type").text().lower() for action in listener["defaultActions"].items()]


def _speaks_tls(listener: Resource) -> Iterator[Outcome]:
    protocol = listener["protocol"]
    if protocol.text().upper() in ("HTTPS", "TLS", "TCP", "UDP", "TCP_UDP", "GENEVE"):
        return  # without TLS of the balancer's own: that is P103
    if not (_is_http(listener) and "redirect" in _types(listener)):
        yield Problem(at=protocol, reason="expected HTTPS or TLS")


def _only_redirects(listener: Resource) -> Iterator[Outcome]:
    if not _is_http(listener) or "redirect" not in _types(listener):
        return

    def judge(action: Value) -> Iterator[Outcome]:
        if action.at("type").text().lower() != "redirect":
            yield Problem(at=action.at("type"), reason="expected redirect, since HTTP serves nothing")
        elif action.at("redirect").at("protocol").text().upper() != "HTTPS":
            yield Problem(at=action.at("redirect").at("protocol"), reason="expected HTTPS")

    yield from throughout(listener["defaultActions"].items(), judge)


def _policy_is_known(listener: Resource) -> Iterator[Outcome]:
    value = listener["sslPolicy"]
    if value.text() and _is_tls(listener) and value.text() not in POLICIES:
        yield Problem(
            at=value,
            reason=f"that is no policy which AWS had documented by {DOCUMENTED}, so nothing is known of it",
        )


def _floor(listener: Resource) -> Iterator[Outcome]:
    if not _is_tls(listener):
        return
    value = listener["sslPolicy"]
    if not value.text():
        yield Problem(at=value, reason="AWS would take ELBSecurityPolicy-2016-08, with TLS 1.0")
        return
    policy = POLICIES.get(value.text())
    if policy is not None and policy.minimum not in ("1.2", "1.3"):
        yield Problem(at=value, reason=f"it offers TLS {policy.minimum}; expected 1.2 at least")


def _suites(listener: Resource) -> Iterator[Outcome]:
    value = listener["sslPolicy"]
    policy = POLICIES.get(value.text()) if _is_tls(listener) else None
    if policy is None or policy.minimum not in ("1.2", "1.3"):
        return
    if not policy.forward_secret:
        yield Problem(at=value, reason="it offers suites without forward secrecy")
    elif not policy.authenticated:
        yield Problem(at=value, reason="it offers suites with CBC")


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
            yield Problem(at=value, reason="that is an ordinary header, which clients send themselves")
        elif text and text in seen:
            yield Problem(at=value, reason=f"it has the name of {seen[text]}")
        seen.setdefault(text, value.path)

    yield from throughout((listener[name] for name in names), judge)


def _lasts(value: Value) -> bool:
    match = re.search(r"max-age=([0-9]{1,10})", value.text().lower())
    return match is not None and int(match[1]) > 0


RULES = (
    Rule(
        id="PGTLS-P097",
        title="A listener speaks TLS",
        area=Area.TLS,
        severity=Severity.CRITICAL,
        types=(LISTENER,),
        checks=(_speaks_tls,),
        why="What is not encrypted can be read and changed on the way.",
        fix="set protocol to HTTPS, or TLS on a network load balancer",
        link=f"{_GUIDE}/create-https-listener.html",
        references=("SH:ELB.18",),
    ),
    Rule(
        id="PGTLS-P098",
        title="A listener on HTTP does nothing but redirect to HTTPS",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(LISTENER,),
        checks=(_only_redirects,),
        why="Any other action serves clients without encryption.",
        fix="give it one default action: redirect, with protocol HTTPS",
        link=f"{_GUIDE}/create-listener.html",
        references=("SH:ELB.1",),
    ),
    Rule(
        id="PGTLS-P099",
        title="A listener offers TLS 1.2 at least",
        area=Area.TLS,
        severity=Severity.CRITICAL,
        types=(LISTENER,),
        checks=(_floor,),
        why="TLS 1.0 and 1.1 are broken; and without a policy, AWS takes one that offers them.",
        fix=f"set sslPolicy, best to {RECOMMENDED}",
        link=SOURCE,
        references=("SH:ELB.17", "CKV_AWS_103"),
    ),
    Rule(
        id="PGTLS-P100",
        title="A listener offers only suites with forward secrecy and authenticated encryption",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(LISTENER,),
        checks=(_suites,),
        why="Without forward secrecy a stolen key opens old recordings; CBC has been attacked often.",
        fix=f"set sslPolicy to a TLS13-1-2-Res or TLS13-1-3 policy, best to {RECOMMENDED}",
        link=SOURCE,
        references=("CKV2_AWS_74",),
    ),
    Rule(
        id="PGTLS-P101",
        title="A listener offers post-quantum key exchange",
        area=Area.TLS,
        severity=Severity.LOW,
        types=(LISTENER,),
        checks=(_post_quantum,),
        why="What is recorded today can be opened once a large quantum computer exists.",
        fix=f"set sslPolicy to {RECOMMENDED}",
        link=SOURCE,
    ),
    Rule(
        id="PGTLS-P102",
        title="A listener's certificate is one of ACM",
        area=Area.TLS,
        severity=Severity.MEDIUM,
        types=(LISTENER,),
        checks=(
            must(
                "certificateArn",
                lambda value: _ACM.fullmatch(value.text()) is not None,
                "expected the ARN of a certificate in ACM",
                when=_is_tls,
            ),
        ),
        why="IAM's server certificates are not renewed, and nobody is warned of their expiry.",
        fix="keep the certificate in AWS Certificate Manager and set certificateArn to its ARN",
        link=f"{_GUIDE}/https-listener-certificates.html",
    ),
    Rule(
        id="PGTLS-P103",
        title="A network load balancer ends TLS itself",
        area=Area.TLS,
        severity=Severity.LOW,
        types=(LISTENER,),
        checks=(
            must(
                "protocol",
                lambda value: value.text().upper() not in ("TCP", "UDP", "TCP_UDP"),
                "expected TLS, so that TLS's version is decided here",
            ),
        ),
        why="A listener that passes TCP on takes whatever version its targets take.",
        fix="set protocol to TLS, with a certificate and an sslPolicy",
        link="https://docs.aws.amazon.com/elasticloadbalancing/latest/network/create-tls-listener.html",
    ),
    Rule(
        id="PGTLS-N60",
        title="An HTTPS listener verifies client certificates",
        area=Area.IDENTITY,
        severity=Severity.CRITICAL,
        types=(LISTENER,),
        checks=(must_be(f"{MUTUAL}.mode", VERIFY, when=_is_https),),
        why="With mode off anybody gets through, and with passthrough any certificate does.",
        fix="set mutualAuthentication to mode verify and a trustStoreArn",
        link=_MUTUAL_LINK,
    ),
    Rule(
        id="PGTLS-N61",
        title="A listener refuses expired client certificates",
        area=Area.IDENTITY,
        severity=Severity.CRITICAL,
        types=(LISTENER,),
        checks=(must_not_be_true(f"{MUTUAL}.ignoreClientCertificateExpiry"),),
        why="A leaked key would work for ever.",
        fix="remove ignoreClientCertificateExpiry",
        link=_MUTUAL_LINK,
    ),
    Rule(
        id="PGTLS-N67",
        title="Headers with what the listener verified have names of their own",
        area=Area.IDENTITY,
        severity=Severity.MEDIUM,
        types=(LISTENER,),
        checks=(_header_names,),
        why="Under an ordinary name, another proxy or the client writes what the application trusts.",
        fix="give each header a name that nobody else sends, and tell the application",
        link=f"{_GUIDE}/header-modification.html",
    ),
    Rule(
        id="PGTLS-N68",
        title="A listener's security policy is one that is known",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(LISTENER,),
        checks=(_policy_is_known,),
        why="A name says nothing of what it offers: TLS13-1-0 offers TLS 1.0.",
        fix=f"set sslPolicy to {RECOMMENDED}, or add the policy to policy/listener_policies.py",
        link=SOURCE,
    ),
    Rule(
        id="PGTLS-N69",
        title="An HTTPS listener tells browsers to stay with HTTPS",
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
        why="Without Strict-Transport-Security a first request may go out in plain text.",
        fix="set routingHttpResponseStrictTransportSecurityHeaderValue to max-age=31536000",
        link=f"{_GUIDE}/header-modification.html",
    ),
)
