"""Condition operators and policy variables of IAM policies.

Source: IAM User Guide, "IAM JSON policy elements: Condition operators" and "Variables and tags".
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

Context = Mapping[str, str | Sequence[str]]

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
# ${*} and ${?} mean the characters themselves; these stand for them until a pattern is matched.
_LITERALS = {"*": "\ue000", "?": "\ue001", "$": "$"}
_WILDCARDS = {"*": ".*", "?": ".", "\ue000": r"\*", "\ue001": r"\?"}


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile("".join(_WILDCARDS.get(part) or re.escape(part) for part in pattern), re.DOTALL)


def matches(pattern: str, value: str) -> bool:
    """Whether a text with `*` and `?` matches all of `value`, case-sensitively."""
    return _compiled(pattern).fullmatch(value) is not None


def _arn_like(pattern: str, value: str) -> bool:
    wanted, given = pattern.split(":", 5), value.split(":", 5)
    return len(wanted) == len(given) == 6 and all(matches(*pair) for pair in zip(wanted, given, strict=True))


def _in_network(network: str, value: str) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _equal_numbers(wanted: str, value: str) -> bool:
    try:
        return float(wanted) == float(value)
    except ValueError:
        return False


_POSITIVE: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda wanted, value: wanted == value,
    "StringEqualsIgnoreCase": lambda wanted, value: wanted.lower() == value.lower(),
    "StringLike": matches,
    "ArnEquals": _arn_like,
    "ArnLike": _arn_like,
    "Bool": lambda wanted, value: wanted.lower() == value.lower(),
    "IpAddress": _in_network,
    "NumericEquals": _equal_numbers,
}
_NEGATIVE = (
    "StringNotEquals", "StringNotEqualsIgnoreCase", "StringNotLike", "ArnNotEquals", "ArnNotLike",
    "NotIpAddress", "NumericNotEquals",
)  # fmt: skip
OPERATORS = frozenset({*_POSITIVE, *_NEGATIVE, "Null"})


def _given(key: str, context: Context) -> Sequence[str] | None:
    for name, value in context.items():
        if name.lower() == key.lower():
            return [value] if isinstance(value, str) else value
    return None


def substitute(text: str, context: Context) -> str | None:
    """`text` with its policy variables replaced, or None when one of them has no value in this call."""
    missing = False

    def replacement(found: re.Match[str]) -> str:
        nonlocal missing
        name, _, default = (part.strip() for part in found[1].partition(","))
        if name in _LITERALS:
            return _LITERALS[name]
        values = _given(name, context)
        if values is None and default:
            return default.strip("'")
        if values is None or len(values) != 1:
            missing = True
            return ""
        return values[0]

    replaced = _VARIABLE.sub(replacement, text)
    return None if missing else replaced


def condition_holds(operator: str, key: str, wanted: Sequence[str], context: Context) -> bool:
    """Whether one condition holds.

    Absent keys fail positive operators and ForAnyValue, and satisfy negative ones and those with IfExists.
    """
    quantifier, _, base = operator.rpartition(":")
    if_exists = base.endswith("IfExists")
    base = base.removesuffix("IfExists")
    values = _given(key, context)
    if base == "Null":
        return (values is None) == (wanted[0].lower() == "true")
    if values is None:
        negated = base in _NEGATIVE and quantifier != "ForAnyValue"
        return if_exists or negated or quantifier == "ForAllValues"
    patterns = [text for item in wanted if (text := substitute(item, context)) is not None]
    test = _POSITIVE[base.replace("Not", "")]
    results = [any(test(pattern, value) for pattern in patterns) != (base in _NEGATIVE) for value in values]
    return any(results) if quantifier == "ForAnyValue" else all(results)
