"""Lines of a load balancer's connection log: one for each attempt to connect to a listener.

Source: Elastic Load Balancing, "Connection logs for your Application Load Balancer". Files hold one line per
connection, fields separated by spaces, `-` for what is absent.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography import x509

from emulator.elb.data_plane.client_verification import FailureCode
from emulator.elb.data_plane.forwarded_headers import distinguished_name, serial_number, validity
from emulator.elb.data_plane.log_file import quoted, timestamp

SUCCESS = "Success"


@dataclass(frozen=True, kw_only=True)
class Connection:
    """What is known about a connection, from its acceptance to the end of its handshake.

    Attributes:
        listener_port: Ours.
        arrived: When it was accepted.
        trace_id: The access log's entries of the same connection bear it too.
        protocol: Of TLS; None when nothing was agreed on.
        cipher: OpenSSL's name of the suite.
        key_exchange: OpenSSL's name of the group.
        latency_seconds: From the first byte to the end of the handshake.
        failure: None for success.
    """

    client_ip: str
    client_port: int
    listener_port: int
    arrived: datetime = field(default_factory=lambda: datetime.now(UTC))
    trace_id: str = field(default_factory=lambda: f"TID_{secrets.token_hex(16)}")
    protocol: str | None = None
    cipher: str | None = None
    key_exchange: str | None = None
    latency_seconds: float | None = None
    leaf: x509.Certificate | None = None
    failure: FailureCode | None = None

    def line(self) -> str:
        """The entry, without the end of the line."""
        return " ".join(text(self) for text in FIELDS.values())


def _of_leaf(text: Callable[[x509.Certificate], str]) -> Callable[[Connection], str]:
    return lambda connection: "-" if connection.leaf is None else text(connection.leaf)


FIELDS: Mapping[str, Callable[[Connection], str]] = {
    "timestamp": lambda connection: timestamp(connection.arrived),
    "client_ip": lambda connection: connection.client_ip,
    "client_port": lambda connection: str(connection.client_port),
    "listener_port": lambda connection: str(connection.listener_port),
    "tls_protocol": lambda connection: connection.protocol or "-",
    "tls_cipher": lambda connection: connection.cipher or "-",
    "tls_handshake_latency": lambda connection: (
        "-" if connection.latency_seconds is None else f"{connection.latency_seconds:.3f}"
    ),
    "leaf_client_cert_subject": _of_leaf(lambda leaf: quoted(distinguished_name(leaf.subject))),
    "leaf_client_cert_validity": _of_leaf(validity),
    "leaf_client_cert_serial_number": _of_leaf(serial_number),
    "tls_verify_status": lambda connection: (
        f'"Failed:{connection.failure}"' if connection.failure else SUCCESS
    ),
    "conn_trace_id": lambda connection: connection.trace_id,
    "tls_keyexchange": lambda connection: connection.key_exchange or "-",
}
"""Name and text of each field, in the order of the line."""
