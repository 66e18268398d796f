"""TLS with clients, as a listener is configured: what is offered, and who is refused in the handshake.

pyOpenSSL instead of Python's ssl, for its callback sees every certificate of the chain and every finding, so
that a refusal is an alert within the handshake and has its reason in the log. Sessions are never resumed:
ALB does not with mutual TLS, and each connection must prove its key.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto

from emulator.elb.data_plane.ca_bundle import CaBundle, read_ca_bundle
from emulator.elb.data_plane.client_verification import LONGEST_MESSAGE_BYTES, FailureCode, failure
from emulator.elb.data_plane.ssl_policies import Protocol, ssl_policy
from emulator.elb.model import ConfigurationRefused, ListenerConfiguration

PARTING_SECONDS = 5.0
_READ_BYTES = 64 * 1024
_RECORD_HEADER_BYTES, _LONGEST_RECORD = 5, 16 * 1024 + 2048
_HANDSHAKE_RECORD = 22
_HTTP = b"http/1.1"
_VERSIONS: Mapping[Protocol, int] = {
    "TLSv1": SSL.TLS1_VERSION,
    "TLSv1.1": SSL.TLS1_1_VERSION,
    "TLSv1.2": SSL.TLS1_2_VERSION,
    "TLSv1.3": SSL.TLS1_3_VERSION,
}


class HandshakeFailed(Exception):
    """A client was refused, or went away, before its connection was established.

    Attributes:
        code: For the connection log.
    """

    def __init__(self, code: FailureCode) -> None:
        super().__init__(code)
        self.code: FailureCode = code


class ClientTls:
    """The server side of TLS under one configuration.

    Args:
        configuration: The listener's.

    Raises:
        ConfigurationRefused: AWS would not take it.
    """

    def __init__(self, configuration: ListenerConfiguration) -> None:
        self.configuration = configuration
        self._context = _context(configuration)
        authentication = configuration.listener.mutual_authentication
        if authentication.mode == "verify":
            store = configuration.trust_store
            if store is None:
                raise ConfigurationRefused("mutual TLS in verify mode needs a trust store")
            bundle = read_ca_bundle(store.bundle, store.revocation_lists)
            _trust(self._context, bundle, advertise=authentication.advertise_trust_store_ca_names == "on")

    def connection(self) -> SSL.Connection:
        """A new connection, between bytes from the wire and bytes for it."""
        connection = SSL.Connection(self._context, None)
        connection.set_accept_state()
        return connection


class TlsStream:
    """A client's connection.

    Args:
        tls: What applies to the handshake.

    Attributes:
        leaf: The client's certificate, once seen.
        presented: What it sent, its own certificate first; complete after the handshake.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tls: ClientTls) -> None:
        self._reader = reader
        self._writer = writer
        authentication = tls.configuration.listener.mutual_authentication
        self._mode = authentication.mode
        self._ignore_expiry = authentication.ignore_client_certificate_expiry
        self._tls = tls.connection()
        self._received = 0
        self._failure: FailureCode | None = None
        self.leaf: x509.Certificate | None = None
        self.presented: tuple[x509.Certificate, ...] = ()
        if self._mode != "off":
            required = SSL.VERIFY_FAIL_IF_NO_PEER_CERT if self._mode == "verify" else 0
            self._tls.set_verify(SSL.VERIFY_PEER | required, self._judge)

    @property
    def protocol(self) -> str | None:
        """Of TLS, once it is agreed on."""
        return self._tls.get_protocol_version_name() if self._tls.get_cipher_name() else None

    @property
    def cipher(self) -> str | None:
        """OpenSSL's name of the suite, once it is agreed on."""
        return self._tls.get_cipher_name()

    @property
    def key_exchange(self) -> str | None:
        """Name of the group, once it is agreed on."""
        return self._tls.get_group_name() if self._tls.get_cipher_name() else None

    async def establish(self) -> None:
        """Does the handshake. The client has the alert when it is refused.

        Raises:
            HandshakeFailed: It is refused, or went away.
        """
        try:
            while True:
                with contextlib.suppress(SSL.WantReadError):
                    self._tls.do_handshake()
                    break
                # Record by record, so that what is counted belongs to the handshake alone.
                await self._flush()
                await self._take_record()
            await self._flush()
        except (OSError, asyncio.IncompleteReadError):
            raise HandshakeFailed("UnmappedConnectionError") from None
        except SSL.Error as error:
            await self._send_alert()
            raise HandshakeFailed(self._failure or _code(error)) from None
        own = None if self._mode == "off" else self._tls.get_peer_certificate(as_cryptography=True)
        if own is not None:
            others = self._tls.get_peer_cert_chain(as_cryptography=True) or []
            self.leaf = own
            self.presented = (own, *(other for other in others if other != own))

    async def read(self) -> bytes:
        """What has arrived; nothing at the end.

        Raises:
            OSError: The connection broke, or breaks the rules of TLS.
        """
        while True:
            try:
                return self._tls.recv(_READ_BYTES)
            except SSL.WantReadError:
                await self._flush()
            except SSL.ZeroReturnError:
                return b""
            except SSL.Error as error:
                await self._send_alert()
                raise ConnectionAbortedError("the client breaks the rules of TLS") from error
            data = await self._reader.read(_READ_BYTES)
            if not data:
                return b""
            self._tls.bio_write(data)

    async def write(self, data: bytes) -> None:
        """Sends, waiting while the client reads too slowly.

        Raises:
            OSError: The connection broke.
        """
        view = memoryview(data)
        try:
            while view:
                view = view[self._tls.send(view[:_READ_BYTES]) :]
        except SSL.Error as error:
            raise ConnectionAbortedError("TLS with the client is over") from error
        await self._flush()

    async def end(self) -> None:
        """Ends after what was written was sent and the client has had time to read it.

        Closing a connection on which something unread has arrived would make the client lose what was sent
        last, an alert for example; so it is read and dropped until the client ends too.
        """
        try:
            async with asyncio.timeout(PARTING_SECONDS):
                # A handshake that failed has sent its alert already.
                with contextlib.suppress(SSL.Error):
                    self._tls.shutdown()
                await self._flush()
                self._writer.write_eof()
                while await self._reader.read(_READ_BYTES):
                    continue
        except OSError:
            # The client has gone, or had its time.
            return
        finally:
            self._writer.close()

    async def _take_record(self) -> None:
        header = await self._reader.readexactly(_RECORD_HEADER_BYTES)
        length = int.from_bytes(header[3:])
        first = not self._received
        if (first and header[0] != _HANDSHAKE_RECORD) or header[1] != 3 or length > _LONGEST_RECORD:
            raise HandshakeFailed("UnmappedConnectionError")
        record = header + await self._reader.readexactly(length)
        self._received += len(record)
        self._tls.bio_write(record)

    def _judge(
        self, _connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, _ok: int
    ) -> bool:
        """OpenSSL asks for each certificate and each finding; False ends the handshake with an alert."""
        if self._received > LONGEST_MESSAGE_BYTES:
            self._failure = "ClientCertMaxSizeExceeded"
            return False
        if self._mode == "passthrough":
            return True
        try:
            parsed = certificate.to_cryptography()
            if depth == 0:
                self.leaf = parsed
            found = failure(parsed, depth=depth, error=error, ignore_expiry=self._ignore_expiry)
        except ValueError:
            # OpenSSL reads more than RFC 5280 allows in an X.509 certificate; the parser does not.
            found = "ClientCertInvalid"
        self._failure = found
        return found is None

    async def _send_alert(self) -> None:
        # The client may have gone without waiting for the reason.
        with contextlib.suppress(OSError):
            await self._flush()

    async def _flush(self) -> None:
        with contextlib.suppress(SSL.WantReadError):
            while True:
                self._writer.write(self._tls.bio_read(_READ_BYTES))
        await self._writer.drain()


