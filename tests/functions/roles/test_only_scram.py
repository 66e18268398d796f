"""The master's password is proved by SCRAM-SHA-256 and goes over no wire, whatever a server asks for."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from functions.roles.session import NotScram, Server
from runtime.errors import FailedError, RefusedError
from tests.functions.roles.conftest import PASSWORD, Clock, Invocation, RdsLikeServer, certificate
from tests.postgres.rds_roles import MASTER

ERROR = b"SFATAL\0C28000\0Mno such role\0\0"


def authentication(method: int, data: bytes = b"") -> bytes:
    return b"R" + struct.pack("!ii", 8 + len(data), method) + data


def offer(*mechanisms: str) -> bytes:
    return authentication(10, b"".join(each.encode() + b"\0" for each in mechanisms) + b"\0")


class TlsServer:
    """A server that the function trusts and that does as it is scripted; `heard` is all that it was sent.

    `scripts` are one per connection: what it sends after the start-up message, each after one answer.
    """

    def __init__(self, folder: Path, *scripts: list[bytes]) -> None:
        self.ca_pem = certificate(folder)
        self.heard = b""
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "server.crt", folder / "server.key")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._scripts = scripts

    def _serve(self) -> None:
        for script in self._scripts:
            plain, _ = self._listener.accept()
            plain.settimeout(30)
            plain.recv(8)
            plain.sendall(b"S")
            with closing(self._context.wrap_socket(plain, server_side=True)) as connection:
                self.heard += connection.recv(4096)
                for message in script:
                    connection.sendall(message)
                    self.heard += connection.recv(4096)

    @contextmanager
    def running(self) -> Iterator[TlsServer]:
        thread = threading.Thread(target=self._serve)
        thread.start()
        try:
            yield self
            thread.join()
        finally:
            self._listener.close()


OK = authentication(0) + b"Z" + struct.pack("!ic", 5, b"I")


@pytest.mark.parametrize(
    ("says", "message"),
    [
        (authentication(3), "the server asks for a clear-text password"),
        (authentication(5, b"salt"), "the server asks for an MD5 password"),
        (OK, "the server asks for nothing"),
        (authentication(7), "the server asks for authentication method 7"),
        (authentication(11, b"r=x,s=eA==,i=4096"), "the server asks for authentication method 11"),
        (authentication(12, b"v=eA=="), "the server asks for authentication method 12"),
        (offer("SCRAM-SHA-1"), "the server offers SCRAM-SHA-1"),
        (offer("OAUTHBEARER"), "the server offers OAUTHBEARER"),
    ],
)
def test_no_other_request_is_answered(says: bytes, message: str, tmp_path: Path) -> None:
    with TlsServer(tmp_path, [says]).running() as hostile:
        server = Server(host="localhost", port=hostile.port, ca_pem=hostile.ca_pem)
        with pytest.raises(NotScram) as caught, server.session(MASTER, PASSWORD, only_scram=True):
            raise AssertionError("there is a session")
    assert message in str(caught.value)
    assert MASTER.encode() in hostile.heard
    # Nothing but start-up message and the end of the connection (b"X").
    assert hostile.heard.endswith((b"\0\0", b"\0\0X\0\0\0\4")), hostile.heard


@pytest.mark.parametrize(
    "then",
    [OK, authentication(3), offer("SCRAM-SHA-256"), authentication(12, b"v=" + b"A" * 43 + b"=") + OK],
    ids=["accepts it", "asks for a clear-text password", "begins anew", "proves nothing"],
)
def test_the_server_proves_that_it_knows_the_password_too(then: bytes, tmp_path: Path) -> None:
    nonce: list[bytes] = []

    class Halfway(TlsServer):
        """Answers the first message with its nonce, as SCRAM does, and then leaves SCRAM."""

        def _serve(self) -> None:
            plain, _ = self._listener.accept()
            plain.settimeout(30)
            plain.recv(8)
            plain.sendall(b"S")
            with closing(self._context.wrap_socket(plain, server_side=True)) as connection:
                connection.recv(4096)
                connection.sendall(offer("SCRAM-SHA-256"))
                first = connection.recv(4096)
                nonce.append(first.rpartition(b"r=")[2])
                connection.sendall(authentication(11, b"r=" + nonce[0] + b"server,s=c2FsdHNhbHQ=,i=4096"))
                connection.recv(4096)
                connection.sendall(then)
                self.heard += connection.recv(4096)

    with Halfway(tmp_path).running() as hostile:
        server = Server(host="localhost", port=hostile.port, ca_pem=hostile.ca_pem)
        with pytest.raises(NotScram), server.session(MASTER, PASSWORD, only_scram=True):
            raise AssertionError("there is a session")
    assert nonce
    assert hostile.heard in (b"", b"X\0\0\0\4")


def test_a_function_whose_server_was_taken_over_keeps_the_password(secret_arn: str, tmp_path: Path) -> None:
    refuses = b"E" + struct.pack("!i", 4 + len(ERROR)) + ERROR
    with TlsServer(tmp_path, [refuses], [authentication(3)]).running() as hostile:
        taken_over = RdsLikeServer(
            major=17, binaries=tmp_path, folder=tmp_path, port=hostile.port, ca_pem=hostile.ca_pem
        )
        outcome = Invocation(server=taken_over, secret_arn=secret_arn)(clock=Clock())
    assert outcome.outcome == "refused"
    assert "the server asks for a clear-text password" in outcome.message
    assert PASSWORD.encode() not in hostile.heard


def test_a_server_that_keeps_to_scram_lets_the_master_in(server: RdsLikeServer) -> None:
    place = Server(host="localhost", port=server.port, ca_pem=server.ca_pem)
    with place.session(MASTER, PASSWORD, only_scram=True) as session:
        assert session.run("SELECT current_user::text") == [[MASTER]]


def test_the_proof_is_bound_to_the_certificate_where_the_server_offers_it(tmp_path: Path) -> None:
    with TlsServer(tmp_path, [offer("SCRAM-SHA-256", "SCRAM-SHA-256-PLUS")]).running() as offering:
        place = Server(host="localhost", port=offering.port, ca_pem=offering.ca_pem)
        with pytest.raises(FailedError), place.session(MASTER, PASSWORD, only_scram=True):
            raise AssertionError("there is a session")
    assert b"SCRAM-SHA-256-PLUS\0" in offering.heard
    assert b"p=tls-server-end-point,," in offering.heard


def test_md5_passwords_of_the_master_are_refused(server: RdsLikeServer) -> None:
    server.sql(f"SET password_encryption = md5; ALTER ROLE {MASTER} PASSWORD '{PASSWORD}'")
    hba = (server.folder / "data" / "pg_hba.conf").read_text()
    server.write_hba(hba.replace(f"{MASTER} all scram-sha-256", f"{MASTER} all md5"))
    place = Server(host="localhost", port=server.port, ca_pem=server.ca_pem)
    with (
        pytest.raises(RefusedError, match="asks for an MD5 password"),
        place.session(MASTER, PASSWORD, only_scram=True),
    ):
        raise AssertionError("there is a session")
