"""Metrics of a function that reconciles catalogues, as lines of its log that CloudWatch reads them from.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping

NAMESPACE = "passwordless-postgres"
DIMENSION = "RolesFunction"
"""Name of the function."""

DRIFT = "CatalogueDrift"
"""How many things somebody had changed by hand and the run put back."""

FOREIGN = "ForeignGrants"
"""How many things others made that the run left alone."""

HOLD = "ReconciliationHeld"
"""1 while drift is only reported, else 0."""

FAILED = "FailedReconciliations"
"""1 for a run that could not bring about what is declared, else 0."""


def line(function: str, values: Mapping[str, int], now: float) -> str:
    """A line of the log that CloudWatch reads metrics from, without a call and without a permission.

    Args:
        function: Name of the function.
        values: Counts by metric.
        now: Seconds since 1970.
    """
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [[DIMENSION]],
        "Metrics": [{"Name": name, "Unit": "Count"} for name in values],
    }
    metadata = {"Timestamp": int(now * 1000), "CloudWatchMetrics": [directive]}
    return json.dumps({"_aws": metadata, DIMENSION: function, **values})
