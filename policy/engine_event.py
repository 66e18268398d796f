"""A finding as the engine's events carry it to programs that run the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from policy.enforcement import Level
from policy.finding import Verdict
from policy.message import Message, parse
from policy.pack import NAME, OWN, UNDECIDED

_STACK = "pulumi:pulumi:Stack"


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one policy, of this pack or of another, found in one resource or in the whole stack.

    Attributes:
        rule: Id of the rule.
        pack: Name of its pack.
        level: Pulumi's enforcement level, such as `mandatory` or `advisory`.
        severity: Its severity, `undecided`, or empty where the pack gives none.
        urn: The resource; that of the stack for the stack as a whole.
        message: What is said; of another pack, and of the stack as a whole, an explanation alone.
    """

    rule: str
    pack: str
    level: str
    severity: str = ""
    urn: str = ""
    message: Message

    @classmethod
    def of(cls, event: Mapping[str, Any], text: str) -> Found:
        """The finding of a `policyEvent`, whose message is `text` without the engine's colours."""
        rule, pack = event["policyName"], event["policyPackName"]
        if pack == NAME and rule not in OWN.keys() - {UNDECIDED}:
            message = parse(text)
        else:
            message = Message(verdict=Verdict.VIOLATED, explanation=" ".join(text.split()))
        return cls(
            rule=rule,
            pack=pack,
            level=event["enforcementLevel"],
            severity=str(Verdict.UNDECIDED) if rule == UNDECIDED else event.get("severity", ""),
            urn=event.get("resourceUrn", ""),
            message=message,
        )

    @property
    def resource(self) -> str:
        """Name and type of the resource, such as `group (ParameterGroup)`; empty for the stack."""
        _, _, types, name = (*self.urn.split("::", 3), "", "", "", "")[:4]
        token = types.rpartition("$")[2]
        return f"{name} ({token.rpartition(':')[2]})" if token not in ("", _STACK) else ""

    @property
    def stops(self) -> bool:
        """Whether the engine refuses to deploy because of it."""
        return self.level == Level.MANDATORY

    @property
    def is_undecided(self) -> bool:
        """Whether a rule could not be decided."""
        return self.message.verdict is Verdict.UNDECIDED

    @property
    def standing(self) -> str:
        """Its level, or `undecided` where that stops nothing."""
        return str(Verdict.UNDECIDED) if self.is_undecided and not self.stops else self.level
