"""The accounts and organisations that are one's own, from the pack's configuration."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

_FORMS: Mapping[str, str] = MappingProxyType({"accounts": "[0-9]{12}", "organisations": "o-[a-z0-9]{10,32}"})
SCHEMAS: Mapping[str, Any] = MappingProxyType(
    {
        name: {
            "type": "array",
            "default": [],
            "description": f"One's own AWS {name}. Without them, conditions on {name} are undecided.",
            "items": {"type": "string", "pattern": f"^{form}$"},
        }
        for name, form in _FORMS.items()
    }
)


@dataclass(frozen=True, kw_only=True)
class Owned:
    """What is one's own.

    Attributes:
        accounts: Account ids of twelve digits; empty where they are not known.
        organisations: Ids such as `o-a1b2c3d4e5`; empty where they are not known.
    """

    accounts: frozenset[str] = frozenset()
    organisations: frozenset[str] = frozenset()


def read(properties: Mapping[str, Any]) -> tuple[Owned, list[str]]:
    """What the configuration says, and what is wrong in it."""
    mistakes: list[str] = []
    found: dict[str, frozenset[str]] = {}
    for name, form in _FORMS.items():
        given = properties.get(name, [])
        texts = (
            [str(each) for each in given]
            if isinstance(given, Iterable) and not isinstance(given, str)
            else []
        )
        if given and not texts:
            mistakes.append(f"{name} is not a list")
        mistakes += [
            f"{name} has {each!r}, which is not of the form {form}"
            for each in texts
            if re.fullmatch(form, each) is None
        ]
        found[name] = frozenset(each for each in texts if re.fullmatch(form, each) is not None)
    return Owned(accounts=found["accounts"], organisations=found["organisations"]), mistakes
