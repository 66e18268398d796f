"""What roles may do, and who may take them on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase

from policy.connect_grants import HOLDERS, ROLE, documents
from policy.policy_document import Statement, allowing
from policy.registered import Resource
from policy.requirement import throughout
from policy.rule import Area, Outcome, Problem, ResourceCheck, Rule, Severity
from policy.values import Value

ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
_GUIDE = "https://docs.aws.amazon.com/IAM/latest/UserGuide"
_LEAST = f"{_GUIDE}/best-practices.html"
_CONFUSED = f"{_GUIDE}/confused-deputy.html"
_ADMINISTRATORS = ("AdministratorAccess", "IAMFullAccess", "PowerUserAccess")
# Actions for which IAM knows no resource; these are allowed on `*` or not at all.
_WITHOUT_RESOURCES = (
    "autoscaling:describe*",
    "cloudwatch:getmetric*",
    "cloudwatch:listmetrics",
    "cloudwatch:putmetricdata",
    "ec2:createnetworkinterface",
    "ec2:describe*",
    "ec2:deletenetworkinterface",
    "ec2:assignprivateipaddresses",
    "ec2:unassignprivateipaddresses",
    "ecr:getauthorizationtoken",
    "elasticloadbalancing:describe*",
    "kms:listaliases",
    "kms:listkeys",
    "logs:describeloggroups",
    "logs:listlogdeliveries",
    "rds:describe*",
    "s3:listallmybuckets",
    "secretsmanager:getrandompassword",
    "secretsmanager:listsecrets",
    "ssm:describeparameters",
    "sts:getcalleridentity",
    "xray:put*",
)
_ESCALATIONS: tuple[frozenset[str], ...] = tuple(
    frozenset(each.split())
    for each in (
        "iam:createpolicyversion",
        "iam:setdefaultpolicyversion",
        "iam:attachuserpolicy",
        "iam:attachgrouppolicy",
        "iam:attachrolepolicy",
        "iam:putuserpolicy",
        "iam:putgrouppolicy",
        "iam:putrolepolicy",
        "iam:addusertogroup",
        "iam:createaccesskey",
        "iam:createloginprofile",
        "iam:updateloginprofile",
        "iam:updateassumerolepolicy",
        "iam:passrole ec2:runinstances",
        "iam:passrole lambda:createfunction lambda:invokefunction",
        "iam:passrole lambda:createfunction lambda:createeventsourcemapping",
        "iam:passrole cloudformation:createstack",
        "iam:passrole glue:createdevendpoint",
        "lambda:updatefunctioncode",
    )
)
# Services that act on behalf of whoever names the role to them, from whatever account.
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
_SOURCES = ("aws:sourceaccount", "aws:sourcearn", "aws:sourceorgid", "aws:sourceorgpaths")
_PROOFS = ("sts:externalid", "aws:multifactorauthpresent", "aws:principalorgid")
_GITHUB = "token.actions.githubusercontent.com"
_SAFE_SUBJECT = re.compile(r"repo:[^*?:/]+/[^*?:]+:(?:environment:[^*?]+|ref:refs/(?:heads|tags)/[^*?]+)")

Judge = Callable[[Statement], Iterator[Outcome]]


def _in_documents(judge: Judge) -> ResourceCheck:
    return lambda resource: throughout(documents(resource), lambda document: allowing(document, judge))


def _in_trust(judge: Judge, *, unreadable: bool = False) -> ResourceCheck:
    def check(role: Resource) -> Iterator[Outcome]:
        if role["assumeRolePolicy"].given:
            yield from allowing(role["assumeRolePolicy"], judge, unreadable=unreadable)

    return check


def _texts(values: list[Value]) -> list[str]:
    return [each.text().lower() for each in values]


def _anywhere(statement: Statement) -> bool:
    return "*" in _texts(statement.resources)


def _everything(statement: Statement) -> Iterator[Outcome]:
    for action in statement.actions:
        if action.text() in ("*", "*:*") and _anywhere(statement):
            yield Problem(at=action, reason="it allows everything, everywhere")


def _whole_service(statement: Statement) -> Iterator[Outcome]:
    for action in statement.actions:
        everything = action.text() in ("*", "*:*")
        if everything and not _anywhere(statement):
            yield Problem(at=action, reason="expected the actions that are needed")
        elif re.fullmatch(r"(?!s3:|rds-db:)[a-z0-9-]+:\*", action.text().lower()):
            yield Problem(at=action, reason="expected the actions that are needed of this service")


def _whole_storage(statement: Statement) -> Iterator[Outcome]:
    for action in statement.actions:
        if action.text().lower() == "s3:*":
            yield Problem(at=action, reason="expected the actions that are needed of S3")


def _has_no_resource(action: str) -> bool:
    return any(fnmatchcase(action, pattern) for pattern in _WITHOUT_RESOURCES)


def _is_named_elsewhere(action: str) -> bool:
    """Whether another rule is about the action on every resource."""
    return action in ("*", "*:*", "iam:passrole", "kms:decrypt", "rds-db:connect") or action.endswith(":*")


def _every_resource(statement: Statement) -> Iterator[Outcome]:
    if not _anywhere(statement) or statement.condition.given:
        return
    for action in statement.actions:
        name = action.text().lower()
        if not _has_no_resource(name) and not _is_named_elsewhere(name):
            yield Problem(at=action, reason="it is allowed on Resource *; expected the resources")


def _escalates(resource: Resource) -> Iterator[Outcome]:
    for document in documents(resource):
        granted: dict[str, Value] = {}

        def collect(statement: Statement, granted: dict[str, Value] = granted) -> Iterator[Outcome]:
            if _anywhere(statement):
                for action in statement.actions:
                    if action.text() not in ("*", "*:*"):
                        granted[action.text().lower()] = action
            yield from ()

        yield from allowing(document, collect)
        for needed in _ESCALATIONS:
            matching = {
                action: value
                for wanted in needed
                for action, value in granted.items()
                if fnmatchcase(wanted, action)
            }
            if all(any(fnmatchcase(wanted, action) for action in granted) for wanted in needed):
                first = next(iter(matching.values()))
                yield Problem(at=first, reason=f"{' and '.join(sorted(needed))} give any permission")
                break


def _passes_any_role(statement: Statement) -> Iterator[Outcome]:
    if "iam:passrole" in _texts(statement.actions):
        for resource in statement.resources:
            if resource.text() == "*" or resource.text().endswith(":role/*"):
                yield Problem(at=resource, reason="expected the roles that may be passed on")


def _all_but(statement: Statement) -> Iterator[Outcome]:
    for excluded in statement.excluded:
        yield Problem(at=excluded, reason="expected what is allowed, not what is not")


def _decrypts_everything(statement: Statement) -> Iterator[Outcome]:
    if {"kms:decrypt", "kms:reencryptfrom"} & set(_texts(statement.actions)):
        for resource in statement.resources:
            if resource.text() == "*" or resource.text().endswith((":key/*", ":alias/*")):
                narrowed = any(key == "kms:viaservice" for _, key, _ in statement.conditions())
                if not narrowed:
                    yield Problem(at=resource, reason="expected the keys, or a kms:ViaService")


def _everybody(statement: Statement) -> Iterator[Outcome]:
    for principal in statement.principals:
        if principal.text() == "*":
            yield Problem(at=principal, reason="expected services or principals by name")


def _deputies(statement: Statement) -> Iterator[Outcome]:
    keys = {key for _, key, _ in statement.conditions()}
    for service in statement.principals_of("Service"):
        if service.text().lower() in _DEPUTIES and not keys & set(_SOURCES):
            yield Problem(at=service, reason="expected a condition on aws:SourceAccount")


def _account(principal: str) -> str:
    parts = principal.split(":")
    if len(parts) > 5:
        return parts[4] if parts[5] == "root" else ""
    return principal if re.fullmatch(r"[0-9]{12}", principal) else ""


def _other_accounts(statement: Statement) -> Iterator[Outcome]:
    keys = {key for _, key, _ in statement.conditions()}
    for principal in statement.principals_of("AWS"):
        if _account(principal.text()) and not keys & set(_PROOFS):
            yield Problem(
                at=principal,
                reason="a whole account; expected one principal, sts:ExternalId or MFA",
            )


def _workflows(statement: Statement) -> Iterator[Outcome]:
    federated = [each for each in statement.principals_of("Federated") if _GITHUB in each.text().lower()]
    if not federated:
        return
    conditions = list(statement.conditions())
    audiences = [each.text() for _, key, values in conditions if key == f"{_GITHUB}:aud" for each in values]
    subjects = [
        (operator, each) for operator, key, values in conditions if key == f"{_GITHUB}:sub" for each in values
    ]
    if audiences != ["sts.amazonaws.com"]:
        yield Problem(at=statement.condition, reason=f"expected {_GITHUB}:aud to be sts.amazonaws.com")
    if not subjects:
        yield Problem(at=statement.condition, reason=f"expected {_GITHUB}:sub to name the repository")
    for _, subject in subjects:
        if _SAFE_SUBJECT.fullmatch(subject.text()) is None:
            yield Problem(at=subject, reason="expected repo:<owner>/<name>:environment:<name> or :ref:<ref>")


def _attached(resource: Resource) -> list[Value]:
    if resource.type == ATTACHMENT:
        return [resource["policyArn"]]
    return resource["managedPolicyArns"].items()


def _administrator(resource: Resource) -> Iterator[Outcome]:
    def judge(value: Value) -> Iterator[Outcome]:
        if value.text().rpartition("/")[2] in _ADMINISTRATORS and ":aws:policy/" in value.text():
            yield Problem(at=value, reason="it allows everything that its name says")

    yield from throughout(_attached(resource), judge)


def _of_aws(resource: Resource) -> Iterator[Outcome]:
    def judge(value: Value) -> Iterator[Outcome]:
        name = value.text().rpartition("/")[2]
        if ":aws:policy/" in value.text() and name not in _ADMINISTRATORS:
            yield Problem(at=value, reason="AWS changes that policy; expected one of one's own")

    yield from throughout(_attached(resource), judge)


def _rule(
    number: str,
    title: str,
    severity: Severity,
    check: ResourceCheck,
    *,
    why: str,
    fix: str,
    types: tuple[str, ...] = HOLDERS,
    link: str = _LEAST,
    references: tuple[str, ...] = (),
) -> Rule:
    return Rule(
        id=f"PGTLS-{number}",
        title=title,
        area=Area.IDENTITY,
        severity=severity,
        types=types,
        checks=(check,),
        why=why,
        fix=fix,
        link=link,
        references=references,
    )


_UNLIMITED = "Whoever gets hold of the role gets all of that."
_TRUST = "Whoever may take the role on has all that it may do."

RULES = (
    _rule(
        "P146",
        "Nobody is allowed everything",
        Severity.CRITICAL,
        _in_documents(_everything),
        why=_UNLIMITED,
        fix="name actions and resources",
        references=("SH:IAM.1", "CIS5:1.15"),
    ),
    _rule(
        "P147",
        "Nobody is allowed every action of a service",
        Severity.HIGH,
        _in_documents(_whole_service),
        why=_UNLIMITED,
        fix="name the actions",
        references=("SH:IAM.21",),
    ),
    _rule(
        "P148",
        "Actions are allowed on named resources",
        Severity.MEDIUM,
        _in_documents(_every_resource),
        why=_UNLIMITED,
        fix="name the resources; only actions that know none are allowed on *",
    ),
    _rule(
        "P149",
        "No permissions give all others",
        Severity.HIGH,
        _escalates,
        why="With them, a role gives itself what it was not given.",
        fix="name the resources of these actions, or take one of them away",
        link=f"{_GUIDE}/access_policies_boundaries.html",
    ),
    _rule(
        "P151",
        "Only named roles are passed on",
        Severity.MEDIUM,
        _in_documents(_passes_any_role),
        why="A role that passes any role on can use any role.",
        fix="name the roles as the Resource of iam:PassRole",
        link=f"{_GUIDE}/id_roles_use_passrole.html",
    ),
    _rule(
        "P152",
        "A statement says what it allows, not what it does not",
        Severity.MEDIUM,
        _in_documents(_all_but),
        why="It allows every action and resource that AWS adds.",
        fix="replace NotAction, NotResource and NotPrincipal by what is meant",
        link=f"{_GUIDE}/reference_policies_elements_notaction.html",
    ),
    _rule(
        "P153",
        "Not every key decrypts",
        Severity.MEDIUM,
        _in_documents(_decrypts_everything),
        why="Every secret of the account would be readable.",
        fix="name the keys as the Resource of kms:Decrypt, or bind it to a service by kms:ViaService",
        link="https://docs.aws.amazon.com/kms/latest/developerguide/iam-policies-best-practices.html",
        references=("SH:KMS.1", "SH:KMS.2"),
    ),
    _rule(
        "P154",
        "Nobody is allowed every action of S3",
        Severity.HIGH,
        _in_documents(_whole_storage),
        why="Deployed states, certificates' lists and logs are in S3.",
        fix="name actions, buckets and paths",
    ),
    _rule(
        "P155",
        "A role names who may take it on",
        Severity.HIGH,
        _in_trust(_everybody, unreadable=True),
        types=(ROLE,),
        why=_TRUST,
        fix="name a service or principals",
        link=f"{_GUIDE}/id_roles.html",
    ),
    _rule(
        "P156",
        "A service takes a role on for one's own account only",
        Severity.MEDIUM,
        _in_trust(_deputies),
        types=(ROLE,),
        why="Another customer of that service could name the role.",
        fix="add a condition on aws:SourceAccount or aws:SourceArn",
        link=_CONFUSED,
    ),
    _rule(
        "P157",
        "A whole account takes a role on with an external id or MFA only",
        Severity.HIGH,
        _in_trust(_other_accounts),
        types=(ROLE,),
        why=_TRUST,
        fix="name one principal, or add a condition on sts:ExternalId or aws:MultiFactorAuthPresent",
        link=_CONFUSED,
    ),
    _rule(
        "P158",
        "A workflow of GitHub takes a role on from one place of one repository only",
        Severity.HIGH,
        _in_trust(_workflows),
        types=(ROLE,),
        why="Every repository of GitHub, or every branch of one, could deploy.",
        fix=f"bind {_GITHUB}:aud to sts.amazonaws.com and :sub to repo:<owner>/<name>:environment:<name>",
        link="https://docs.github.com/en/actions/concepts/security/openid-connect",
    ),
    _rule(
        "P159",
        "No role is an administrator",
        Severity.CRITICAL,
        _administrator,
        types=(ROLE, ATTACHMENT),
        why=_UNLIMITED,
        fix="attach a policy that allows what is needed",
    ),
    _rule(
        "P160",
        "Roles have policies of their own",
        Severity.LOW,
        _of_aws,
        types=(ROLE, ATTACHMENT),
        why="AWS's policies are wide, and AWS widens them.",
        fix="write a policy that allows what is needed",
    ),
)
