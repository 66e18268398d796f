"""Alarms of a gateway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import final

import pulumi
from pulumi_aws import cloudwatch

_PERIOD_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class _Watched:
    metric: str
    meaning: str
    statistic: str
    threshold: int
    periods: int
    of_targets: bool = False


WATCHED: Mapping[str, _Watched] = MappingProxyType(
    {
        "unhealthy": _Watched(
            metric="UnHealthyHostCount",
            meaning="Machines that do not answer their health check",
            statistic="Maximum",
            threshold=0,
            periods=5,
            of_targets=True,
        ),
        "load-balancer-errors": _Watched(
            metric="HTTPCode_ELB_5XX_Count",
            meaning="Requests that the load balancer could not hand on",
            statistic="Sum",
            threshold=5,
            periods=3,
        ),
        "gateway-errors": _Watched(
            metric="HTTPCode_Target_5XX_Count",
            meaning="Requests that the gateway could not serve, as when the database does not answer",
            statistic="Sum",
            threshold=5,
            periods=3,
            of_targets=True,
        ),
        "refused-clients": _Watched(
            metric="ClientTLSNegotiationErrorCount",
            meaning="Handshakes that failed; the connection log says why: revoked, expired, unknown",
            statistic="Sum",
            threshold=20,
            periods=5,
        ),
    }
)
"""Metrics of AWS/ApplicationELB by the name of their alarm; thresholds are counts per minute."""


@dataclass(frozen=True, kw_only=True)
class GatewayAlarmsArgs:
    """Arguments of `GatewayAlarms`.

    Attributes:
        load_balancer: What metrics call the load balancer, its `arn_suffix`.
        target_group: What metrics call the target group, its `arn_suffix`.
        topics: ARNs of the SNS topics that learn of alarms.
        tags: Tags of every child.
    """

    load_balancer: pulumi.Input[str]
    target_group: pulumi.Input[str]
    topics: Sequence[str] = ()
    tags: dict[str, str] = field(default_factory=dict)


@final
@dataclass(frozen=True, kw_only=True)
class GatewayAlarmsResources:
    """Children of `GatewayAlarms`, by the names in `WATCHED`."""

    alarms: dict[str, cloudwatch.MetricAlarm]


class GatewayAlarms(pulumi.ComponentResource):
    """`passwordless-postgres:index:GatewayAlarms`: machines, errors and refused clients of one gateway.

    Makes a `cloudwatch.MetricAlarm` per entry of `WATCHED`.

    Attributes:
        resources: The children.
    """

    resources: GatewayAlarmsResources

    def __init__(
        self, name: str, args: GatewayAlarmsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Make the alarms."""
        super().__init__("passwordless-postgres:index:GatewayAlarms", name, {}, opts)
        alarms = {
            what: cloudwatch.MetricAlarm(
                f"{name}-{what}",
                alarm_description=f"{name}: {watched.meaning}",
                namespace="AWS/ApplicationELB",
                metric_name=watched.metric,
                dimensions={"LoadBalancer": args.load_balancer}
                | ({"TargetGroup": args.target_group} if watched.of_targets else {}),
                statistic=watched.statistic,
                period=_PERIOD_SECONDS,
                evaluation_periods=watched.periods,
                threshold=watched.threshold,
                comparison_operator="GreaterThanThreshold",
                # Elastic Load Balancing sends counts only when they are not zero.
                treat_missing_data="notBreaching",
                alarm_actions=list(args.topics),
                tags=args.tags,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for what, watched in WATCHED.items()
        }
        self.resources = GatewayAlarmsResources(alarms=alarms)
        self.register_outputs({"alarms": [alarm.name for alarm in alarms.values()]})
