"""Lines of a load balancer's connection log: one for each attempt to connect to a listener.

Source: Elastic Load Balancing, "Connection logs for your Application Load Balancer". Files hold one line per
connection, fields separated by spaces, `-` for what is absent.
"""

from __future__ import annotations

import secrets
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509

from emulator.elb.data_plane.client_verification import FailureCode
from emulator.elb.data_plane.forwarded_headers import distinguished_name, serial_number, validity

FIELDS = (
    "timestamp",
    "client_ip",
    "client_port",
    "listener_port",
    "tls_protocol",
    "tls_cipher",
    "tls_handshake_latency",
    "leaf_client_cert_subject",
    "leaf_client_cert_validity",
    "leaf_client_cert_serial_number",
    "tls_verify_status",
    "conn_trace_id",
    "tls_keyexchange",
)
SUCCESS = "Success"


def connection_trace_id() -> str:
    """A new one; the access log's entries of the same connection bear it too."""
    return f"TID_{secrets.token_hex(16)}"


@dataclass(frozen=True, kw_only=True)
class Connection:
    """What is known about a connection when its handshake is over.

    Attributes:
        arrived: When it was accepted.
        client_ip: Address of the client.
        client_port: Its port.
        listener_port: Ours.
        protocol: Of TLS; None when nothing was agreed on.
        cipher: OpenSSL's name of the suite.
        key_exchange: OpenSSL's name of the group.
        latency_seconds: From the first byte to the end of the handshake.
        leaf: The client's certificate.
        failure: None for success.
        trace_id: See `connection_trace_id`.
    """

    arrived: datetime
    client_ip: str
    client_port: int
    listener_port: int
    protocol: str | None
    cipher: str | None
    key_exchange: str | None
    latency_seconds: float | None
    leaf: x509.Certificate | None
    failure: FailureCode | None
    trace_id: str

    def line(self) -> str:
        """The entry, without the end of the line."""
        leaf = self.leaf
        status = f'"Failed:{self.failure}"' if self.failure else SUCCESS
        return " ".join(
            (
                timestamp(self.arrived),
                self.client_ip,
                str(self.client_port),
                str(self.listener_port),
                self.protocol or "-",
                self.cipher or "-",
                "-" if self.latency_seconds is None else f"{self.latency_seconds:.3f}",
                "-" if leaf is None else quoted(distinguished_name(leaf.subject)),
                "-" if leaf is None else validity(leaf),
                "-" if leaf is None else serial_number(leaf),
                status,
                self.trace_id,
                self.key_exchange or "-",
            )
        )


def fields(line: str) -> dict[str, str]:
    """The fields of an entry by their names.

    Raises:
        ValueError: It has another form.
    """
    values = shlex.split(line)
    if len(values) != len(FIELDS):
        raise ValueError(f"an entry of the connection log has {len(FIELDS)} fields, this one {len(values)}")
    return dict(zip(FIELDS, values, strict=True))


def timestamp(moment: datetime) -> str:
    """ISO 8601 in UTC with microseconds."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def quoted(text: str) -> str:
    """Between double quotes; what could end the field or the line is escaped."""
    escaped = "".join(
        character if character.isprintable() else f"\\x{ord(character):02x}"
        for character in text.replace("\\", "\\\\").replace('"', '\\"')
    )
    return f'"{escaped}"'
