"""Lines of a load balancer's access log: one for each request.

Source: Elastic Load Balancing, "Access logs for your Application Load Balancer". Fields are separated by
spaces; `-` or -1 stand for what is absent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from emulator.elb.data_plane.desync import COMPLIANT, Verdict
from emulator.elb.data_plane.forwarded_request import Forwarding
from emulator.elb.data_plane.log_file import quoted, timestamp


@dataclass(kw_only=True)
class Access:
    """What is known about a request; filled while it is served.

    Attributes:
        forwarding: The connection that it came on.
        created: When its first byte was read.
        trace_id: `X-Amzn-Trace-Id` as forwarded.
        request_seconds: Until it was sent to the target; None when it was not.
        target_seconds: Until the target began to answer; None when it did not.
        response_seconds: From then to the first byte for the client; None as before.
        status: Of the answer that the client got.
        target_status: Of the target's.
        received_bytes: From the client.
        sent_bytes: To it.
        action: `forward`, or `-` where the request was refused.
        finished: When the answer was complete.
    """

    forwarding: Forwarding
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    method: str = "-"
    url: str = "-"
    version: str = "-"
    user_agent: str = "-"
    host: str = "-"
    trace_id: str = "-"
    target_group_arn: str = "-"
    target: str = "-"
    request_seconds: float | None = None
    target_seconds: float | None = None
    response_seconds: float | None = None
    status: int | None = None
    target_status: int | None = None
    received_bytes: int = 0
    sent_bytes: int = 0
    action: str = "-"
    verdict: Verdict = COMPLIANT
    finished: datetime | None = None

    def line(self) -> str:
        """The entry, without the end of the line."""
        return " ".join(text(self) for text in FIELDS.values())


def _seconds(value: float | None) -> str:
    return "-1" if value is None else f"{value:.3f}"


def _target_status(access: Access) -> str:
    return str(access.target_status or "-")


FIELDS: Mapping[str, Callable[[Access], str]] = {
    "type": lambda _: "https",
    "time": lambda access: timestamp(access.finished or access.created),
    "elb": lambda access: access.forwarding.configuration.load_balancer.name_and_id,
    "client:port": lambda access: access.forwarding.client,
    "target:port": lambda access: access.target,
    "request_processing_time": lambda access: _seconds(access.request_seconds),
    "target_processing_time": lambda access: _seconds(access.target_seconds),
    "response_processing_time": lambda access: _seconds(access.response_seconds),
    "elb_status_code": lambda access: str(access.status or "-"),
    "target_status_code": _target_status,
    "received_bytes": lambda access: str(access.received_bytes),
    "sent_bytes": lambda access: str(access.sent_bytes),
    "request": lambda access: quoted(f"{access.method} {access.url} {access.version}"),
    "user_agent": lambda access: quoted(access.user_agent),
    "ssl_cipher": lambda access: access.forwarding.connection.cipher or "-",
    "ssl_protocol": lambda access: access.forwarding.connection.protocol or "-",
    "target_group_arn": lambda access: access.target_group_arn,
    "trace_id": lambda access: quoted(access.trace_id),
    "domain_name": lambda access: quoted(access.host),
    "chosen_cert_arn": lambda access: quoted(access.forwarding.configuration.listener.certificate_arn),
    "matched_rule_priority": lambda access: "0" if access.action != "-" else "-",
    "request_creation_time": lambda access: timestamp(access.created),
    "actions_executed": lambda access: quoted(access.action),
    "redirect_url": lambda _: quoted("-"),
    "error_reason": lambda _: quoted("-"),
    "target:port_list": lambda access: quoted(access.target),
    "target_status_code_list": lambda access: quoted(_target_status(access)),
    "classification": lambda access: quoted(
        "-" if access.verdict == COMPLIANT else access.verdict.classification
    ),
    "classification_reason": lambda access: quoted(access.verdict.reason),
    "conn_trace_id": lambda access: access.forwarding.connection.trace_id,
}
"""Name and text of each field, in the order of the line."""
