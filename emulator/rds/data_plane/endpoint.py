"""The port of an instance: TLS, authentication, then bytes to PostgreSQL and back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg

from emulator.core.ports import loopback_addresses
from emulator.rds.configuration import SOCKET_PORT
from emulator.rds.data_plane import messages
from emulator.rds.data_plane.channel import HIGH_WATER_BYTES, Channel, Closed
from emulator.rds.data_plane.iam_login import IamLogin, LoginRefused
from emulator.rds.data_plane.membership import Membership
from emulator.rds.data_plane.messages import Refused, fatal
from emulator.rds.data_plane.relay import relay
from emulator.rds.data_plane.startup import (
    LENGTH_BYTES,
    TLS_HANDSHAKE,
    CancelRequest,
    EncryptionRequest,
    StartupMessage,
    packet_length,
    parse_packet,
)
from emulator.rds.data_plane.tls_settings import ALPN, DIRECT_TLS_SINCE
from emulator.rds.model import ADMINISTRATOR, Instance

MOST_LOGGING_IN = 500
PARTING_SECONDS = 5.0
_BACKLOG = 1024
_AUTHORIZATION, _TIMED_OUT = "28000", "57014"

_log = logging.getLogger("emulator.rds")


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The configuration of new connections.

    Attributes:
        instance: With the parameters in effect.
        context: For TLS.
        login: Decides about tokens.
        socket: Folder of the server's socket.
        authentication_seconds: How long a login may take.
        note: Writes a line about a refused login by token.
    """

    instance: Instance
    context: ssl.SSLContext
    login: IamLogin
    socket: Path
    authentication_seconds: float
    note: Callable[[str], object]


class Endpoint:
    """One instance's port on loopback. All of it runs in one event loop.

    Args:
        membership: Says which roles log in by token.
        rules: The configuration; assign `rules` to change it for new connections.
    """

    def __init__(self, membership: Membership, rules: Rules) -> None:
        self.rules = rules
        self._membership = membership
        self._server: asyncio.Server | None = None
        self._sessions: set[asyncio.Task[None]] = set()
        # In the order of their arrival: the ones that hang longest go first when there are too many.
        self._logging_in: dict[Channel, asyncio.Task[None]] = {}

    async def open(self) -> None:
        """Listens.

        Raises:
            OSError: The port is taken.
        """
        self._server = await asyncio.start_server(
            self._begin,
            loopback_addresses(),
            self.rules.instance.port,
            limit=HIGH_WATER_BYTES // 2,
            backlog=_BACKLOG,
            reuse_address=True,
        )

    async def close(self) -> None:
        """Stops listening and ends all connections."""
        if self._server is not None:
            self._server.close()
            self._server = None
        sessions = list(self._sessions)
        for session in sessions:
            session.cancel()
        await asyncio.gather(*sessions, return_exceptions=True)
        await self._membership.close()

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Channel(reader, writer)
        if len(self._logging_in) >= MOST_LOGGING_IN:
            next(iter(self._logging_in.values())).cancel()
        session = asyncio.get_running_loop().create_task(self._serve(client, self.rules))
        self._sessions.add(session)
        self._logging_in[client] = session
        session.add_done_callback(lambda ended: self._ended(ended, client))

    def _ended(self, session: asyncio.Task[None], client: Channel) -> None:
        # A session that is cancelled before its first step closes nothing itself.
        client.abort()
        self._sessions.discard(session)
        self._logging_in.pop(client, None)
        if not session.cancelled() and (error := session.exception()) is not None:
            _log.error("a connection ended with an error", exc_info=error)

    async def _serve(self, client: Channel, rules: Rules) -> None:
        try:
            try:
                await self._log_in_and_relay(client, rules)
            except Refused as refusal:
                if refusal.message:
                    client.write(fatal(refusal.code, refusal.message))
            except TimeoutError:
                if client.established:
                    client.write(fatal(_TIMED_OUT, "canceling authentication due to timeout"))
            except Closed:
                # Either side is gone: there is no error to send, or nobody to send it to.
                pass
            await client.wind_down(PARTING_SECONDS)
        finally:
            client.abort()

    async def _log_in_and_relay(self, client: Channel, rules: Rules) -> None:
        async with asyncio.timeout(rules.authentication_seconds) as limit:
            packet = await _first_packet(client, rules)
            by_token = (
                await self._admit(client, packet, rules) if isinstance(packet, StartupMessage) else False
            )
            async with _postgresql(rules) as server:
                server.write(packet.packet)
                if isinstance(packet, CancelRequest):
                    # PostgreSQL closes the connection when it has done it, and clients wait for that.
                    while await server.read():
                        continue
                    return
                client.write(await _first_answer(server, packet, rules, by_token=by_token))
                limit.reschedule(None)
                self._logging_in.pop(client, None)
                await relay(client, server)

    async def _admit(self, client: Channel, startup: StartupMessage, rules: Rules) -> bool:
        """What RDS decides before PostgreSQL does; whether a token was verified."""
        rejects = f"pg_hba.conf rejects connection for {_described(client, startup)}"
        if ADMINISTRATOR in (startup.user, startup.database):
            raise Refused(rejects, _AUTHORIZATION)
        if rules.instance.force_ssl and not client.established:
            raise Refused(f"no pg_hba.conf entry for {_described(client, startup)}", _AUTHORIZATION)
        try:
            by_token = await self._membership.logs_in_by_token(startup.user)
        except psycopg.Error:
            # The server itself will say why it does not answer; it lets nobody in without a password.
            return False
        if not by_token:
            return False
        if not client.established:
            raise Refused(rejects, _AUTHORIZATION)
        await _verify(client, startup, rules)
        return True


