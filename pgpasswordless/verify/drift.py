"""What the machine of a self-managed server says had drifted, from the server's log group."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from documents.shown_text import shown
from pgpasswordless.aws import Aws, reason

# The machine writes a line a minute, into a stream of its own; the others hold what the server wrote.
RECENT = timedelta(minutes=10)
STREAM = "/node"
METRIC = "DriftFound"


def drift_notes(aws: Aws, neighbour_arn: str, database: str, log_group: str) -> tuple[str, ...]:
    """What deviates or deviated from what is declared, a note for each; or why that is not known.

    Args:
        aws: access to the account with the log group.
        neighbour_arn: a resource in the log group's region.
        database: name in the connections document.
        log_group: the server's.
    """
    where = f"database {database!r}"
    try:
        lines = _lines(aws.logs(neighbour_arn), log_group)
    except (BotoCoreError, ClientError) as error:
        return (f"what drifted on the machine of {where} is not known: {reason(error)}",)
    if not lines:
        minutes = RECENT.total_seconds() / 60
        return (f"the machine of {where} has not said for {minutes:.0f} minutes what drifted on it",)
    return tuple(_note(where, item) for item in lines[-1].get("drift", []))


def _lines(logs: Any, log_group: str) -> list[dict[str, Any]]:
    """The machine's lines, oldest first."""
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=log_group,
        filterPattern=f'"{METRIC}"',
        startTime=int((datetime.now(UTC) - RECENT).timestamp() * 1000),
    )
    events = [event for page in pages for event in page.get("events", [])]
    own = [event for event in events if event["logStreamName"].endswith(STREAM)]
    return [json.loads(event["message"]) for event in sorted(own, key=lambda event: event["timestamp"])]


def _note(where: str, item: dict[str, str]) -> str:
    why = f" ({item['why']})" if item["why"] else ""
    found = f"{item['state']}, since {item['since']}: {item['what']}{why}"
    return shown(f"drift on the machine of {where}, {found}")
