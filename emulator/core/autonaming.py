"""Names that the engine asks providers to make up for resources without one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum


class AutonamingMode(Enum):
    """What the user's `pulumi:autonaming` configuration says about a resource; numbers as on the wire."""

    PROPOSE = 0
    ENFORCE = 1
    DISABLE = 2


@dataclass(frozen=True, kw_only=True)
class Autonaming:
    """The engine's proposal of a name. Source: `CheckRequest.AutonamingOptions` in provider.proto."""

    proposed_name: str
    mode: AutonamingMode


def automatic_name(
    logical_name: str, random_seed: bytes, *, autonaming: Autonaming | None, maximum: int
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
    return f"{logical_name[: maximum - len(digits) - 1]}-{digits}"
