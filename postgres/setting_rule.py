"""The rule for one server setting, and whether a value follows it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Literal

from postgres.versions import SUPPORTED_MAJORS

SettingKind = Literal["bool", "integer", "real", "enum", "string"]
SettingContext = Literal["postmaster", "sighup", "superuser", "superuser-backend", "backend", "user"]

BOOLEANS = ("on", "off", "true", "false", "yes", "no")

MEMORY_UNITS: Mapping[str, int] = MappingProxyType(
    {"B": 1, "kB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}
)
"""Bytes per memory unit, as PostgreSQL spells the units (guc.c)."""

TIME_UNITS: Mapping[str, Fraction] = MappingProxyType(
    {
        "us": Fraction(1, 1000),
        "ms": Fraction(1),
        "s": Fraction(1000),
        "min": Fraction(60_000),
        "h": Fraction(3_600_000),
        "d": Fraction(86_400_000),
    }
)
"""Milliseconds per time unit, as PostgreSQL spells the units (guc.c)."""

_NUMBER = re.compile(r"(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?) ?([A-Za-z]*)")


@dataclass(frozen=True, kw_only=True)
class SettingRule:
    """One setting of the majors `since` to `until`, as pg_settings describes it there.

    `minimum` and `maximum`, both included, are counted in `unit`, and so are `multiple_of` and
    `lowest_above_zero`, which pg_settings does not show. A whole string must match `pattern`; `hint`
    describes that in words. `library` must be preloaded for the setting to exist.
    """

    name: str
    kind: SettingKind
    context: SettingContext
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    multiple_of: int = 1
    lowest_above_zero: int = 0
    values: tuple[str, ...] = ()
    pattern: str = ""
    hint: str = ""
    library: str | None = None
    since: int = SUPPORTED_MAJORS[0]
    until: int = SUPPORTED_MAJORS[-1]

    @property
    def needs_restart(self) -> bool:
        """Whether a change needs a restart; in other contexts a reload is enough."""
        return self.context == "postmaster"

    def serves(self, major: int) -> bool:
        """Whether PostgreSQL `major` knows the setting in this form."""
        return self.since <= major <= self.until

    def allowed(self) -> str:
        """The allowed values, in words."""
        if self.kind == "bool":
            return "on or off"
        if self.kind == "enum":
            return "one of " + ", ".join(self.values)
        if self.kind == "string":
            return self.hint
        number = "a whole number" if self.kind == "integer" else "a number"
        bounds = f"{number} from {self.minimum:g} to {self.maximum:g}"
        if self.kind == "integer":
            bounds = f"{number} from {int(self.minimum or 0)} to {int(self.maximum or 0)}"
            if self.multiple_of > 1:
                bounds += f", divisible by {self.multiple_of},"
            if self.lowest_above_zero:
                bounds += f", and 0 or at least {self.lowest_above_zero},"
        if self.unit is None:
            return bounds
        units = MEMORY_UNITS if self.unit in (*MEMORY_UNITS, "8kB") else TIME_UNITS
        return f"{bounds} times {self.unit}, written with a unit ({', '.join(units)})"


def value_problem(rule: SettingRule, value: str) -> str | None:
    """Why `rule` does not allow `value`, as the end of a sentence; None when it does.

    Stricter than PostgreSQL where a value is easily misread: a setting with a unit needs the unit (except
    0 and -1), and leading zeros, which mean octal, are refused.
    """
    if rule.kind == "bool":
        good = value.lower() in BOOLEANS
    elif rule.kind == "enum":
        good = value.lower() in rule.values
    elif rule.kind == "string":
        good = re.fullmatch(rule.pattern, value) is not None
    else:
        return _number_problem(rule, value)
    return None if good else f"is not {rule.allowed()}"


def _number_problem(rule: SettingRule, value: str) -> str | None:
    match = _NUMBER.fullmatch(value)
    if match is None:
        return f"is not {rule.allowed()}"
    number, unit = Fraction(match[1]), match[2]
    if unit:
        factor = _factor(unit, rule.unit)
        if factor is None:
            return f"has unit {unit!r}; give {rule.allowed()}"
        number *= factor
    elif rule.unit is not None and number not in (0, -1):
        return f"has no unit, so PostgreSQL would count in {rule.unit}; give {rule.allowed()}"
    if rule.kind == "integer":
        if not unit and number.denominator != 1:
            return f"is not {rule.allowed()}"
        number = Fraction(round(number))
    return _range_problem(rule, number)


def base_number(rule: SettingRule, value: str) -> Fraction | None:
    """`value` as a number in the unit of `rule`; None when it is not a number or has another kind of unit."""
    match = _NUMBER.fullmatch(value)
    if match is None:
        return None
    factor = _factor(match[2], rule.unit) if match[2] else Fraction(1)
    return None if factor is None else Fraction(match[1]) * factor


def _range_problem(rule: SettingRule, number: Fraction) -> str | None:
    if number < Fraction(rule.minimum or 0) or number > Fraction(rule.maximum or 0):
        return f"is out of range; give {rule.allowed()}"
    uneven = rule.multiple_of > 1 and number % rule.multiple_of != 0
    return f"is not {rule.allowed()}" if uneven or 0 < number < rule.lowest_above_zero else None


def _factor(unit: str, base: str | None) -> Fraction | None:
    if base in (*MEMORY_UNITS, "8kB") and unit in MEMORY_UNITS:
        return Fraction(MEMORY_UNITS[unit], 8192 if base == "8kB" else MEMORY_UNITS[base or "B"])
    if base in TIME_UNITS and unit in TIME_UNITS:
        return TIME_UNITS[unit] / TIME_UNITS[base or "ms"]
    return None
