"""Serves a listener on loopback: accepts connections, does the TLS handshake, logs it, starts proxying."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from dataclasses import replace

from emulator.core.event_loop import EventLoop
from emulator.core.ports import loopback_addresses
from emulator.elb.data_plane import forwarded_headers
from emulator.elb.data_plane.client_tls import ClientTls, HandshakeFailed, TlsStream
from emulator.elb.data_plane.client_verification import FailureCode
from emulator.elb.data_plane.connection_log import Connection
from emulator.elb.data_plane.forwarded_request import Forwarding
from emulator.elb.data_plane.proxying import ClientConnection
from emulator.elb.data_plane.targets import Health, Targets
from emulator.elb.model import ListenerConfiguration, Target

_BACKLOG = 1024

_log = logging.getLogger("emulator.elb.data_plane")


class PortTaken(OSError):
    """A listener cannot have its port; the text names it."""


class ListenerServer:
    """Serves one listener and its target group. Its methods may be called from any thread.

    Args:
        configuration: What applies until `update`.
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
        self._tls = ClientTls(configuration)
        self._connection_log = connection_log
        self._access_log = access_log
        self._loop: EventLoop | None = None
        self._targets = Targets()
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    @property
    def configuration(self) -> ListenerConfiguration:
        """What applies to new connections."""
        return self._tls.configuration

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.configuration.listener.port

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
                f"The load balancer cannot listen on port {self.port} of loopback: "
                f"{os.strerror(error.errno or 0)}. End what listens there, or choose another port.",
            ) from error
        self._loop = loop

    def update(self, configuration: ListenerConfiguration) -> None:
        """Applies to new connections; existing ones keep what they began with, but see new targets.

        The port stays.

        Raises:
            ConfigurationRefused: AWS would not take it. The previous configuration stays.
        """
        tls = ClientTls(configuration)
        if self._loop is None:
            self._tls = tls
        else:
            self._loop.run(self._replace(tls))

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
        self._server = await asyncio.start_server(
            self._accept, loopback_addresses(), self.port, backlog=_BACKLOG, reuse_address=True
        )
        self._targets.update(self.configuration)

    async def _replace(self, tls: ClientTls) -> None:
        self._tls = tls
        self._targets.update(self.configuration)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        clients = list(self._clients)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        self._targets.close()

    async def _health(self) -> dict[Target, Health]:
        return self._targets.health()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = asyncio.get_running_loop().create_task(self._attend(reader, writer, self._tls))
        self._clients.add(client)
        client.add_done_callback(self._ended)

    async def _attend(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tls: ClientTls
    ) -> None:
        try:
            await self._serve(reader, writer, tls)
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

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tls: ClientTls
    ) -> None:
        configuration = tls.configuration
        peer = writer.get_extra_info("peername")
        if peer is None:
            raise ConnectionAbortedError("the client is gone already")
        accepted = Connection(client_ip=peer[0], client_port=peer[1], listener_port=self.port)
        began = time.monotonic()
        stream = TlsStream(reader, writer, tls)
        failure: FailureCode | None = None
        try:
            async with asyncio.timeout(configuration.load_balancer.idle_timeout):
                await stream.establish()
        except HandshakeFailed as error:
            failure = error.code
        except TimeoutError:
            failure = "UnmappedConnectionError"
        connection = replace(
            accepted,
            protocol=stream.protocol,
            cipher=stream.cipher,
            key_exchange=stream.key_exchange,
            latency_seconds=time.monotonic() - began,
            leaf=stream.leaf,
            failure=failure,
        )
        self._connection_log(connection.line())
        if failure is None:
            names = configuration.listener.header_names
            added = tuple(
                (names.get(name.lower(), name), value)
                for name, value in _connection_headers(stream, configuration).items()
            )
            forwarding = Forwarding(configuration=configuration, connection=connection, added=added)
            await ClientConnection(stream, forwarding, self._targets, self._access_log).serve()
        await stream.end()


def _connection_headers(stream: TlsStream, configuration: ListenerConfiguration) -> dict[str, str]:
    """The headers about the client's certificate and TLS, by their original names."""
    added: dict[str, str] = {}
    mode = configuration.listener.mutual_authentication.mode
    if mode == "verify" and stream.leaf is not None:
        added |= forwarded_headers.verify_headers(stream.leaf)
    if mode == "passthrough":
        added |= forwarded_headers.passthrough_headers(stream.presented)
    if configuration.load_balancer.enable_tls_version_and_cipher_suite_headers:
        added[forwarded_headers.TLS_VERSION] = stream.protocol or "-"
        added[forwarded_headers.TLS_CIPHER_SUITE] = stream.cipher or "-"
    return added
