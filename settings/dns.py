"""DNS names that end up in a hosted zone and in a certificate."""

from __future__ import annotations

import re
from typing import Annotated

from settings.section import Checked

_MAX_NAME = 253  # characters; RFC 1035, 2.3.4, as text
_HOSTED_ZONE = re.compile(r"Z[A-Z0-9]{1,31}")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def zone_problems(zone: str) -> list[str]:
    """What is wrong with the name of a zone."""
    if not zone:
        return ["is empty; give a DNS name such as db.internal"]
    if zone.endswith("."):
        return ["ends with a dot; write it without"]
    found = _relative_name_problems(zone)
    if len(zone) > _MAX_NAME:
        found.append(f"has {len(zone)} characters; DNS ends names at {_MAX_NAME}")
    if not found and zone.rpartition(".")[2].isdigit():
        return ["ends with a number, as an address does; give a DNS name"]
    return found


def _relative_name_problems(name: str) -> list[str]:
    """What is wrong with a name below a zone; `""` stands for the zone itself."""
    return [problem for label in name.split(".") for problem in _label_problems(label)] if name else []


def _label_problems(label: str) -> list[str]:
    if _LABEL.fullmatch(label):
        return []
    if not label:
        return ["has nothing between two dots, or begins or ends with one; remove the dot"]
    if label != label.lower():
        return [f"has upper-case letters in {label!r}; write {label.lower()!r}"]
    if len(label) > 63:
        return [f"has a label of {len(label)} characters; DNS ends labels at 63"]
    return [f"has {label!r} between its dots; use lower-case letters, digits, and hyphens inside"]


def _hosted_zone_problems(zone: str) -> list[str]:
    return [] if _HOSTED_ZONE.fullmatch(zone) else ["is not the id of a hosted zone such as Z0123456789ABC"]


HostedZoneId = Annotated[str, Checked(_hosted_zone_problems, "the id of a hosted zone")]
DnsZone = Annotated[str, Checked(zone_problems, "a DNS name such as db.internal")]
RelativeDnsName = Annotated[str, Checked(_relative_name_problems, "a DNS name, or empty for the zone itself")]
