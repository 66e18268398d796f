"""What alarms learn of a server: metrics once a minute, as lines in a stream of its log group."""

from __future__ import annotations

import datetime
from dataclasses import replace

from node.drift import Drift
from node.layout import Layout
from node.pristine import Pristine
from node.server_log import put_events
from runtime.cloudwatch import metrics_line
from runtime.instance_metadata import InstanceMetadata
from runtime.signed_requests import SignedRequests

SERVER = "Server"
"""The one dimension: the name of the server's log group."""
DRIFT_FOUND = "DriftFound"
"""How many deviations from the desired state were found, or could not be repaired, since the last line."""
CERTIFICATE_DAYS_LEFT = "ServerCertificateDaysLeft"
"""Days until the server's certificate ends."""
CLIENT_CERTIFICATE_DAYS_LEFT = "ClientCertificateDaysLeft"
"""Days until the first of the roles' certificates ends; there is no such metric without roles."""
HOLD = "ReconciliationHeld"
"""1 while drift is only reported, else 0."""
INTERVAL_SECONDS = 60


def publish(
    layout: Layout, pristine: Pristine, requests: SignedRequests, log_group: str, now: datetime.datetime
) -> None:
    """Add a line, if the last one is a minute old.

    Raises:
        FailedError: AWS refuses or cannot be reached; what was found is published later.
    """
    drift = Drift.load(layout)
    moment = now.timestamp()
    if 0 <= moment - drift.published < INTERVAL_SECONDS:
        return
    values = {
        DRIFT_FOUND: (float(drift.new), "Count"),
        HOLD: (float(bool(pristine.held(now))), "Count"),
        CERTIFICATE_DAYS_LEFT: (_days_left(pristine.certificate_not_after, now), "None"),
    }
    if pristine.client_certificates_not_after is not None:
        left = _days_left(pristine.client_certificates_not_after, now)
        values[CLIENT_CERTIFICATE_DAYS_LEFT] = (left, "None")
    # What had drifted is for people who read the log, such as with `pgpasswordless verify`.
    line = metrics_line((SERVER, log_group), values, moment, {"drift": drift.reported()})
    event = {"timestamp": int(moment * 1000), "message": line}
    put_events(requests, log_group, f"{InstanceMetadata().instance_id()}/node", [event])
    replace(drift, new=0, published=moment).save(layout)


def _days_left(not_after: str, now: datetime.datetime) -> float:
    left = datetime.datetime.fromisoformat(not_after) - now
    return round(left.total_seconds() / 86400, 3)
