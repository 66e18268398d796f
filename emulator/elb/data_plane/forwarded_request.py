"""The headers of a request as a load balancer forwards it. Pure.

Nothing that a client sent is removed except what belongs to one connection and what the listener's
attributes remove. AWS documents for no `X-Amzn-Mtls-*` header, original or renamed, that one sent by a client
is removed, and neither for `X-Forwarded-Proto` and `-Port`; so they stay, before those that are added, and a
target has to stand both.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from emulator.elb.data_plane.connection_log import Connection
from emulator.elb.model import ListenerConfiguration, Target

Header = tuple[bytes, bytes]

MOST_FORWARDED_ADDRESSES = 30

_VALID_NAME = re.compile(rb"[A-Za-z0-9-]+")
_HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
_TRACE, _FORWARDED_FOR = b"x-amzn-trace-id", b"x-forwarded-for"


@dataclass(frozen=True, kw_only=True)
class Forwarding:
    """A client's connection after its handshake, as far as its requests depend on it.

    Attributes:
        configuration: The one that applied when it began.
        connection: The client's address and the listener's port.
        added: Headers about the client's certificate and TLS, under the names that targets get.
    """

    configuration: ListenerConfiguration
    connection: Connection
    added: tuple[tuple[str, str], ...]

    @property
    def client(self) -> str:
        """Address and port."""
        return str(Target(host=self.connection.client_ip, port=self.connection.client_port))


def end_to_end(headers: Sequence[Header]) -> list[Header]:
    """Without what belongs to one connection: RFC 9110, section 7.6.1, and what `Connection` lists."""
    listed = {
        name.strip().lower()
        for key, value in headers
        if key.lower() == b"connection"
        for name in value.split(b",")
    }
    gone = _HOP_BY_HOP | listed
    return [(name, value) for name, value in headers if name.lower() not in gone]


def forwarded(
    headers: Sequence[Header], forwarding: Forwarding, *, chunked: bool, trace: str
) -> list[Header]:
    """What the target gets.

    Args:
        headers: As the client sent them, names as it spelt them.
        forwarding: The connection that they came on.
        chunked: Whether the body goes on in chunks.
        trace: A new field of `X-Amzn-Trace-Id`, as by `new_trace`.
    """
    kept = end_to_end(headers)
    if forwarding.configuration.load_balancer.drop_invalid_header_fields:
        kept = [(name, value) for name, value in kept if _VALID_NAME.fullmatch(name)]
    if chunked:
        kept = [(name, value) for name, value in kept if name.lower() != b"content-length"]
        kept.append((b"Transfer-Encoding", b"chunked"))
    kept = _with_address(kept, forwarding)
    kept = _with_trace(kept, trace)
    kept.append((b"X-Forwarded-Proto", b"https"))
    kept.append((b"X-Forwarded-Port", str(forwarding.connection.listener_port).encode()))
    kept.extend((name.encode(), value.encode()) for name, value in forwarding.added)
    return kept


def forwarded_addresses(headers: Sequence[Header]) -> int:
    """How many addresses `X-Forwarded-For` names already."""
    values = b",".join(value for name, value in headers if name.lower() == _FORWARDED_FOR)
    return len([address for address in values.split(b",") if address.strip()])


def new_trace(seconds: int) -> str:
    """`1-` with the time and 96 random bits.

    Args:
        seconds: Since the epoch.
    """
    return f"1-{seconds:08x}-{secrets.token_hex(12)}"


def _with_address(headers: list[Header], forwarding: Forwarding) -> list[Header]:
    load_balancer = forwarding.configuration.load_balancer
    if load_balancer.xff_header_processing_mode == "preserve":
        return headers
    others = [(name, value) for name, value in headers if name.lower() != _FORWARDED_FOR]
    if load_balancer.xff_header_processing_mode == "remove":
        return others
    address = forwarding.client if load_balancer.enable_xff_client_port else forwarding.connection.client_ip
    before = [value for name, value in headers if name.lower() == _FORWARDED_FOR]
    return [*others, (b"X-Forwarded-For", b", ".join([*before, address.encode()]))]


def _with_trace(headers: list[Header], trace: str) -> list[Header]:
    others = [(name, value) for name, value in headers if name.lower() != _TRACE]
    before = b";".join(value for name, value in headers if name.lower() == _TRACE)
    fields = [field for field in before.split(b";") if field and not field.lower().startswith(b"self=")]
    rooted = any(field.lower().startswith(b"root=") for field in fields)
    own = f"{'Self' if rooted else 'Root'}={trace}".encode()
    return [*others, (b"X-Amzn-Trace-Id", b";".join([own, *fields]))]
