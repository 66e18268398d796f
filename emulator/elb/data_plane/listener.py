"""A listener of a load balancer on loopback: accepts, does the handshake, logs it, and hands on."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime

from emulator.core.event_loop import EventLoop
from emulator.elb.data_plane import forwarded_headers
from emulator.elb.data_plane.client_tls import ClientStream, ClientTls, HandshakeFailed, TlsStream
from emulator.elb.data_plane.client_verification import FailureCode
from emulator.elb.data_plane.configuration import ConfigurationRefused, ListenerConfiguration, Target
from emulator.elb.data_plane.connection_log import Connection, connection_trace_id
from emulator.elb.data_plane.forwarded_request import Forwarding
from emulator.elb.data_plane.proxying import ClientConnection, Facts
from emulator.elb.data_plane.targets import Health, Targets

_ADDRESSES = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
_BACKLOG = 1024
_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")

_log = logging.getLogger("emulator.elb.data_plane")


class PortTaken(OSError):
    """A listener cannot have its port; the text names it."""


class Listener:
    """One listener and its target group. Its methods may be called from any thread.

    Args:
        configuration: What holds until `update`.
        connection_log: Takes a line for each connection, from a thread of the listener.
        access_log: Takes a line for each request, likewise.

    Raises:
        ConfigurationRefused: AWS would not take the configuration.
    """

    def __init__(
        self,
        configuration: ListenerConfiguration,
        connection_log: Callable[[str], None],
        access_log: Callable[[str], None],
    ) -> None:
        self._rules = _Rules(configuration)
        self._connection_log = connection_log
        self._access_log = access_log
        self._loop: EventLoop | None = None
        self._targets = Targets()
        self._servers: list[asyncio.Server] = []
        self._clients: set[asyncio.Task[None]] = set()
        self._port = configuration.port

    @property
    def port(self) -> int:
        """Where it listens, once started."""
        return self._port

    def start(self) -> None:
        """Listens and begins to check targets.

        Raises:
            PortTaken: Somebody else listens there.
        """
        loop = EventLoop("load-balancer")
        loop.start()
        try:
            loop.run(self._open())
        except OSError as error:
            loop.stop()
            raise PortTaken(
                error.errno,
                f"The load balancer cannot listen on port {self._port} of loopback: {error.strerror}. End "
                "what listens there, or choose another port.",
            ) from error
        self._loop = loop

    def update(self, configuration: ListenerConfiguration) -> None:
        """Holds for new connections; those that exist keep what they began with, but see new targets.

        Raises:
            ConfigurationRefused: AWS would not take it, or the port differs. What held before holds on.
        """
        if configuration.port != self._rules.configuration.port:
            raise ConfigurationRefused(
                f"port: {configuration.port}; a listener keeps its port "
                f"({self._rules.configuration.port}). Stop it and start another one."
            )
        rules = _Rules(configuration)
        if self._loop is None:
            self._rules = rules
        else:
            self._loop.run(self._replace(rules))

    def stop(self) -> None:
        """Listens no more, ends all connections and forgets the targets."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.run(self._close())
            loop.stop()

    def target_health(self) -> dict[Target, Health]:
        """The state of each target, those included that still finish what they have."""
        return {} if self._loop is None else self._loop.run(self._health())

    async def _open(self) -> None:
        for listening in _sockets(self._port):
            self._port = listening.getsockname()[1]
            self._servers.append(await asyncio.start_server(self._accept, sock=listening, backlog=_BACKLOG))
        self._targets.update(self._rules.configuration.target_group)

    async def _replace(self, rules: _Rules) -> None:
        self._rules = rules
        self._targets.update(rules.configuration.target_group)

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        self._servers = []
        clients = list(self._clients)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        self._targets.close()

    async def _health(self) -> dict[Target, Health]:
        return self._targets.health()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = asyncio.get_running_loop().create_task(self._attend(reader, writer, self._rules))
        self._clients.add(client)
        client.add_done_callback(self._ended)

    async def _attend(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rules: _Rules
    ) -> None:
        try:
            await self._serve(reader, writer, rules)
        except asyncio.CancelledError:
            # What is still to be written is of no use to anybody.
            writer.transport.abort()
            raise
        except OSError:
            # The client is gone.
            return
        finally:
            if not writer.is_closing():
                writer.transport.abort()

    def _ended(self, client: asyncio.Task[None]) -> None:
        self._clients.discard(client)
        if not client.cancelled() and (error := client.exception()) is not None:
            _log.error("a connection ended with an error", exc_info=error)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rules: _Rules) -> None:
        configuration = rules.configuration
        peer = writer.get_extra_info("peername")
        if peer is None:
            raise ConnectionAbortedError("the client is gone already")
        handshake = _Handshake(ip=peer[0], port=peer[1], listener_port=self._port)
        if rules.tls is None:
            self._connection_log(handshake.over(None, None, plain=True))
            stream = ClientStream(reader, writer)
            added: dict[str, str] = {}
        else:
            stream = TlsStream(reader, writer, rules.tls)
            try:
                async with asyncio.timeout(configuration.idle_timeout_seconds):
                    await stream.establish()
            except (HandshakeFailed, TimeoutError) as error:
                code = error.code if isinstance(error, HandshakeFailed) else "UnmappedConnectionError"
                self._connection_log(handshake.over(stream, code))
                await stream.end()
                return
            self._connection_log(handshake.over(stream, None))
            added = _about(stream, configuration)
        secure = isinstance(stream, TlsStream)
        facts = Facts(
            configuration=configuration,
            forwarding=Forwarding(
                client_ip=handshake.ip,
                client_port=handshake.port,
                with_client_port=configuration.forwarded_for_client_port,
                forwarded_for_mode=configuration.forwarded_for_mode,
                protocol="https" if secure else "http",
                port=self._port,
                added=tuple((rules.names.get(name.lower(), name), value) for name, value in added.items()),
                drop_invalid=configuration.drop_invalid_header_fields,
            ),
            trace_id=handshake.trace_id,
            protocol=stream.protocol if secure else None,
            cipher=stream.cipher if secure else None,
            port=self._port,
        )
        await ClientConnection(stream, facts, self._targets, self._access_log).serve()
        await stream.end()


