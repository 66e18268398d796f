"""CloudWatch alarms. Recorded: they never go off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from emulator.core.aws_type import AwsType
from emulator.core.checks import one_of


class MetricAlarm(AwsType):
    """`cloudwatch.MetricAlarm`."""

    token = "aws:cloudwatch/metricAlarm:MetricAlarm"
    required = ("comparisonOperator", "evaluationPeriods")
    defaults: ClassVar[Mapping[str, Any]] = {"actionsEnabled": True, "treatMissingData": "missing"}
    name_property = "name"
    arn_format = ("cloudwatch", "alarm:{id}")
    exactly_one = (("metricName", "metricQueries"),)
    checks: ClassVar = {
        "comparisonOperator": (
            one_of(
                "GreaterThanOrEqualToThreshold",
                "GreaterThanThreshold",
                "LessThanThreshold",
                "LessThanOrEqualToThreshold",
                "LessThanLowerOrGreaterThanUpperThreshold",
                "LessThanLowerThreshold",
                "GreaterThanUpperThreshold",
            ),
        ),
        "treatMissingData": (one_of("breaching", "ignore", "missing", "notBreaching"),),
    }
    replace_on = ("name",)
