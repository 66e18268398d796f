"""IAM policy documents: reading them, and deciding one call by them.

The order of decision within one account: an explicit deny anywhere wins; else an allow in an identity-based
policy or an allow in the resource-based policy that names the principal itself; else the call is denied.
Source: IAM User Guide, "Policy evaluation logic" and "IAM JSON policy elements reference".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from emulator.iam.conditions import OPERATORS, Context, condition_holds, matches, substitute

_STATEMENT_ELEMENTS = frozenset(
    {
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    }
)
_ACCOUNT = re.compile(r"^(?:arn:aws:iam::(\d{12}):root|(\d{12}))$")


class MalformedPolicyDocument(ValueError):
    """A document that IAM, or this stand-in, cannot evaluate; the message says why."""


class Decision(Enum):
    """Outcome of one evaluation, with the wording AWS uses for it in its message."""

    ALLOWED = "allowed"
    NO_IDENTITY_ALLOW = "because no identity-based policy allows the {action} action"
    NO_RESOURCE_ALLOW = "because no resource-based policy allows the {action} action"
    IDENTITY_DENY = "with an explicit deny in an identity-based policy"
    RESOURCE_DENY = "with an explicit deny in a resource-based policy"


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who calls.

    Attributes:
        arn: What messages call it: the user's ARN, or the session's for a role.
        principal_arn: What policies match: the user's or the role's ARN.
        account: Twelve digits.
    """

    arn: str
    principal_arn: str
    account: str

    @property
    def names(self) -> frozenset[str]:
        """ARNs under which a Principal element may name this caller."""
        return frozenset({self.arn, self.principal_arn})