async def _first_packet(client: Channel, rules: Rules) -> CancelRequest | StartupMessage:
    """The first packet after the requests for encryption; TLS is in place if it was asked for."""
    direct = rules.instance.major >= DIRECT_TLS_SINCE and await client.peek() == TLS_HANDSHAKE
    if direct and await client.start_tls(rules.context) != ALPN:
        raise Refused
    asked: set[EncryptionRequest] = set()
    while True:
        prefix = await client.read_exactly(LENGTH_BYTES)
        packet = parse_packet(prefix + await client.read_exactly(packet_length(prefix) - LENGTH_BYTES))
        if not isinstance(packet, EncryptionRequest):
            return packet
        if client.established or packet in asked:
            code = packet.value & 0xFFFF
            raise Refused(f"unsupported frontend protocol 1234.{code}: server supports 3", "0A000")
        if client.has_unread:
            # A man in the middle could have injected it, to be taken for data that TLS protects.
            what = "SSL" if packet is EncryptionRequest.SSL else "GSSAPI encryption"
            raise Refused(f"received unencrypted data after {what} request")
        asked.add(packet)
        if packet is EncryptionRequest.GSSENC:
            client.write(b"N")
        else:
            client.write(b"S")
            await client.start_tls(rules.context)


async def _verify(client: Channel, startup: StartupMessage, rules: Rules) -> None:
    client.write(messages.ASK_FOR_PASSWORD)
    header = await client.read_exactly(messages.HEADER_BYTES)
    if header[:1] != messages.PASSWORD_MESSAGE:
        raise Refused("expected password response")
    length = messages.body_length(header, messages.LONGEST_PASSWORD)
    password = messages.password_of(await client.read_exactly(length))
    refused = Refused(f'PAM authentication failed for user "{startup.user}"', _AUTHORIZATION)
    failed = f"Failed to authenticate the connection request for user {startup.user} because"
    if not rules.instance.iam_authentication or "replication" in startup.parameters:
        why = "of replication" if rules.instance.iam_authentication else "IAM authentication is not enabled"
        rules.note(f"{failed} {why}. (Status Code: 400, Error Code: InvalidRequest)")
        raise refused
    try:
        # The policies are behind a lock that other calls to AWS hold for a while.
        await asyncio.to_thread(rules.login.check, startup.user, password)
    except LoginRefused as error:
        rules.note(error.line)
        raise refused from None


async def _first_answer(server: Channel, startup: StartupMessage, rules: Rules, *, by_token: bool) -> bytes:
    """The server's messages up to the one that decides: it lets in exactly those whose token was verified."""
    collected = b""
    while True:
        header = await server.read_exactly(messages.HEADER_BYTES)
        length = messages.body_length(header, messages.LONGEST_ANSWER)
        body = await server.read_exactly(length)
        collected += header + body
        kind = header[:1]
        if kind == messages.ERROR:
            return collected
        if kind == messages.AUTHENTICATION:
            break
    if messages.lets_in(kind, body) != by_token:
        rules.note(f"rds_iam was granted or revoked while {startup.user} logged in")
        raise Refused(f'PAM authentication failed for user "{startup.user}"', _AUTHORIZATION)
    return collected


@contextlib.asynccontextmanager
async def _postgresql(rules: Rules) -> AsyncIterator[Channel]:
    """A connection to the server."""
    path = rules.socket / f".s.PGSQL.{SOCKET_PORT}"
    try:
        streams = await asyncio.open_unix_connection(path, limit=HIGH_WATER_BYTES // 2)
    except OSError as error:
        raise Closed(f"PostgreSQL is not there: {error}") from error
    with contextlib.closing(Channel(*streams)) as server:
        yield server


def _described(client: Channel, startup: StartupMessage) -> str:
    encryption = "SSL encryption" if client.established else "no encryption"
    return f'host "{client.peer}", user "{startup.user}", database "{startup.database}", {encryption}'
