"""Alarms of a self-managed server, on the metrics that its machine publishes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import pulumi
from pulumi_aws import cloudwatch

from node.published_metrics import (
    CERTIFICATE_DAYS_LEFT,
    CLIENT_CERTIFICATE_DAYS_LEFT,
    DRIFT_FOUND,
    HOLD,
    INTERVAL_SECONDS,
    SERVER,
)
from runtime.cloudwatch import METRIC_NAMESPACE

_SILENT_MINUTES = 15
"""A machine that is replaced or boots is silent for some minutes."""


@dataclass(frozen=True, kw_only=True)
class ServerAlarmsArgs:
    """Arguments of `ServerAlarms`.

    Attributes:
        server: Name of the server.
        log_group: Name of its log group, which its metrics know it by.
        certificate_days: Days before the end of the server's certificate from which that is alarming.
        client_certificate_days: The same for the certificates of its roles.
        topics: ARNs of the SNS topics that learn of alarms.
        tags: Tags of every child.
    """

    server: str
    log_group: str
    certificate_days: float
    client_certificate_days: float
    topics: Sequence[str] = ()
    tags: dict[str, str] = field(default_factory=dict)


@final
@dataclass(frozen=True, kw_only=True)
class ServerAlarmsResources:
    """Children of `ServerAlarms`."""

    drift: cloudwatch.MetricAlarm
    certificate: cloudwatch.MetricAlarm
    client_certificate: cloudwatch.MetricAlarm
    hold: cloudwatch.MetricAlarm
    silence: cloudwatch.MetricAlarm


class ServerAlarms(pulumi.ComponentResource):
    """`passwordless-postgres:index:ServerAlarms`: drift, ends of certificates and silence of one server.

    Attributes:
        resources: The children.
    """

    resources: ServerAlarmsResources

    def __init__(self, name: str, args: ServerAlarmsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the alarms."""
        super().__init__("passwordless-postgres:index:ServerAlarms", name, {}, opts)
        self._name, self._args = name, args
        drift = self._alarm(
            "drift",
            "Somebody changed what is declared, on the machine or in the database; it was put back, or could "
            "not be: the machine's report says what, and since when",
            metric=DRIFT_FOUND,
            statistic="Sum",
            comparison="GreaterThanThreshold",
            threshold=0,
        )
        certificate = self._alarm(
            "certificate",
            f"The server's certificate ends in less than {args.certificate_days:g} days: run pulumi up",
            metric=CERTIFICATE_DAYS_LEFT,
            statistic="Minimum",
            comparison="LessThanThreshold",
            threshold=args.certificate_days,
        )
        client_certificate = self._alarm(
            "client-certificate",
            f"A role's certificate ends in less than {args.client_certificate_days:g} days: run pulumi up",
            metric=CLIENT_CERTIFICATE_DAYS_LEFT,
            statistic="Minimum",
            comparison="LessThanThreshold",
            threshold=args.client_certificate_days,
            # When the last role goes away, the metric does too, and an alarm would last for ever.
            missing="notBreaching",
        )
        hold = self._alarm(
            "hold",
            "Drift of roles, grants and settings is reported and not put back, as the stack file's "
            "reconcile.hold declares",
            metric=HOLD,
            statistic="Maximum",
            comparison="GreaterThanThreshold",
            threshold=0,
        )
        silence = self._alarm(
            "silence",
            f"The machine has not compared the server with what is declared for {_SILENT_MINUTES} minutes: "
            "look at the journal of passwordless-postgres-node on it",
            metric=DRIFT_FOUND,
            statistic="SampleCount",
            comparison="LessThanThreshold",
            threshold=1,
            periods=_SILENT_MINUTES,
            missing="breaching",
        )
        self.resources = ServerAlarmsResources(
            drift=drift,
            certificate=certificate,
            client_certificate=client_certificate,
            hold=hold,
            silence=silence,
        )
        made = (drift, certificate, client_certificate, hold, silence)
        self.register_outputs({"alarms": [alarm.name for alarm in made]})

    def _alarm(
        self,
        what: str,
        meaning: str,
        *,
        metric: str,
        statistic: str,
        comparison: str,
        threshold: float,
        periods: int = 1,
        missing: str = "ignore",
    ) -> cloudwatch.MetricAlarm:
        return cloudwatch.MetricAlarm(
            f"{self._name}-{what}",
            alarm_description=f"{self._args.server}: {meaning}",
            namespace=METRIC_NAMESPACE,
            metric_name=metric,
            dimensions={SERVER: self._args.log_group},
            statistic=statistic,
            period=INTERVAL_SECONDS,
            evaluation_periods=periods,
            threshold=threshold,
            comparison_operator=comparison,
            treat_missing_data=missing,
            alarm_actions=list(self._args.topics),
            tags=self._args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
