"""Names that the engine asks providers to make up for resources without one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


class AutonamingMode(Enum):
    """What the user's `pulumi:autonaming` configuration says about a resource."""

    PROPOSE = "propose"
    ENFORCE = "enforce"
    DISABLE = "disable"


@dataclass(frozen=True, kw_only=True)
class Autonaming:
    """The engine's proposal of a name. Source: `CheckRequest.AutonamingOptions` in provider.proto."""

    proposed_name: str
    mode: AutonamingMode


def automatic_name(
    logical_name: str,
    random_seed: bytes,
    *,
    autonaming: Autonaming | None = None,
    maximum: int = 63,
    separator: str = "-",
) -> str:
    """A physical name: the logical name and seven hexadecimal digits, at most `maximum` characters.

    The same seed gives the same name, so that preview and update agree.

    Raises:
        ValueError: Autonaming is disabled, or the enforced name is longer than `maximum`.
    """
    if autonaming is not None:
        if autonaming.mode is AutonamingMode.DISABLE:
            raise ValueError(f"automatic naming is disabled; give resource {logical_name!r} a name")
        if len(autonaming.proposed_name) <= maximum:
            return autonaming.proposed_name
        if autonaming.mode is AutonamingMode.ENFORCE:
            raise ValueError(
                f"the enforced name {autonaming.proposed_name!r} has "
                f"{len(autonaming.proposed_name)} characters; at most {maximum} are allowed"
            )
    digits = hashlib.sha256(random_seed + logical_name.encode()).hexdigest()[:7]
    suffix = f"{separator}{digits}"
    return logical_name[: maximum - len(suffix)] + suffix


def keep_or_make_name(
    inputs: Mapping[str, Any],
    olds: Mapping[str, Any],
    logical_name: str,
    random_seed: bytes,
    *,
    property_name: str = "name",
    autonaming: Autonaming | None = None,
    maximum: int = 63,
) -> dict[str, Any]:
    """`inputs` with `property_name` filled: the given name, else the one it already has, else a new one."""
    if inputs.get(property_name) is not None:
        return dict(inputs)
    name = olds.get(property_name) or automatic_name(
        logical_name, random_seed, autonaming=autonaming, maximum=maximum
    )
    return {**inputs, property_name: name}
