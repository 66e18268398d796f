"""What the server really serves, seen from the network.

After a reload with bad TLS files PostgreSQL keeps the old ones, and only its log tells.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
import struct
from dataclasses import dataclass

from postgres.protocol import SSL_REQUEST
from runtime.errors import FailedError

PROTOCOL_3_0 = 196608
TIMEOUT_SECONDS = 10
INVALID_AUTHORIZATION = "28000"
"""SQLSTATE of a connection that pg_hba.conf refuses."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One server's TCP address, from the machine itself."""

    host: str
    port: int

    def certificate_sha256(self) -> str:
        """SHA-256 of the leaf certificate served after PostgreSQL's SSLRequest.

        Raises:
            FailedError: there is no TLS server there.
        """
        # The caller compares the leaf's bytes, so there is nothing to verify here.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            with self._connect() as connection:
                connection.sendall(SSL_REQUEST)
                if connection.recv(1) != b"S":
                    raise FailedError(f"the server at {self.host}:{self.port} does not offer TLS")
                with context.wrap_socket(connection) as encrypted:
                    certificate = encrypted.getpeercert(binary_form=True)
        except OSError as error:
            raise FailedError(f"no TLS handshake with {self.host}:{self.port}: {error}") from error
        return hashlib.sha256(certificate or b"").hexdigest()

    def plaintext_refusal(self, role: str, database: str) -> str | None:
        """Try a login without TLS: the SQLSTATE of the refusal, None if it is not refused.

        Raises:
            FailedError: the server does not answer in PostgreSQL's protocol.
        """
        pairs = (
            "user",
            role,
            "database",
            database,
            "application_name",
            "passwordless-postgres plaintext check",
        )
        body = struct.pack("!i", PROTOCOL_3_0) + b"".join(text.encode() + b"\0" for text in pairs) + b"\0"
        try:
            with self._connect() as connection:
                connection.sendall(struct.pack("!i", len(body) + 4) + body)
                with connection.makefile("rb") as stream:
                    kind = stream.read(1)
                    (length,) = struct.unpack("!i", stream.read(4))
                    fields = stream.read(length - 4).split(b"\0")
        except (OSError, struct.error) as error:
            raise FailedError(f"no answer from {self.host}:{self.port}: {error}") from error
        if kind != b"E":
            return None
        return next((field[1:].decode() for field in fields if field.startswith(b"C")), "")

    def _connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=TIMEOUT_SECONDS)
