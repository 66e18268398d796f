"""IAM: who may assume roles."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from policy.context_keys import NAME, OF_AN_ACCOUNT, OF_EVERYBODY, OF_SERVICES, Kind, named
from policy.rule import Area, Outcome, Problem, ResourceCheck, Rule, Severity
from policy.text.policy_document import Judge, Statement, in_policy
from policy.type_tokens import IAM_ROLE

_GUIDE = "https://docs.aws.amazon.com/IAM/latest/UserGuide"
_CONFUSED = f"{_GUIDE}/confused-deputy.html"
# Services that use a role for any account that names it to them (the confused deputy problem).
_DEPUTIES = (
    "apigateway.amazonaws.com",
    "cloudtrail.amazonaws.com",
    "config.amazonaws.com",
    "delivery.logs.amazonaws.com",
    "events.amazonaws.com",
    "firehose.amazonaws.com",
    "monitoring.rds.amazonaws.com",
    "s3.amazonaws.com",
    "scheduler.amazonaws.com",
    "sns.amazonaws.com",
    "vpc-flow-logs.amazonaws.com",
)
_GITHUB = "token.actions.githubusercontent.com"
_EKS = "oidc.eks."
_PROVIDER = re.compile(r".*:(?:oidc-provider/(?P<issuer>.+)|(?P<saml>saml)-provider/.+)", re.IGNORECASE)
_FOR_AWS = (named(r"sts\.amazonaws\.com"), "sts.amazonaws.com")
_ONE = (NAME, "one literal value")
Claims = Mapping[str, tuple[Kind, str]]
"""The kind of each claim that has to be bound, and what it is to be."""

_OF_ISSUERS: Mapping[str, Claims] = MappingProxyType(
    {
        _GITHUB: {
            "aud": _FOR_AWS,
            "sub": (
                named(r"repo:[^*?:/]+/[^*?:]+:(?:environment:[^*?]+|ref:refs/(?:heads|tags)/[^*?]+)"),
                "repo:<owner>/<name>:environment:<name> or …:ref:<ref>",
            ),
        },
        _EKS: {
            "aud": _FOR_AWS,
            "sub": (
                named(r"system:serviceaccount:[^*?:]+:[^*?:]+"),
                "system:serviceaccount:<namespace>:<name>",
            ),
        },
        "app.terraform.io": {
            "aud": _ONE,
            "sub": (
                named(r"organization:[^*?:]+:project:[^*?:]+:workspace:[^*?:]+:run_phase:[a-z*]+"),
                "organization:<name>:project:<name>:workspace:<name>:run_phase:<phase>",
            ),
        },
        "saml": {"aud": _ONE},
        "cognito-identity.amazonaws.com": {
            "aud": _ONE,
            "amr": (named("authenticated"), "authenticated"),
        },
        "graph.facebook.com": {"app_id": _ONE},
        "www.amazon.com": {"app_id": _ONE},
    }
)
_OF_OTHERS: Claims = MappingProxyType({"aud": _ONE, "sub": _ONE})


def _in_trust_policy(judge: Judge, *, unreadable: bool = False) -> ResourceCheck:
    return in_policy(judge, "assumeRolePolicy", unreadable=unreadable)


def _everybody(statement: Statement) -> Iterator[Outcome]:
    yield from statement.unless_narrowed(
        OF_EVERYBODY,
        (Problem(at=each, reason="expected named services or principals") for each in statement.everybody),
    )


def _deputies(statement: Statement) -> Iterator[Outcome]:
    yield from statement.unless_narrowed(
        OF_SERVICES,
        (
            Problem(at=each, reason="expected a condition on aws:SourceAccount or aws:SourceArn of one's own")
            for each in statement.principals_of("Service")
            if each.text().lower() in _DEPUTIES
        ),
    )


def _account(principal: str) -> str:
    parts = principal.split(":")
    if len(parts) > 5:
        return parts[4] if parts[5] == "root" else ""
    return principal if re.fullmatch(r"[0-9]{12}", principal) else ""


def _other_accounts(statement: Statement) -> Iterator[Outcome]:
    yield from statement.unless_narrowed(
        OF_AN_ACCOUNT,
        (
            Problem(
                at=each,
                reason="it is a whole account; expected one principal, sts:ExternalId or MFA",
            )
            for each in statement.principals_of("AWS")
            if (account := _account(each.text())) and account not in statement.owned.accounts
        ),
    )


def _issuer(provider: str) -> str:
    """The issuer of a federated principal's claims, `saml` for those of SAML."""
    found = _PROVIDER.fullmatch(provider)
    if found is None:
        return provider.lower()
    return (found["saml"] or found["issuer"]).lower()


