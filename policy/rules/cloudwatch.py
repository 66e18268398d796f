"""CloudWatch: how long logs are kept, and whether alarms reach somebody."""

from __future__ import annotations

from collections.abc import Iterator

from policy.property_checks import both, in_production, must_be_at_least, must_not_be_false
from policy.resources import Resource
from policy.rule import Area, Outcome, Problem, Rule, Severity

LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
_GUIDE = "https://docs.aws.amazon.com/AmazonCloudWatch/latest"
_DAYS = 30


def _states_days(group: Resource) -> bool:
    # Absent and 0 mean that nothing is ever deleted.
    return group["retentionInDays"].text() not in ("", "0")


def _reaches_somebody(alarm: Resource) -> Iterator[Outcome]:
    value = alarm["alarmActions"]
    if in_production(alarm) and not value.items():
        yield Problem(at=value, reason="expected a topic or another action")


RULES = (
    Rule(
        id="PGTLS-P162",
        title=f"Logs of production are kept for {_DAYS} days or more",
        area=Area.IDENTITY,
        severity=Severity.LOW,
        types=(LOG_GROUP,),
        checks=(must_be_at_least("retentionInDays", _DAYS, "days", when=both(in_production, _states_days)),),
        why="A break-in is often noticed after weeks.",
        fix=f"set retentionInDays to {_DAYS} or more",
        link=f"{_GUIDE}/logs/Working-with-log-groups-and-streams.html",
        references=("SH:CloudWatch.16", "CKV_AWS_338"),
    ),
    Rule(
        id="PGTLS-P164",
        title="Alarms of production reach somebody",
        area=Area.IDENTITY,
        severity=Severity.MEDIUM,
        types=(ALARM,),
        checks=(_reaches_somebody, must_not_be_false("actionsEnabled", when=in_production)),
        why="An alarm without an action tells nobody.",
        fix="set alarmActions to a topic, and remove actionsEnabled",
        link=f"{_GUIDE}/monitoring/AlarmThatSendsEmail.html",
        references=("SH:CloudWatch.15", "SH:CloudWatch.17", "CKV_AWS_319"),
    ),
)
