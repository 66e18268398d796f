"""Lines of a load balancer's access log: one for each request.

Source: Elastic Load Balancing, "Access logs for your Application Load Balancer". Fields are separated by
spaces; `-` or -1 stand for what is absent.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import datetime

from emulator.elb.data_plane.connection_log import quoted, timestamp
from emulator.elb.data_plane.desync import COMPLIANT, Verdict

FIELDS = (
    "type",
    "time",
    "elb",
    "client:port",
    "target:port",
    "request_processing_time",
    "target_processing_time",
    "response_processing_time",
    "elb_status_code",
    "target_status_code",
    "received_bytes",
    "sent_bytes",
    "request",
    "user_agent",
    "ssl_cipher",
    "ssl_protocol",
    "target_group_arn",
    "trace_id",
    "domain_name",
    "chosen_cert_arn",
    "matched_rule_priority",
    "request_creation_time",
    "actions_executed",
    "redirect_url",
    "error_reason",
    "target:port_list",
    "target_status_code_list",
    "classification",
    "classification_reason",
    "conn_trace_id",
)


@dataclass(kw_only=True)
class Access:
    """What is known about a request; filled while it is served.

    Attributes:
        load_balancer: `app/name/id`.
        client: Address and port.
        created: When its first byte was read.
        connection_trace_id: That of the connection log.
        certificate_arn: The listener's.
        cipher: OpenSSL's name.
        protocol: Of TLS.
        method: Of the request.
        url: With scheme, host and port.
        version: Of HTTP.
        user_agent: As sent.
        host: Name that the client asked for.
        trace_id: `X-Amzn-Trace-Id` as forwarded.
        target_group_arn: Where it went.
        target: Address and port of the target.
        request_seconds: Until it was sent to the target; None when it was not.
        target_seconds: Until the target began to answer; None when it did not.
        response_seconds: From then to the first byte for the client; None as before.
        status: Of the answer that the client got.
        target_status: Of the target's.
        received_bytes: From the client.
        sent_bytes: To it.
        action: `forward`, or `-` where the request was refused.
        verdict: See `desync`.
        finished: When the answer was complete.
    """

    load_balancer: str
    client: str
    created: datetime
    connection_trace_id: str
    certificate_arn: str = "-"
    cipher: str | None = None
    protocol: str | None = None
    method: str = "-"
    url: str = "-"
    version: str = "-"
    user_agent: str = "-"
    host: str = "-"
    trace_id: str = "-"
    target_group_arn: str = "-"
    target: str | None = None
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
        target, target_status = self.target or "-", _number(self.target_status)
        compliant = self.verdict == COMPLIANT
        return " ".join(
            (
                "https",
                timestamp(self.finished or self.created),
                self.load_balancer,
                self.client,
                target,
                _seconds(self.request_seconds),
                _seconds(self.target_seconds),
                _seconds(self.response_seconds),
                _number(self.status),
                target_status,
                str(self.received_bytes),
                str(self.sent_bytes),
                quoted(f"{self.method} {self.url} {self.version}"),
                quoted(self.user_agent),
                self.cipher or "-",
                self.protocol or "-",
                self.target_group_arn,
                quoted(self.trace_id),
                quoted(self.host if self.protocol else "-"),
                quoted(self.certificate_arn),
                "0" if self.action != "-" else "-",
                timestamp(self.created),
                quoted(self.action),
                quoted("-"),
                quoted("-"),
                quoted(target),
                quoted(target_status),
                quoted("-" if compliant else self.verdict.classification),
                quoted(self.verdict.reason),
                self.connection_trace_id,
            )
        )


def fields(line: str) -> dict[str, str]:
    """The fields of an entry by their names.

    Raises:
        ValueError: It has another form.
    """
    values = shlex.split(line)
    if len(values) != len(FIELDS):
        raise ValueError(f"an entry of the access log has {len(FIELDS)} fields, this one {len(values)}")
    return dict(zip(FIELDS, values, strict=True))


def _seconds(value: float | None) -> str:
    return "-1" if value is None else f"{value:.3f}"


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)