def _is_of(issuer: str, family: str) -> bool:
    return issuer == family or issuer.startswith(f"{family}/" if family != _EKS else family)


def _federated(*families: str) -> Judge:
    """Finds claims of the issuers of some families that are not bound; of all others where none is given."""

    def judge(statement: Statement) -> Iterator[Outcome]:
        for principal in statement.principals_of("Federated"):
            issuer = _issuer(principal.text())
            if any(_is_of(issuer, each) for each in families or (_GITHUB, _EKS)) != bool(families):
                continue
            known = next((each for each in _OF_ISSUERS if _is_of(issuer, each)), "")
            for claim, (kind, wanted) in _OF_ISSUERS.get(known, _OF_OTHERS).items():
                key = f"{issuer}:{claim}"
                problem = Problem(at=statement.condition, reason=f"expected {key} to be {wanted}")
                yield from statement.unless_narrowed({key: kind}, [problem])

    return judge


def _rule(
    number: str, title: str, severity: Severity, check: ResourceCheck, *, why: str, fix: str, link: str
) -> Rule:
    return Rule(
        id=f"PGTLS-{number}",
        title=title,
        area=Area.IDENTITY,
        severity=severity,
        types=(IAM_ROLE,),
        checks=(check,),
        why=why,
        fix=fix,
        link=link,
    )


_TRUST = "Whoever can assume the role obtains all of its permissions."

RULES = (
    _rule(
        "P155",
        "Trust policies name who may assume the role",
        Severity.HIGH,
        _in_trust_policy(_everybody, unreadable=True),
        why=_TRUST,
        fix="name a service or principals",
        link=f"{_GUIDE}/id_roles.html",
    ),
    _rule(
        "P156",
        "Services assume roles for the own account only",
        Severity.MEDIUM,
        _in_trust_policy(_deputies),
        why="Another customer of the service could make it use this role.",
        fix="add a condition on aws:SourceAccount or aws:SourceArn",
        link=_CONFUSED,
    ),
    _rule(
        "P157",
        "Other accounts need an external id or MFA to assume a role",
        Severity.HIGH,
        _in_trust_policy(_other_accounts),
        why=_TRUST,
        fix="name one principal, or add a condition on sts:ExternalId or aws:MultiFactorAuthPresent",
        link=_CONFUSED,
    ),
    _rule(
        "P158",
        "GitHub workflows assume roles from one place of one repository only",
        Severity.HIGH,
        _in_trust_policy(_federated(_GITHUB)),
        why="Otherwise every GitHub repository, or every branch of one, could deploy.",
        fix=f"bind {_GITHUB}:aud to sts.amazonaws.com and :sub to repo:<owner>/<name>:environment:<name>",
        link="https://docs.github.com/en/actions/concepts/security/openid-connect",
    ),
    _rule(
        "N93",
        "Service accounts of EKS assume roles by their whole name only",
        Severity.HIGH,
        _in_trust_policy(_federated(_EKS)),
        why="Otherwise every pod of the cluster, or of a namespace, could log in.",
        fix="bind <issuer>:aud to sts.amazonaws.com and :sub to system:serviceaccount:<namespace>:<name>",
        link="https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html",
    ),
    _rule(
        "N112",
        "Identities of other providers assume roles by whole names only",
        Severity.HIGH,
        _in_trust_policy(_federated()),
        why="Otherwise every project or customer of the provider, or every branch of one, could log in.",
        fix="bind <issuer>:aud and <issuer>:sub (SAML:aud for SAML) to literal values by StringEquals",
        link=f"{_GUIDE}/id_roles_create_for-idp_oidc.html",
    ),
)
