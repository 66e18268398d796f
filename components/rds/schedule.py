"""The schedule on which the roles function compares an instance with its declaration, and its alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import final

import pulumi
from pulumi_aws import cloudwatch, iam, scheduler

from components import iam_documents
from components.account import Account
from runtime.catalogue_metrics import DIMENSION, DRIFT, FAILED, FOREIGN, HOLD
from runtime.cloudwatch import METRIC_NAMESPACE
from settings.quotas import SCHEDULE_EVENT

MINUTES = 5
"""How often the function runs."""


@dataclass(frozen=True, kw_only=True)
class _Watched:
    """A metric of the function, above 0 in so many runs; without runs `missing` says what that means."""

    metric: str
    meaning: str
    periods: int = 1
    missing: str = "notBreaching"


WATCHED: Mapping[str, _Watched] = MappingProxyType(
    {
        "drift": _Watched(
            metric=DRIFT,
            meaning="Somebody changed roles or privileges by hand, and the function put them back; its log "
            "says which",
        ),
        "foreign": _Watched(
            metric=FOREIGN,
            meaning="Others granted something to declared roles, or a role that is not declared has powers; "
            "the function leaves it alone, and its log says what",
        ),
        "hold": _Watched(
            metric=HOLD,
            meaning="Drift of roles and grants is reported and not put back, as the stack file's "
            "reconcile.hold declares",
        ),
        "reconciliation": _Watched(
            metric=FAILED,
            meaning="The function does not run, or cannot put back what differs from the declaration; its "
            "log says why",
            periods=3,
            missing="breaching",
        ),
    }
)
"""Metrics that the function writes into its log, by the name of their alarm."""


@dataclass(frozen=True, kw_only=True)
class ReconciliationScheduleArgs:
    """Arguments of `ReconciliationSchedule`.

    Attributes:
        account: Account and region of the function.
        function_name: The function's name.
        function_arn: Its ARN.
        event: What it is called with.
        topics: ARNs of the SNS topics that learn of alarms.
        tags: Tags of every child that has tags.
    """

    account: Account
    function_name: pulumi.Input[str]
    function_arn: pulumi.Input[str]
    event: str
    topics: Sequence[str] = ()
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what can be checked before anything is registered.

        Raises:
            ValueError: The event is larger than a schedule's may be.
        """
        if excess := SCHEDULE_EVENT.excess(SCHEDULE_EVENT.size(self.event)):
            raise ValueError(f"the declaration of databases and roles makes {excess}")


@final
@dataclass(frozen=True, kw_only=True)
class ReconciliationScheduleResources:
    """Children of `ReconciliationSchedule`; `alarms` by the names in `WATCHED`."""

    role: iam.Role
    policy: iam.RolePolicy
    schedule: scheduler.Schedule
    alarms: dict[str, cloudwatch.MetricAlarm]


class ReconciliationSchedule(pulumi.ComponentResource):
    """`passwordless-postgres:index:ReconciliationSchedule`: calls the roles function every MINUTES minutes.

    Makes a `scheduler.Schedule`, an IAM role that may call this one function, and a
    `cloudwatch.MetricAlarm` per entry of `WATCHED`.

    Attributes:
        resources: The children.
    """

    resources: ReconciliationScheduleResources

    def __init__(
        self, name: str, args: ReconciliationScheduleArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Make schedule and alarms."""
        super().__init__("passwordless-postgres:index:ReconciliationSchedule", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        account = args.account
        role = iam.Role(
            name,
            description=f"The schedule {name}",
            assume_role_policy=pulumi.Output.all(
                partition=account.partition, region=account.region, account_id=account.account_id
            ).apply(lambda values: iam_documents.schedule_trust(**values)),
            tags=args.tags,
            opts=child,
        )
        policy = iam.RolePolicy(
            name,
            role=role.id,
            policy=pulumi.Output.from_input(args.function_arn).apply(iam_documents.invoke_function),
            opts=child,
        )
        schedule = scheduler.Schedule(
            name,
            description="Compares databases and roles with the declaration, and puts back what differs",
            schedule_expression=f"rate({MINUTES} minutes)",
            flexible_time_window=scheduler.ScheduleFlexibleTimeWindowArgs(mode="OFF"),
            target=scheduler.ScheduleTargetArgs(
                arn=args.function_arn,
                role_arn=role.arn,
                input=args.event,
                # The next run comes anyway.
                retry_policy=scheduler.ScheduleTargetRetryPolicyArgs(maximum_retry_attempts=0),
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
        alarms = {
            what: cloudwatch.MetricAlarm(
                f"{name}-{what}",
                alarm_description=f"{name}: {watched.meaning}",
                namespace=METRIC_NAMESPACE,
                metric_name=watched.metric,
                dimensions={DIMENSION: args.function_name},
                statistic="Maximum",
                period=MINUTES * 60,
                evaluation_periods=watched.periods,
                threshold=0,
                comparison_operator="GreaterThanThreshold",
                treat_missing_data=watched.missing,
                alarm_actions=list(args.topics),
                tags=args.tags,
                opts=child,
            )
            for what, watched in WATCHED.items()
        }
        self.resources = ReconciliationScheduleResources(
            role=role, policy=policy, schedule=schedule, alarms=alarms
        )
        self.register_outputs({"alarms": [alarm.name for alarm in alarms.values()]})
