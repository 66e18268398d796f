"""Alarms of a gateway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import final

import pulumi
from pulumi_aws import cloudwatch

from gateway.published_metrics import (
    AUTHORITY_LIFE_LEFT,
    CLIENT_LIFE_LEFT,
    DOCUMENT_REFUSED,
    DOCUMENT_SERIAL,
    GATEWAY,
    LIST_LIFE_LEFT,
)
from runtime.cloudwatch import METRIC_NAMESPACE

_PERIOD_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class _Watched:
    metric: str
    meaning: str
    statistic: str
    threshold: int
    periods: int
    of_targets: bool = False


@dataclass(frozen=True, kw_only=True)
class _Published:
    metric: str
    meaning: str
    statistic: str
    comparison: str
    threshold: int | None
    """None for the serial that was deployed."""
    periods: int


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

PUBLISHED: Mapping[str, _Published] = MappingProxyType(
    {
        "revocation-list": _Published(
            metric=LIST_LIFE_LEFT,
            meaning="Less than a quarter of a revocation list's life is left; at its end nobody is let in: "
            "put a new one into the stack, and run pulumi up",
            statistic="Minimum",
            comparison="LessThanThreshold",
            threshold=25,
            periods=5,
        ),
        "client-authority": _Published(
            metric=AUTHORITY_LIFE_LEFT,
            meaning="Less than a tenth of the life of a client authority's certificate is left; at its end "
            "nobody whom it signed is let in: begin a new generation, or remove the one that nobody uses",
            statistic="Minimum",
            comparison="LessThanThreshold",
            threshold=10,
            periods=5,
        ),
        "client-certificate": _Published(
            metric=CLIENT_LIFE_LEFT,
            meaning="Less than 15 percent of the life of a client's certificate is left; at its end it is "
            "refused: run pulumi up, which renews the stack's own, and let the client fetch the new one",
            statistic="Minimum",
            comparison="LessThanThreshold",
            threshold=15,
            periods=5,
        ),
        "refused-document": _Published(
            metric=DOCUMENT_REFUSED,
            meaning="A machine refuses the newest document or cannot fetch it, and goes on with an older "
            "one; its log says why",
            statistic="Maximum",
            comparison="GreaterThanThreshold",
            threshold=0,
            periods=5,
        ),
        "foreign-document": _Published(
            metric=DOCUMENT_SERIAL,
            meaning="A machine serves a newer document than was deployed: somebody wrote it past the stack; "
            "find out who, delete it, and start an instance refresh",
            statistic="Maximum",
            comparison="GreaterThanThreshold",
            threshold=None,
            periods=5,
        ),
    }
)
"""Metrics that the gateway itself publishes, by the name of their alarm."""


@dataclass(frozen=True, kw_only=True)
class GatewayAlarmsArgs:
    """Arguments of `GatewayAlarms`.

    Attributes:
        load_balancer: What metrics call the load balancer, its `arn_suffix`.
        target_group: What metrics call the target group, its `arn_suffix`.
        gateway: What the gateway's own metrics call it.
        serial: Serial of the document that its machines have to serve.
        topics: ARNs of the SNS topics that learn of alarms.
        tags: Tags of every child.
    """

    load_balancer: pulumi.Input[str]
    target_group: pulumi.Input[str]
    gateway: str
    serial: pulumi.Input[int]
    topics: Sequence[str] = ()
    tags: dict[str, str] = field(default_factory=dict)


@final
@dataclass(frozen=True, kw_only=True)
class GatewayAlarmsResources:
    """Children of `GatewayAlarms`, by the names in `WATCHED` and `PUBLISHED`."""

    alarms: dict[str, cloudwatch.MetricAlarm]


class GatewayAlarms(pulumi.ComponentResource):
    """`passwordless-postgres:index:GatewayAlarms`: machines, errors, refused clients and lists of a gateway.

    Makes a `cloudwatch.MetricAlarm` per entry of `WATCHED` and `PUBLISHED`.

    Attributes:
        resources: The children.
    """

    resources: GatewayAlarmsResources

    def __init__(
        self, name: str, args: GatewayAlarmsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Make the alarms."""
        super().__init__("passwordless-postgres:index:GatewayAlarms", name, {}, opts)
        self._name, self._args = name, args
        alarms = {
            what: self._alarm(
                what,
                watched,
                namespace="AWS/ApplicationELB",
                dimensions={"LoadBalancer": args.load_balancer}
                | ({"TargetGroup": args.target_group} if watched.of_targets else {}),
                comparison_operator="GreaterThanThreshold",
                # Elastic Load Balancing sends counts only when they are not zero.
                treat_missing_data="notBreaching",
                threshold=watched.threshold,
            )
            for what, watched in WATCHED.items()
        }
        alarms |= {
            what: self._alarm(
                what,
                published,
                namespace=METRIC_NAMESPACE,
                dimensions={GATEWAY: args.gateway},
                comparison_operator=published.comparison,
                # Without machines nothing is published; what was wrong before still is.
                treat_missing_data="ignore",
                threshold=args.serial if published.threshold is None else published.threshold,
            )
            for what, published in PUBLISHED.items()
        }
        self.resources = GatewayAlarmsResources(alarms=alarms)
        self.register_outputs({"alarms": [alarm.name for alarm in alarms.values()]})

    def _alarm(
        self,
        what: str,
        watched: _Watched | _Published,
        *,
        namespace: str,
        dimensions: Mapping[str, pulumi.Input[str]],
        comparison_operator: str,
        treat_missing_data: str,
        threshold: pulumi.Input[float],
    ) -> cloudwatch.MetricAlarm:
        return cloudwatch.MetricAlarm(
            f"{self._name}-{what}",
            alarm_description=f"{self._name}: {watched.meaning}",
            namespace=namespace,
            metric_name=watched.metric,
            dimensions=dimensions,
            statistic=watched.statistic,
            period=_PERIOD_SECONDS,
            evaluation_periods=watched.periods,
            threshold=threshold,
            comparison_operator=comparison_operator,
            treat_missing_data=treat_missing_data,
            alarm_actions=list(self._args.topics),
            tags=self._args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