class _Rules:
    """A configuration, and what is made of it once."""

    def __init__(self, configuration: ListenerConfiguration) -> None:
        self.configuration = configuration
        if configuration.mode != "off" and not configuration.secure:
            raise ConfigurationRefused(
                f"port {configuration.port}: mode is {configuration.mode!r} without a certificate; "
                "mutual TLS needs a listener of HTTPS"
            )
        self.tls = ClientTls(configuration) if configuration.secure else None
        _check_names(configuration)
        self.names = {original.lower(): name for original, name in configuration.header_names.items()}


def _check_names(configuration: ListenerConfiguration) -> None:
    known = {name.lower() for name in forwarded_headers.RENAMEABLE}
    for original, name in configuration.header_names.items():
        if original.lower() not in known:
            raise ConfigurationRefused(
                f"header_names: {original!r} is no header that a listener adds; these are: "
                + ", ".join(forwarded_headers.RENAMEABLE)
            )
        if not _NAME.fullmatch(name):
            # The name may be a secret, so the text does not repeat it.
            raise ConfigurationRefused(
                f"header_names: the new name of {original} must be 1 to 40 letters, digits, hyphens and "
                f"underscores; it has {len(name)} characters"
            )


class _Handshake:
    """A connection from its acceptance to the entry in the log."""

    def __init__(self, *, ip: str, port: int, listener_port: int) -> None:
        self.ip, self.port = ip, port
        self.trace_id = connection_trace_id()
        self._listener_port = listener_port
        self._arrived, self._began = datetime.now(UTC), time.monotonic()

    def over(self, stream: TlsStream | None, failure: FailureCode | None, *, plain: bool = False) -> str:
        """The entry."""
        return Connection(
            arrived=self._arrived,
            client_ip=self.ip,
            client_port=self.port,
            listener_port=self._listener_port,
            protocol=stream.protocol if stream else None,
            cipher=stream.cipher if stream else None,
            key_exchange=stream.key_exchange if stream else None,
            latency_seconds=time.monotonic() - self._began if stream else None,
            leaf=stream.leaf if stream else None,
            failure=failure,
            plain=plain,
            trace_id=self.trace_id,
        ).line()


def _about(stream: TlsStream, configuration: ListenerConfiguration) -> dict[str, str]:
    """The headers about a connection, by their original names."""
    added: dict[str, str] = {}
    if configuration.mode == "verify" and stream.leaf is not None:
        added |= forwarded_headers.verify_headers(stream.leaf)
    if configuration.mode == "passthrough":
        added |= forwarded_headers.passthrough_headers(stream.presented)
    if configuration.tls_version_and_cipher_suite_headers:
        added[forwarded_headers.TLS_VERSION] = stream.protocol or "-"
        added[forwarded_headers.TLS_CIPHER_SUITE] = stream.cipher or "-"
    return added


def _sockets(port: int) -> list[socket.socket]:
    """The same port of each address of `localhost` that this machine has."""
    made: list[socket.socket] = []
    try:
        for family, address in _ADDRESSES:
            if family == socket.AF_INET6 and not _has_ipv6():
                continue
            # asyncio turns Nagle's algorithm off only where the protocol is named.
            listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            made.append(listening)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listening.bind((address, port or made[0].getsockname()[1] if len(made) > 1 else port))
            listening.setblocking(False)
    except OSError:
        for listening in made:
            listening.close()
        raise
    return made


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
