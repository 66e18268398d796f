"""What had drifted from the desired state: found, repaired or not, and since when.

Plain JSON, since a run that finds nothing must stay cheap. What was repaired is remembered for a day, so
that people learn of it.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from node.layout import Layout
from runtime import files

REMEMBERED = datetime.timedelta(hours=24)
KEPT_ITEMS = 200
REPORTED_ITEMS = 50
MAX_LENGTH = 300

FindingState = Literal["repaired", "held", "foreign", "failed"]
Part = Literal["hold", "files", "server", "catalogues", "programs"]
"""What one look finds; a later look at the same part tells what is no longer there."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One deviation from the desired state.

    Attributes:
        what: what deviates; the same text whenever it is found again.
        state: `repaired`; `held`: a hold lasts; `foreign`: it is not node's to change; `failed`: it could not
            be repaired.
        why: the reason, where it was not repaired.
    """

    what: str
    state: FindingState
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Item:
    """A finding with its history: times are ISO 8601 in UTC."""

    part: Part
    what: str
    state: FindingState
    why: str
    since: str
    seen: str


@dataclass(frozen=True, kw_only=True)
class Drift:
    """What earlier runs found.

    Attributes:
        items: the findings.
        loaded: `pg_conf_load_time` after node's own last reload or start; None if it is not known.
        new: how many findings are new since the metrics were published last.
        published: when that was, seconds since 1970.
        compared: when the catalogues were compared last, seconds since 1970.
    """

    items: tuple[Item, ...] = ()
    loaded: str | None = None
    new: int = 0
    published: float = 0.0
    compared: float = 0.0

    @classmethod
    def load(cls, layout: Layout) -> Drift:
        """What is on disk; without the file, or with a damaged one, nothing is known."""
        document = files.read_json_object(layout.drift) or {}
        try:
            return cls(**{**document, "items": tuple(Item(**item) for item in document.get("items", ()))})
        except TypeError:
            return cls()

    def save(self, layout: Layout) -> None:
        """Keep it for the next run."""
        files.replace_file(layout.drift, json.dumps(asdict(self), indent=1))

    def after(self, part: Part, findings: Iterable[Finding], now: datetime.datetime) -> Drift:
        """With what a look at one part has found now."""
        moment = now.isoformat(timespec="seconds")
        known = {item.what: item for item in self.items if item.part == part}
        items = [item for item in self.items if item.part != part]
        new = 0
        for finding in findings:
            earlier = known.pop(finding.what, None)
            new += finding.state not in ("foreign", "held") or earlier is None
            # The time of what stays as it is tells nothing, and would be written on every run.
            same = earlier is not None and finding.state != "repaired" and earlier.state == finding.state
            items.append(
                Item(
                    part=part,
                    **asdict(finding),
                    since=earlier.since if earlier else moment,
                    seen=earlier.seen if earlier and same else moment,
                )
            )
        items += [item for item in known.values() if item.state == "repaired"]
        order = ("failed", "held", "repaired", "foreign")
        items.sort(key=lambda item: (order.index(item.state), item.since, item.what))
        return replace(self, items=tuple(items[:KEPT_ITEMS]), new=self.new + new)

    def recent(self, now: datetime.datetime) -> Drift:
        """Without what was repaired more than a day ago."""
        kept = tuple(
            item
            for item in self.items
            if item.state != "repaired" or now - datetime.datetime.fromisoformat(item.seen) < REMEMBERED
        )
        return replace(self, items=kept)

    def reported(self) -> list[dict[str, Any]]:
        """The items as the report has them: bounded in number and length."""
        shown = [
            {
                "what": _printable(item.what),
                "since": item.since,
                "state": item.state,
                "why": _printable(item.why),
            }
            for item in self.items
        ]
        if len(shown) > REPORTED_ITEMS:
            rest = shown[REPORTED_ITEMS - 1 :]
            shown[REPORTED_ITEMS - 1 :] = [{**rest[0], "what": f"{len(rest)} more deviations", "why": ""}]
        return shown


def _printable(text: str) -> str:
    """A bounded text without characters that would not be seen as themselves."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)[:MAX_LENGTH]