@dataclass(frozen=True, kw_only=True)
class Request:
    """One action on one resource, with the context keys that conditions may read."""

    caller: Caller
    action: str
    resource: str
    context: Context = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement, its elements as tuples; None where the element is absent."""

    effect: str
    actions: tuple[str, ...] | None
    not_actions: tuple[str, ...] | None
    resources: tuple[str, ...] | None
    not_resources: tuple[str, ...] | None
    principals: tuple[str, ...] | None
    not_principals: tuple[str, ...] | None
    conditions: Mapping[str, Mapping[str, tuple[str, ...]]]

    def covers(self, request: Request) -> bool:
        """Whether action, resource and conditions match; principals are not looked at."""
        return (
            self._covers_action(request.action)
            and self._covers_resource(request)
            and all(
                condition_holds(operator, key, values, request.context)
                for operator, keys in self.conditions.items()
                for key, values in keys.items()
            )
        )

    def _covers_action(self, action: str) -> bool:
        if self.actions is not None:
            return any(matches(pattern.lower(), action.lower()) for pattern in self.actions)
        return not any(matches(pattern.lower(), action.lower()) for pattern in self.not_actions or ())

    def _covers_resource(self, request: Request) -> bool:
        if self.resources is not None:
            return _any_resource(self.resources, request)
        if self.not_resources is not None:
            return not _any_resource(self.not_resources, request)
        return True

    def names_directly(self, caller: Caller) -> bool:
        """Whether the Principal element names the caller itself, or everybody."""
        if self.principals is not None:
            return bool({"*", *caller.names} & set(self.principals))
        return self.not_principals is not None and not self._excepts(caller)

    def concerns(self, caller: Caller) -> bool:
        """Whether the statement is about the caller: directly, or through its whole account."""
        if self.principals is not None and any(_account(item) == caller.account for item in self.principals):
            return True
        return self.names_directly(caller)

    def _excepts(self, caller: Caller) -> bool:
        return any(item in caller.names or item == "*" for item in self.not_principals or ())


def _any_resource(patterns: Iterable[str], request: Request) -> bool:
    for pattern in patterns:
        wanted = substitute(pattern, request.context)
        if wanted is not None and matches(wanted, request.resource):
            return True
    return False


def _account(principal: str) -> str | None:
    found = _ACCOUNT.match(principal)
    return (found[1] or found[2]) if found else None


def parse_policy(document: str | bytes | Mapping[str, Any]) -> tuple[Statement, ...]:
    """The statements of a document.

    Raises:
        MalformedPolicyDocument: It is no policy, or uses a condition operator that is not known.
    """
    try:
        policy = document if isinstance(document, Mapping) else json.loads(document)
    except ValueError as error:
        raise MalformedPolicyDocument(f"the policy is not valid JSON: {error}") from error
    if not isinstance(policy, Mapping) or "Statement" not in policy:
        raise MalformedPolicyDocument("the policy has no Statement element")
    statements = policy["Statement"]
    return tuple(
        _statement(item) for item in ([statements] if isinstance(statements, Mapping) else statements)
    )


def _statement(raw: Any) -> Statement:
    if not isinstance(raw, Mapping):
        raise MalformedPolicyDocument("a Statement is not an object")
    if unknown := set(raw) - _STATEMENT_ELEMENTS:
        raise MalformedPolicyDocument(f"unknown element {min(unknown)} in a Statement")
    if raw.get("Effect") not in ("Allow", "Deny"):
        raise MalformedPolicyDocument(f"Effect is {raw.get('Effect')!r}; allowed are Allow and Deny")
    if ("Action" in raw) == ("NotAction" in raw):
        raise MalformedPolicyDocument("a Statement needs exactly one of Action and NotAction")
    if "Resource" in raw and "NotResource" in raw:
        raise MalformedPolicyDocument("a Statement has both Resource and NotResource")
    conditions = {
        operator: {key: _texts(values) or () for key, values in keys.items()}
        for operator, keys in (raw.get("Condition") or {}).items()
    }
    for operator in conditions:
        if operator.removesuffix("IfExists").rsplit(":", 1)[-1] not in OPERATORS:
            raise MalformedPolicyDocument(
                f"condition operator {operator} has no stand-in; known are {', '.join(sorted(OPERATORS))}"
            )
    return Statement(
        effect=raw["Effect"],
        actions=_texts(raw.get("Action")),
        not_actions=_texts(raw.get("NotAction")),
        resources=_texts(raw.get("Resource")),
        not_resources=_texts(raw.get("NotResource")),
        principals=_principals(raw.get("Principal")),
        not_principals=_principals(raw.get("NotPrincipal")),
        conditions=conditions,
    )


def _texts(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    items = value if isinstance(value, list | tuple) else [value]
    return tuple(str(item).lower() if isinstance(item, bool) else str(item) for item in items)


def _principals(value: Any) -> tuple[str, ...] | None:
    if value is None or value == "*":
        return None if value is None else ("*",)
    if not isinstance(value, Mapping):
        raise MalformedPolicyDocument("Principal is neither * nor an object")
    return tuple(item for names in value.values() for item in _texts(names) or ())


def decide(
    request: Request,
    identity_policies: Sequence[Sequence[Statement]],
    resource_policy: Sequence[Statement] = (),
    *,
    needs_resource_policy: bool = False,
) -> Decision:
    """Decides one call.

    Args:
        request: The call.
        identity_policies: Statements of each policy of the caller.
        resource_policy: Statements of the resource's own policy, such as a bucket policy.
        needs_resource_policy: True where an identity-based allow is not enough: a role's trust policy must
            name the caller or its account.
    """
    identity = [item for policy in identity_policies for item in policy if item.covers(request)]
    resource = [item for item in resource_policy if item.covers(request)]
    if any(item.effect == "Deny" for item in identity):
        return Decision.IDENTITY_DENY
    if any(item.effect == "Deny" and item.concerns(request.caller) for item in resource):
        return Decision.RESOURCE_DENY
    allowing = [item for item in resource if item.effect == "Allow"]
    if any(item.names_directly(request.caller) for item in allowing):
        return Decision.ALLOWED
    if needs_resource_policy and not any(item.concerns(request.caller) for item in allowing):
        return Decision.NO_RESOURCE_ALLOW
    if any(item.effect == "Allow" for item in identity):
        return Decision.ALLOWED
    return Decision.NO_IDENTITY_ALLOW
