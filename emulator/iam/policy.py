"""IAM policy documents: reading them, and deciding one call by them.

The order of decision within one account: an explicit deny anywhere wins; else an allow in an identity-based
policy or an allow in the resource-based policy that names the principal itself; else the call is denied.
Source: IAM User Guide, "Policy evaluation logic" and "IAM JSON policy elements reference".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
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


@dataclass(frozen=True, kw_only=True)
class Request:
    """One action on one resource, with the context keys that conditions may read."""

    caller: Caller
    action: str
    resource: str
    context: Context = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Element:
    """`Action` or `NotAction` and the like.

    Attributes:
        negated: Whether everything else is meant.
    """

    values: tuple[str, ...]
    negated: bool


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement; None where an element is absent."""

    effect: str
    action: Element | None
    resource: Element | None
    principal: Element | None
    conditions: Mapping[str, Mapping[str, tuple[str, ...]]]

    def covers(self, request: Request) -> bool:
        """Whether action, resource and conditions match; principals are not looked at."""
        return (
            _is_about(self.action, lambda pattern: matches(pattern.lower(), request.action.lower()))
            and _is_about(self.resource, lambda pattern: _is_resource(pattern, request))
            and all(
                condition_holds(operator, key, values, request.context)
                for operator, keys in self.conditions.items()
                for key, values in keys.items()
            )
        )

    def names_directly(self, caller: Caller) -> bool:
        """Whether the Principal element names the caller itself, or everybody."""
        if self.principal is None:
            return False
        named = {"*", caller.arn, caller.principal_arn} & set(self.principal.values)
        return bool(named) != self.principal.negated

    def concerns(self, caller: Caller) -> bool:
        """Whether the statement is about the caller: directly, or through its whole account."""
        named = () if self.principal is None or self.principal.negated else self.principal.values
        return any(_account(item) == caller.account for item in named) or self.names_directly(caller)


def _is_about(element: Element | None, matches_value: Callable[[str], bool]) -> bool:
    return element is None or any(map(matches_value, element.values)) != element.negated


def _is_resource(pattern: str, request: Request) -> bool:
    wanted = substitute(pattern, request.context)
    return wanted is not None and matches(wanted, request.resource)


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
    if (raw.get("Action") is None) == (raw.get("NotAction") is None):
        raise MalformedPolicyDocument("a Statement needs exactly one of Action and NotAction")
    if "Resource" in raw and "NotResource" in raw:
        raise MalformedPolicyDocument("a Statement has both Resource and NotResource")
    conditions = {
        operator: {key: _texts(values) for key, values in keys.items()}
        for operator, keys in (raw.get("Condition") or {}).items()
    }
    for operator in conditions:
        if operator.removesuffix("IfExists").rsplit(":", 1)[-1] not in OPERATORS:
            raise MalformedPolicyDocument(
                f"condition operator {operator} has no stand-in; known are {', '.join(sorted(OPERATORS))}"
            )
    return Statement(
        effect=raw["Effect"],
        action=_element(raw, "Action", _texts),
        resource=_element(raw, "Resource", _texts),
        principal=_element(raw, "Principal", _principals),
        conditions=conditions,
    )


def _element(raw: Mapping[str, Any], name: str, read: Callable[[Any], tuple[str, ...]]) -> Element | None:
    negated = raw.get(name) is None
    value = raw.get(f"Not{name}" if negated else name)
    return None if value is None else Element(values=read(value), negated=negated)


def _texts(value: Any) -> tuple[str, ...]:
    items = value if isinstance(value, list | tuple) else [value]
    return tuple(str(item).lower() if isinstance(item, bool) else str(item) for item in items)


def _principals(value: Any) -> tuple[str, ...]:
    if value == "*":
        return ("*",)
    if not isinstance(value, Mapping):
        raise MalformedPolicyDocument("Principal is neither * nor an object")
    return tuple(item for names in value.values() for item in _texts(names))


def decide(
    request: Request,
    identity_policies: Sequence[Sequence[Statement]],
    resource_policy: Sequence[Statement] = (),
    *,
    needs_resource_policy: bool = False,
) -> Decision:
    """Decides one call.

    Args:
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
