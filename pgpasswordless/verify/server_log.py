"""The rule that let a session in, read from the server's own log in CloudWatch Logs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_delay, wait_exponential

from pgpasswordless.aws import Aws, reason
from pgpasswordless.verify.result import RuleUsed
from pgpasswordless.verify.session import Session

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

# PostgreSQL writes `user=` instead of `identity=` for trust, which authenticates nobody.
AUTHENTICATED = re.compile(
    r'connection authenticated: (?:identity|user)="(?P<identity>.*)" method=(?P<method>\S+)'
    r" \((?P<file>.*):(?P<line>\d+)\)"
)
# The clocks of the server, of its log shipping and of CloudWatch may differ.
CLOCK_TOLERANCE = timedelta(minutes=10)


def rules_used(
    aws: Aws, neighbour_arn: str, log_group: str, sessions: Sequence[Session], deadline_seconds: float
) -> Mapping[str, RuleUsed | str]:
    """The rule of each session, or why it is not known, by session id.

    The log arrives some seconds after the login, so it is read again until every session is found or
    the deadline has passed.

    Args:
        aws: access to the account with the log group.
        neighbour_arn: a resource in the log group's region.
        log_group: its events are the server's jsonlog lines, one line per event.
        sessions: the sessions to find, by session id, process id and role.
        deadline_seconds: how long to wait for all of them together.
    """
    found: dict[str, RuleUsed | str] = {}

    def look(logs: CloudWatchLogsClient) -> bool:
        for session in sessions:
            if session.session_id not in found:
                rule = _find(logs, log_group, session)
                if rule is not None:
                    found[session.session_id] = rule
        return len(found) == len({session.session_id for session in sessions})

    def give_up(_: RetryCallState) -> bool:
        return False

    retrying = Retrying(
        retry=retry_if_result(lambda complete: not complete),
        stop=stop_after_delay(deadline_seconds),
        wait=wait_exponential(multiplier=0.2, max=2),
        retry_error_callback=give_up,
    )
    try:
        retrying(look, aws.logs(neighbour_arn))
        missing = f"not in log group {log_group} after {deadline_seconds:g} s"
    except (BotoCoreError, ClientError) as error:
        missing = f"log group {log_group} cannot be read: {reason(error)}"
    return {session.session_id: missing for session in sessions} | found


def _find(logs: CloudWatchLogsClient, log_group: str, session: Session) -> RuleUsed | None:
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=log_group,
        filterPattern=f'"{session.session_id}"',
        startTime=int((session.started - CLOCK_TOLERANCE).timestamp() * 1000),
    )
    for page in pages:
        for event in page.get("events", []):
            rule = _rule(event.get("message", ""), session)
            if rule is not None:
                return rule
    return None


def _rule(line: str, session: Session) -> RuleUsed | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if not isinstance(entry, dict):
        return None
    same = (
        entry.get("session_id") == session.session_id
        and entry.get("pid") == session.pid
        and entry.get("user") == session.session_user
    )
    match = AUTHENTICATED.fullmatch(str(entry.get("message", ""))) if same else None
    if match is None:
        return None
    return RuleUsed(
        method=match["method"], file=match["file"], line=int(match["line"]), identity=match["identity"]
    )
