"""IAM: what roles, users and permission sets are allowed to do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType

from policy.context_keys import OF_KEYS, OF_RESOURCES, Kind
from policy.resources import Resource
from policy.rule import Area, Outcome, Problem, ResourceCheck, Rule, Severity, Unclear
from policy.rules.iam_actions import DATABASES, has_no_resource
from policy.rules.rds.connect_grants import HOLDERS, documents
from policy.text.policy_document import Judge, Statement, allowing
from policy.type_tokens import IAM_ROLE
from policy.values import Value, throughout

ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
_ATTACHED: Mapping[str, str] = MappingProxyType(
    {
        IAM_ROLE: "managedPolicyArns",
        ATTACHMENT: "policyArn",
        "aws:iam/groupPolicyAttachment:GroupPolicyAttachment": "policyArn",
        "aws:iam/groupPolicyAttachmentsExclusive:GroupPolicyAttachmentsExclusive": "policyArns",
        "aws:iam/policyAttachment:PolicyAttachment": "policyArn",
        "aws:iam/rolePolicyAttachmentsExclusive:RolePolicyAttachmentsExclusive": "policyArns",
        "aws:iam/userPolicyAttachment:UserPolicyAttachment": "policyArn",
        "aws:iam/userPolicyAttachmentsExclusive:UserPolicyAttachmentsExclusive": "policyArns",
        "aws:ssoadmin/managedPolicyAttachment:ManagedPolicyAttachment": "managedPolicyArn",
    }
)
ACCESS_KEY = "aws:iam/accessKey:AccessKey"
_GUIDE = "https://docs.aws.amazon.com/IAM/latest/UserGuide"
_LEAST = f"{_GUIDE}/best-practices.html"
_ADMINISTRATORS = ("AdministratorAccess", "IAMFullAccess", "PowerUserAccess")
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
_READS_SECRETS = (
    "secretsmanager:getsecretvalue",
    "ssm:getparameter",
    "ssm:getparameters",
    "ssm:getparametersbypath",
)


def _in_documents(judge: Judge) -> ResourceCheck:
    return lambda resource: throughout(
        documents(resource), lambda document: allowing(document, judge, resource.owned)
    )


def _texts(values: list[Value]) -> list[str]:
    return [each.text().lower() for each in values]


def _anywhere(statement: Statement) -> bool:
    return "*" in _texts(statement.resources)


def _everything(statement: Statement) -> Iterator[Outcome]:
    if not _anywhere(statement) and not statement.of("NotResource"):
        return
    for action in statement.actions:
        if action.text() in ("*", "*:*"):
            yield Problem(at=action, reason="it allows every action on every resource")
    if _anywhere(statement):
        for excluded in statement.of("NotAction"):
            yield Problem(at=excluded, reason="it allows every other action on every resource")


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


def _is_named_elsewhere(action: str) -> bool:
    """Whether another rule reports the action on every resource."""
    named = ("*", "*:*", "iam:passrole", "kms:decrypt", "rds-db:connect", *DATABASES, *_READS_SECRETS)
    return action in named or action.endswith(":*")


def _every_resource(statement: Statement) -> Iterator[Outcome]:
    def problems() -> Iterator[Outcome]:
        for action in statement.actions:
            name = action.text().lower()
            if not has_no_resource(name) and not _is_named_elsewhere(name):
                yield Problem(at=action, reason="it is allowed on Resource *; expected named resources")

    if _anywhere(statement):
        yield from statement.unless_narrowed(OF_RESOURCES, problems())


def _escalates(resource: Resource) -> Iterator[Outcome]:
    for document in documents(resource):
        granted: dict[str, Value] = {}

        def collect(statement: Statement, granted: dict[str, Value] = granted) -> Iterator[Outcome]:
            found = {
                action.text().lower(): action
                for action in statement.actions
                if any(True for _ in statement.everything()) and action.text() not in ("*", "*:*")
            }
            problems = [Problem(at=each, reason="") for each in found.values()]
            narrowed = list(statement.unless_narrowed(OF_RESOURCES, problems))
            yield from (each for each in narrowed if isinstance(each, Unclear) and _could_escalate(found))
            if any(isinstance(each, Problem) for each in narrowed):
                granted.update(found)

        yield from allowing(document, collect, resource.owned)
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


def _could_escalate(actions: Iterable[str]) -> bool:
    return any(
        fnmatchcase(wanted, action) for needed in _ESCALATIONS for wanted in needed for action in actions
    )


def _allows_everywhere(
    actions: Iterable[str], reason: str, counted: Mapping[str, Kind] = MappingProxyType({})
) -> Judge:
    """Finds statements that allow one of the actions on all resources of a kind, with no condition on them.

    Every action of a service is reported by the rules on that.
    """
    wanted = tuple(actions)

    def judge(statement: Statement) -> Iterator[Outcome]:
        named = [
            action
            for each in wanted
            for action in statement.grants(each)
            if not action.path.endswith(".NotAction") and not re.fullmatch(r"[*:]+|.*:\*", action.text())
        ]
        if named:
            problems = (Problem(at=each, reason=reason) for each in statement.everything())
            yield from statement.unless_narrowed(counted, problems)

    return judge


def _all_but(statement: Statement) -> Iterator[Outcome]:
    for excluded in statement.excluded:
        yield Problem(at=excluded, reason="expected a list of what is allowed")


def _attached(resource: Resource) -> list[Value]:
    value = resource[_ATTACHED[resource.type]]
    return value.items() if value.is_known else [value]


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


def _long_lived(key: Resource) -> Iterator[Outcome]:
    if key["status"].text() != "Inactive":
        yield Problem(at=key["user"], reason="it has a key that never expires; expected a role")


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
        _in_documents(_allows_everywhere(("iam:passrole",), "expected the ARNs of the roles")),
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
        _in_documents(
            _allows_everywhere(
                ("kms:decrypt", "kms:reencryptfrom"),
                "expected named keys, or a condition on kms:ViaService",
                OF_KEYS,
            )
        ),
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
        "N111",
        "Statements that allow to read secrets name the secrets",
        Severity.HIGH,
        _in_documents(
            _allows_everywhere(_READS_SECRETS, "expected the ARNs of the secrets or parameters", OF_RESOURCES)
        ),
        why="Otherwise the passwords and keys of every database can be read.",
        fix="name the secrets or parameters as the Resource",
        link="https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_iam-policies.html",
    ),
    _rule(
        "N113",
        "Statements that allow to log in to Aurora DSQL name the clusters",
        Severity.CRITICAL,
        _in_documents(_allows_everywhere(DATABASES, "expected the ARNs of the clusters", OF_RESOURCES)),
        why="Otherwise every cluster of the account is open, also those that are made later.",
        fix="name the clusters as the Resource of dsql:DbConnect",
        link="https://docs.aws.amazon.com/aurora-dsql/latest/userguide/authentication-authorization.html",
    ),
    _rule(
        "P159",
        "No administrator policy is attached",
        Severity.CRITICAL,
        _administrator,
        types=tuple(_ATTACHED),
        why=_UNLIMITED,
        fix="attach a policy that allows what is needed",
    ),
    _rule(
        "N114",
        "Users have no access keys",
        Severity.HIGH,
        _long_lived,
        types=(ACCESS_KEY,),
        why="The secret key never expires, and it is stored in the stack's state.",
        fix="let the user or the workload assume a role",
        link=f"{_GUIDE}/id_credentials_access-keys.html",
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