def _code(error: SSL.Error) -> FailureCode:
    reasons = [reason for _, _, reason in error.args[0]] if error.args else []
    return "ClientCertMaxSizeExceeded" if "excessive message size" in reasons else "UnmappedConnectionError"


def _context(configuration: ListenerConfiguration) -> SSL.Context:
    policy = ssl_policy(configuration.listener.ssl_policy)
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(_VERSIONS[policy.minimum])
    context.set_max_proto_version(_VERSIONS[policy.maximum])
    context.set_options(
        SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION | SSL.OP_CIPHER_SERVER_PREFERENCE
    )
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_session_id(b"load balancer")
    if policy.ciphers:
        # TLS 1.0 and 1.1 sign with SHA-1, which OpenSSL does at this level alone.
        level = ":@SECLEVEL=0" if policy.minimum in {"TLSv1", "TLSv1.1"} else ""
        context.set_cipher_list((":".join(policy.ciphers) + level).encode())
    if policy.tls13_ciphers:
        context.set_tls13_ciphersuites(":".join(policy.tls13_ciphers).encode())
    context.set_alpn_select_callback(_select_protocol)
    _identify(context, configuration)
    return context


def _select_protocol(_connection: SSL.Connection, offered: list[bytes]) -> bytes:
    if _HTTP in offered:
        return _HTTP
    return SSL.NO_OVERLAPPING_PROTOCOLS  # pyright: ignore[reportReturnType] - what the callback may say


def _identify(context: SSL.Context, configuration: ListenerConfiguration) -> None:
    certificate = configuration.certificate
    try:
        own, *others = x509.load_pem_x509_certificates(certificate.chain_pem.encode())
        key = load_pem_private_key(certificate.private_key_pem.encode(), password=None)
        context.use_certificate(own)
        for other in others:
            context.add_extra_chain_cert(other)
        context.use_privatekey(key)  # pyright: ignore[reportArgumentType]
        context.check_privatekey()
    except (ValueError, TypeError, SSL.Error):
        # Errors of parsers may repeat what they read, and a key may be part of it.
        raise ConfigurationRefused(
            f"port {configuration.listener.port}: the certificate must be a PEM chain, the server's "
            "certificate first, with the unencrypted PEM key of that certificate"
        ) from None


def _trust(context: SSL.Context, bundle: CaBundle, *, advertise: bool) -> None:
    trusted = context.get_cert_store()
    if trusted is None:
        raise RuntimeError("an OpenSSL context without a certificate store")
    for authority in bundle.authorities:
        trusted.add_cert(crypto.X509.from_cryptography(authority))
        if advertise:
            context.add_client_ca(authority)
    for crl in bundle.revocation_lists:
        trusted.add_crl(crl)
    if bundle.revocation_lists:
        trusted.set_flags(crypto.X509StoreFlags.CRL_CHECK | crypto.X509StoreFlags.CRL_CHECK_ALL)
    # Each chain must end in a self-signed authority, as OpenSSL has it by default; that an intermediate one
    # may be trusted by itself is documented nowhere. Chains that are too long get their own code from the
    # callback.
    context.set_verify_depth(100)
