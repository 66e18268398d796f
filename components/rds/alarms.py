"""Alarms and event subscriptions of an RDS instance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import final

import pulumi
from pulumi_aws import cloudwatch, rds

_PERIOD_SECONDS = 300

FAILED_LOGINS: Mapping[str, str] = MappingProxyType(
    {
        "InvalidToken": (
            "Logins with tokens that are expired, tampered with, or for another user, host or region"
        ),
        "InsufficientPermissions": (
            "Logins without rds-db:connect, as after a restore or a blue/green deployment, which give the "
            "instance another resource id"
        ),
        "Throttling": "More IAM logins than RDS takes; applications should pool their connections",
        "ServerError": "RDS itself could not check IAM logins",
    }
)
"""Kinds of `IamDbAuthConnectionFailure` metrics of RDS, and what they mean."""

EVENTS: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "db-instance": (
            "availability", "configuration change", "deletion", "failover", "failure", "low storage",
            "maintenance", "notification", "recovery",
        ),
        "db-parameter-group": ("configuration change",),
    }
)  # fmt: skip
"""Event categories by source type; changes of a parameter group can be changes of TLS settings."""


@dataclass(frozen=True, kw_only=True)
class RdsAlarmsArgs:
    """Arguments of `RdsAlarms`.

    Attributes:
        identifier: Identifier of the instance.
        instance_id: What RDS knows the instance by in event subscriptions; its identifier, once it exists.
        parameter_group: Name of its parameter group.
        topics: ARNs of the SNS topics that learn of alarms; the first one also of events.
        tags: Tags of every child.
    """

    identifier: str
    instance_id: pulumi.Input[str]
    parameter_group: pulumi.Input[str]
    topics: Sequence[str] = ()
    tags: dict[str, str] = field(default_factory=dict)


@final
@dataclass(frozen=True, kw_only=True)
class RdsAlarmsResources:
    """Children of `RdsAlarms`; `subscriptions` by source type, none without a topic."""

    failed_logins: dict[str, cloudwatch.MetricAlarm]
    subscriptions: dict[str, rds.EventSubscription]


class RdsAlarms(pulumi.ComponentResource):
    """`passwordless-postgres:index:RdsAlarms`: failed IAM logins and events of one RDS instance.

    Makes a `cloudwatch.MetricAlarm` per kind of failed IAM login, and where there is a topic a
    `rds.EventSubscription` each for the instance and for its parameter group.

    Attributes:
        resources: The children.
    """

    resources: RdsAlarmsResources

    def __init__(self, name: str, args: RdsAlarmsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make alarms and subscriptions."""
        super().__init__("passwordless-postgres:index:RdsAlarms", name, {}, opts)
        failed_logins = {
            kind: cloudwatch.MetricAlarm(
                f"{name}-{kind}",
                alarm_description=f"{args.identifier}: {meaning}",
                namespace="AWS/RDS",
                metric_name=f"IamDbAuthConnectionFailure{kind}",
                dimensions={"DBInstanceIdentifier": args.identifier},
                statistic="Sum",
                period=_PERIOD_SECONDS,
                evaluation_periods=1,
                threshold=0,
                comparison_operator="GreaterThanThreshold",
                # RDS sends the metric only when it is not zero.
                treat_missing_data="notBreaching",
                alarm_actions=list(args.topics),
                tags=args.tags,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for kind, meaning in FAILED_LOGINS.items()
        }
        sources = {"db-instance": args.instance_id, "db-parameter-group": args.parameter_group}
        subscriptions = {
            source_type: rds.EventSubscription(
                f"{name}-{source_type}",
                sns_topic=args.topics[0],
                source_type=source_type,
                source_ids=[source],
                event_categories=list(EVENTS[source_type]),
                tags=args.tags,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for source_type, source in sources.items()
            if args.topics
        }
        self.resources = RdsAlarmsResources(failed_logins=failed_logins, subscriptions=subscriptions)
        self.register_outputs({"alarms": [alarm.name for alarm in failed_logins.values()]})
