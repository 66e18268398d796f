"""IAM: what roles are allowed to do, and who may assume them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from policy.resources import Resource
from policy.rule import Area, Outcome, Problem, ResourceCheck, Rule, Severity
from policy.rules.rds.connect_grants import HOLDERS, documents
from policy.text.policy_document import Judge, Statement, allowing, in_policy
from policy.type_tokens import IAM_ROLE
from policy.values import Value, throughout

ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
_GUIDE = "https://docs.aws.amazon.com/IAM/latest/UserGuide"
_LEAST = f"{_GUIDE}/best-practices.html"
_CONFUSED = f"{_GUIDE}/confused-deputy.html"
_ADMINISTRATORS = ("AdministratorAccess", "IAMFullAccess", "PowerUserAccess")
# Actions without resource-level permissions: they are allowed on `*` or not at all.
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
_SOURCES = ("aws:sourceaccount", "aws:sourcearn", "aws:sourceorgid", "aws:sourceorgpaths")
_PROOFS = ("sts:externalid", "aws:multifactorauthpresent", "aws:principalorgid")
_GITHUB = "token.actions.githubusercontent.com"
_SAFE_SUBJECT = re.compile(r"repo:[^*?:/]+/[^*?:]+:(?:environment:[^*?]+|ref:refs/(?:heads|tags)/[^*?]+)")
_CLUSTER = re.compile(r":oidc-provider/(?P<issuer>oidc\.eks\..+)", re.IGNORECASE)
_SERVICE_ACCOUNT = re.compile(r"system:serviceaccount:[^*?:]+:[^*?:]+")


def _in_documents(judge: Judge) -> ResourceCheck:
    return lambda resource: throughout(documents(resource), lambda document: allowing(document, judge))


def _in_trust_policy(judge: Judge, *, unreadable: bool = False) -> ResourceCheck:
    return in_policy(judge, "assumeRolePolicy", unreadable=unreadable)


def _texts(values: list[Value]) -> list[str]:
    return [each.text().lower() for each in values]


def _anywhere(statement: Statement) -> bool:
    return "*" in _texts(statement.resources)


def _everything(statement: Statement) -> Iterator[Outcome]:
    for action in statement.actions:
        if action.text() in ("*", "*:*") and _anywhere(statement):
            yield Problem(at=action, reason="it allows every action on every resource")


def _whole_service(statement: Statement) -> Iterator[Outcome]:
    for action in statement.actions:
        everything = action.text() in ("*", "*:*")
        if everything and not _anywhere(statement):
            yield Problem(at=action, reason="expected a list of actions")
        elif re.fullmatch(r"(?!s3:|rds-db:)[a-z0-9-]+:\*", action.text().lower()):
            yield Problem(at=action, reason="expected a list of this service's actions")


def _whole_storage(statement: Statement) -> Iterator[Outcome]:
    for action in statement.actions:
        if action.text().lower() == "s3:*":
            yield Problem(at=action, reason="expected a list of S3 actions")


def _has_no_resource(action: str) -> bool:
    return any(fnmatchcase(action, pattern) for pattern in _WITHOUT_RESOURCES)


def _is_named_elsewhere(action: str) -> bool:
    """Whether another rule reports the action on every resource."""
    return action in ("*", "*:*", "iam:passrole", "kms:decrypt", "rds-db:connect") or action.endswith(":*")


def _every_resource(statement: Statement) -> Iterator[Outcome]:
    if not _anywhere(statement) or statement.condition.given:
        return
    for action in statement.actions:
        name = action.text().lower()
        if not _has_no_resource(name) and not _is_named_elsewhere(name):
            yield Problem(at=action, reason="it is allowed on Resource *; expected named resources")


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
                yield Problem(at=first, reason=f"{' and '.join(sorted(needed))} can obtain any permission")
                break


def _passes_any_role(statement: Statement) -> Iterator[Outcome]:
    if "iam:passrole" in _texts(statement.actions):
        for resource in statement.resources:
            if resource.text() == "*" or resource.text().endswith(":role/*"):
                yield Problem(at=resource, reason="expected the ARNs of the roles")


def _all_but(statement: Statement) -> Iterator[Outcome]:
    for excluded in statement.excluded:
        yield Problem(at=excluded, reason="expected a list of what is allowed")


def _decrypts_everything(statement: Statement) -> Iterator[Outcome]:
    if {"kms:decrypt", "kms:reencryptfrom"} & set(_texts(statement.actions)):
        for resource in statement.resources:
            if resource.text() == "*" or resource.text().endswith((":key/*", ":alias/*")):
                narrowed = any(key == "kms:viaservice" for _, key, _ in statement.conditions())
                if not narrowed:
                    yield Problem(at=resource, reason="expected named keys, or a condition on kms:ViaService")


def _everybody(statement: Statement) -> Iterator[Outcome]:
    for principal in statement.principals:
        if principal.text() == "*":
            yield Problem(at=principal, reason="expected named services or principals")


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
                reason="it is a whole account; expected one principal, sts:ExternalId or MFA",
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
            yield Problem(
                at=subject,
                reason="expected repo:<owner>/<name>:environment:<name> or …:ref:<ref>",
            )


def _service_accounts(statement: Statement) -> Iterator[Outcome]:
    for provider in statement.principals_of("Federated"):
        if (found := _CLUSTER.search(provider.text())) is None:
            continue
        issuer = found["issuer"].lower()
        # `ForAllValues:` and `…IfExists` also hold for a token without the claim.
        bound = {
            key.removeprefix(f"{issuer}:"): values
            for operator, key, values in statement.conditions()
            if operator in ("stringequals", "stringlike") and key.startswith(f"{issuer}:")
        }
        if [each.text() for each in bound.get("aud", [])] != ["sts.amazonaws.com"]:
            yield Problem(at=statement.condition, reason=f"expected {issuer}:aud to be sts.amazonaws.com")
        if not bound.get("sub"):
            yield Problem(at=statement.condition, reason=f"expected {issuer}:sub to name the service account")
        for subject in bound.get("sub", []):
            if _SERVICE_ACCOUNT.fullmatch(subject.text()) is None:
                yield Problem(at=subject, reason="expected system:serviceaccount:<namespace>:<name>")


def _attached(resource: Resource) -> list[Value]:
    if resource.type == ATTACHMENT:
        return [resource["policyArn"]]
    return resource["managedPolicyArns"].items()


def _administrator(resource: Resource) -> Iterator[Outcome]:
    def judge(value: Value) -> Iterator[Outcome]:
        if value.text().rpartition("/")[2] in _ADMINISTRATORS and ":aws:policy/" in value.text():
            yield Problem(at=value, reason="it grants administrative permissions")

    yield from throughout(_attached(resource), judge)


def _of_aws(resource: Resource) -> Iterator[Outcome]:
    def judge(value: Value) -> Iterator[Outcome]:
        name = value.text().rpartition("/")[2]
        if ":aws:policy/" in value.text() and name not in _ADMINISTRATORS:
            yield Problem(at=value, reason="it is managed by AWS; expected a customer managed policy")

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


_UNLIMITED = "Whoever obtains the role's credentials obtains all of these permissions."
_TRUST = "Whoever can assume the role obtains all of its permissions."

RULES = (
    _rule(
        "P146",
        "Policies do not allow every action on every resource",
        Severity.CRITICAL,
        _in_documents(_everything),
        why=_UNLIMITED,
        fix="list the actions and resources",
        references=("SH:IAM.1", "CIS5:1.15"),
    ),
    _rule(
        "P147",
        "Policies do not allow every action of a service",
        Severity.HIGH,
        _in_documents(_whole_service),
        why=_UNLIMITED,
        fix="list the actions",
        references=("SH:IAM.21",),
    ),
    _rule(
        "P148",
        "Actions are allowed on named resources",
        Severity.MEDIUM,
        _in_documents(_every_resource),
        why=_UNLIMITED,
        fix="list the resources; only actions that support no resources may use *",
    ),
    _rule(
        "P149",
        "Policies do not allow privilege escalation",
        Severity.HIGH,
        _escalates,
        why="With these permissions, a role can give itself any other.",
        fix="restrict these actions to named resources, or remove one of them",
        link=f"{_GUIDE}/access_policies_boundaries.html",
    ),
    _rule(
        "P151",
        "iam:PassRole names the roles",
        Severity.MEDIUM,
        _in_documents(_passes_any_role),
        why="Whoever can pass any role can use its permissions.",
        fix="name the roles as the Resource of iam:PassRole",
        link=f"{_GUIDE}/id_roles_use_passrole.html",
    ),
    _rule(
        "P152",
        "Statements list what they allow, not what they exclude",
        Severity.MEDIUM,
        _in_documents(_all_but),
        why="The statement also allows every action and resource that AWS adds later.",
        fix="replace NotAction, NotResource and NotPrincipal by explicit lists",
        link=f"{_GUIDE}/reference_policies_elements_notaction.html",
    ),
    _rule(
        "P153",
        "kms:Decrypt names the keys",
        Severity.MEDIUM,
        _in_documents(_decrypts_everything),
        why="Otherwise every secret of the account can be decrypted.",
        fix="name the keys as the Resource of kms:Decrypt, or restrict it to a service with kms:ViaService",
        link="https://docs.aws.amazon.com/kms/latest/developerguide/iam-policies-best-practices.html",
        references=("SH:KMS.1", "SH:KMS.2"),
    ),
    _rule(
        "P154",
        "Policies do not allow every S3 action",
        Severity.HIGH,
        _in_documents(_whole_storage),
        why="S3 holds deployment state, certificate revocation lists and logs.",
        fix="list the actions, buckets and paths",
    ),
    _rule(
        "P155",
        "Trust policies name who may assume the role",
        Severity.HIGH,
        _in_trust_policy(_everybody, unreadable=True),
        types=(IAM_ROLE,),
        why=_TRUST,
        fix="name a service or principals",
        link=f"{_GUIDE}/id_roles.html",
    ),
    _rule(
        "P156",
        "Services assume roles for the own account only",
        Severity.MEDIUM,
        _in_trust_policy(_deputies),
        types=(IAM_ROLE,),
        why="Another customer of the service could make it use this role.",
        fix="add a condition on aws:SourceAccount or aws:SourceArn",
        link=_CONFUSED,
    ),
    _rule(
        "P157",
        "Other accounts need an external id or MFA to assume a role",
        Severity.HIGH,
        _in_trust_policy(_other_accounts),
        types=(IAM_ROLE,),
        why=_TRUST,
        fix="name one principal, or add a condition on sts:ExternalId or aws:MultiFactorAuthPresent",
        link=_CONFUSED,
    ),
    _rule(
        "P158",
        "GitHub workflows assume roles from one place of one repository only",
        Severity.HIGH,
        _in_trust_policy(_workflows),
        types=(IAM_ROLE,),
        why="Otherwise every GitHub repository, or every branch of one, could deploy.",
        fix=f"bind {_GITHUB}:aud to sts.amazonaws.com and :sub to repo:<owner>/<name>:environment:<name>",
        link="https://docs.github.com/en/actions/concepts/security/openid-connect",
    ),
    _rule(
        "N93",
        "Service accounts of EKS assume roles by their whole name only",
        Severity.HIGH,
        _in_trust_policy(_service_accounts),
        types=(IAM_ROLE,),
        why="Otherwise every pod of the cluster, or of a namespace, could log in.",
        fix="bind <issuer>:aud to sts.amazonaws.com and :sub to system:serviceaccount:<namespace>:<name>",
        link="https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html",
    ),
    _rule(
        "P159",
        "No administrator policy is attached to a role",
        Severity.CRITICAL,
        _administrator,
        types=(IAM_ROLE, ATTACHMENT),
        why=_UNLIMITED,
        fix="attach a policy that allows what is needed",
    ),
    _rule(
        "P160",
        "Roles use customer managed policies",
        Severity.LOW,
        _of_aws,
        types=(IAM_ROLE, ATTACHMENT),
        why="AWS managed policies are broad, and AWS extends them.",
        fix="write a policy that allows what is needed",
    ),
)
