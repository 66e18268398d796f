"""The server's side of one TLS connection, between bytes from the wire and bytes for it. No I/O."""

from __future__ import annotations

import ssl

_READ_BYTES = 256 * 1024


class TlsSession:
    """One connection. What `take_output` returns must be sent after every call of anything else.

    Args:
        context: Certificate and what is accepted.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.established = False
        self.ended = False
        """Whether the client has sent close_notify."""

    @property
    def protocol_of_application(self) -> str | None:
        """The protocol that ALPN chose."""
        return self._object.selected_alpn_protocol()

    def receive(self, data: bytes) -> bytes:
        """Takes bytes from the wire; returns the plain text.

        Raises:
            ssl.SSLError: The client breaks the protocol, or offers nothing that is accepted. The alert
                for it is in the output.
        """
        self._incoming.write(data)
        if not self.established:
            try:
                self._object.do_handshake()
            except ssl.SSLWantReadError:
                return b""
            self.established = True
        plain = bytearray()
        while not self.ended:
            try:
                part = self._object.read(_READ_BYTES)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                part = b""
            if not part:
                self.ended = True
            plain += part
        return bytes(plain)

    def send(self, plain: bytes) -> None:
        view = memoryview(plain)
        while view:
            view = view[self._object.write(view) :]

    def finish(self) -> None:
        """Sends close_notify."""
        try:
            self._object.unwrap()
        except (ssl.SSLError, OSError):
            # Ours is written; the client's own may come later or never.
            return

    def take_output(self) -> bytes:
        return self._outgoing.read()
