"""Clients that stop in the middle of a login are ended, and nobody else notices."""

from __future__ import annotations

import socket
import ssl
import struct

import pytest

from emulator.rds.data_plane import endpoint
from tests.emulator.rds.conftest import MASTER, Cloud, eventually, with_application
from tests.emulator.rds.test_encryption import SSL_REQUEST, everything, startup


@pytest.fixture(scope="module")
def cloud(postgresql_binaries):
    running = Cloud(postgresql_binaries, authentication_seconds=1.0)
    yield running
    running.close()


@pytest.fixture(scope="module")
def database(cloud):
    return with_application(cloud, cloud.instance())


def hanging(cloud, database):
    """One connection per phase in which a client can stop."""

    def opened(*parts):
        connection = socket.create_connection(("localhost", database.port), timeout=60)
        for part in parts:
            connection.sendall(part)
        return connection

    def protected(content):
        connection = opened(SSL_REQUEST)
        assert connection.recv(1) == b"S"
        context = ssl.create_default_context(cafile=str(cloud.databases.bundle))
        found = context.wrap_socket(connection, server_hostname="localhost")
        found.sendall(content)
        return found

    yield "nothing", opened()
    yield "half a packet", opened(SSL_REQUEST[:3])
    yield "half a startup packet", opened(struct.pack("!I", 100) + b"x")
    yield "no handshake", opened(SSL_REQUEST)
    yield "half a handshake", opened(SSL_REQUEST + b"")
    yield "half a ClientHello", opened(b"\x16\x03\x01\x02\x00\x01")
    yield "a handshake and nothing", protected(b"")
    yield "no token", protected(startup())
    yield "half a token", protected(startup() + b"p\0\0\x01\0local")
    yield "no password", protected(startup(MASTER.encode()))


def test_a_client_that_hangs_is_ended_in_every_phase_and_others_work_on(cloud, database):
    with cloud.login(database) as working:
        connections = dict(hanging(cloud, database))
        for phase, connection in connections.items():
            assert working.execute("SELECT 1").fetchone() == (1,)
            with connection:
                answer = everything(connection)
            assert struct.pack("!cII", b"R", 8, 0) not in answer, phase
        assert working.execute("SELECT 1").fetchone() == (1,)
    with cloud.login(database) as another:
        assert another.execute("SELECT 1").fetchone() == (1,)


def test_a_client_that_waited_for_its_token_is_told(cloud, database):
    (connection,) = [found for phase, found in hanging(cloud, database) if phase == "no token"]
    with connection:
        assert b"canceling authentication due to timeout" in everything(connection)


def test_those_that_hang_longest_make_room(cloud, database, monkeypatch):
    monkeypatch.setattr(endpoint, "MOST_LOGGING_IN", 20)
    hanging = [socket.create_connection(("localhost", database.port), timeout=60) for _ in range(60)]
    with cloud.login(database) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    for each in hanging:
        with each:
            eventually(lambda each=each: each.recv(1) == b"")
