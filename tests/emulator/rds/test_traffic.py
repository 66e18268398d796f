"""What passes through an instance's endpoint: everything, unharmed, whatever others do."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import psycopg
import pytest

from emulator.rds.data_plane.channel import HIGH_WATER_BYTES
from tests.emulator.rds.conftest import MASTER, eventually
from tests.emulator.rds.test_encryption import SSL_REQUEST, everything, startup

MEGABYTES_20 = 20 * 1024 * 1024


@pytest.fixture(scope="module")
def plain(cloud, database):
    """The same instance, which also takes plain text: for clients that are written by hand."""
    from postgres.rds_parameters import Parameter

    parameter = Parameter(name="rds.force_ssl", value="0", apply_method="immediate")
    cloud.set_parameters(database.identifier, parameter)
    return cloud.databases.named(database.identifier)


@pytest.mark.parametrize("sslmode", ["verify-full", "disable"])
def test_copy_of_20_mb_in_both_directions(cloud, plain, sslmode):
    line = os.urandom(48).hex().encode() + b"\n"
    content = line * (MEGABYTES_20 // len(line))
    with cloud.master(plain, sslmode=sslmode) as connection:
        connection.execute("CREATE TEMP TABLE t (x text)")
        cursor = connection.cursor()
        with cursor.copy("COPY t FROM STDIN") as copy:
            for at in range(0, len(content), 1_000_003):
                copy.write(content[at : at + 1_000_003])
        received = hashlib.sha256()
        with cursor.copy("COPY t TO STDOUT") as copy:
            for part in copy:
                received.update(part)
    assert received.digest() == hashlib.sha256(content).digest()


def test_a_large_row_passes(cloud, database):
    with cloud.login(database) as connection:
        row = connection.execute("SELECT repeat('x', 30000000)").fetchone()
    assert row is not None
    assert len(row[0]) == 30_000_000


def test_a_pipeline_passes(cloud, database):
    with cloud.login(database) as connection:
        with connection.pipeline():
            cursors = [connection.execute("SELECT %s::int", [number]) for number in range(2000)]
        assert [cursor.fetchone() for cursor in cursors] == [(number,) for number in range(2000)]


@pytest.mark.parametrize("sslmode", ["verify-full", "disable"])
def test_a_query_is_cancelled(cloud, plain, sslmode):
    with cloud.master(plain, sslmode=sslmode) as connection:
        running = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'"

        def cancel():
            with cloud.master(plain) as master:
                eventually(lambda: master.execute(running).fetchone() == (1,))
            connection.cancel_safe(timeout=20)

        canceller = threading.Thread(target=cancel)
        canceller.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(60)")
        canceller.join()
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_300_short_connections_of_10_threads(cloud, database):
    token = cloud.token(database)

    def connect(number):
        with cloud.login(database, password=token) as connection:
            return connection.execute("SELECT %s::int", [number]).fetchone()

    with ThreadPoolExecutor(10) as threads:
        assert list(threads.map(connect, range(300))) == [(number,) for number in range(300)]
    with cloud.master(database) as master:
        query = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'"
        eventually(lambda: master.execute(query).fetchone() == (0,))


def logged_in_plain(cloud, instance):
    """A connection of the master in plain text, past authentication, and its socket for bytes by hand."""
    connection = cloud.master(instance, sslmode="disable")
    return connection, socket.socket(fileno=os.dup(connection.fileno()))


def query(text):
    return b"Q" + struct.pack("!I", len(text) + 5) + text + b"\0"


def test_a_client_that_has_said_everything_gets_every_answer(cloud, plain):
    connection, raw = logged_in_plain(cloud, plain)
    with raw:
        raw.setblocking(True)
        raw.settimeout(30)
        raw.sendall(query(b"SELECT repeat('x', 5000000)") + query(b"SELECT 'the last'"))
        raw.shutdown(socket.SHUT_WR)
        answer = everything(raw)
    connection.close()
    assert len(answer) > 5_000_000
    assert b"the last" in answer


def test_a_client_that_breaks_off_leaves_nothing_behind(cloud, plain):
    for _ in range(5):
        connection, raw = logged_in_plain(cloud, plain)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.sendall(query(b"SELECT repeat('x', 50000000)"))
        connection.close()
        raw.close()
    with cloud.master(plain) as master:
        others = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND pid <> pg_backend_pid()"
        eventually(lambda: master.execute(others, [MASTER]).fetchone() == (0,))


@pytest.mark.parametrize("protected", [True, False], ids=["tls", "plain"])
def test_a_slow_reader_makes_no_memory_grow(cloud, plain, protected):
    process = psutil.Process()
    with cloud.master(plain, sslmode="verify-full" if protected else "disable") as connection:
        before = process.memory_info().rss
        with connection.cursor().copy(
            "COPY (SELECT repeat('x', 100000) FROM generate_series(1, 2000)) TO STDOUT"
        ) as copy:
            first = copy.read()
            server = "SELECT wait_event FROM pg_stat_activity WHERE query LIKE 'COPY (SELECT repeat%'"
            with cloud.master(plain) as master:
                # The server waits for us: 200 MB are not lying around in between.
                eventually(lambda: master.execute(server).fetchone() == ("ClientWrite",))
            grown = process.memory_info().rss - before
            assert grown < 20 * HIGH_WATER_BYTES + 20_000_000
            total = len(first) + sum(len(part) for part in copy)
        assert total == 2000 * 100_001


def garbage():
    return [
        b"",
        b"\0",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\xff" * 10_000,
        struct.pack("!II", 10_000, 3 << 16) + b"x" * 100,
        struct.pack("!II", 4, 0),
        SSL_REQUEST[:5],
        SSL_REQUEST + b"\x16\x03\x01",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc" + b"\0" * 200,
        startup(b"\xff"),
        startup() + b"p\xff\xff\xff\xff",
        os.urandom(5000),
    ]


def test_garbage_ends_alone(cloud, plain):
    with cloud.login(plain) as working:
        for content in garbage() * 3:
            with socket.create_connection(("localhost", plain.port), timeout=30) as raw:
                raw.sendall(content)
                raw.shutdown(socket.SHUT_WR)
                try:
                    answer = everything(raw)
                except ConnectionResetError:
                    answer = b""
            assert b"AuthenticationOk" not in answer
            assert working.execute("SELECT 1").fetchone() == (1,)
    with cloud.login(plain) as another:
        assert another.execute("SELECT 1").fetchone() == (1,)


def test_garbage_inside_tls_and_instead_of_a_password_ends_alone(cloud, database):
    context = ssl.create_default_context(cafile=str(cloud.databases.bundle))
    for content in (
        b"garbage" * 100,
        startup() + b"Q\0\0\0\x04",
        startup() + b"p\xff\xff\xff\xff",
        startup() + b"p\0\0\0\x05\xff",
        startup() + b"p" + struct.pack("!I", 65_000) + b"x" * 64_995 + b"\0",
    ):
        raw = socket.create_connection(("localhost", database.port), timeout=30)
        raw.sendall(SSL_REQUEST)
        assert raw.recv(1) == b"S"
        with context.wrap_socket(raw, server_hostname="localhost", suppress_ragged_eofs=True) as protected:
            protected.sendall(content)
            answer = everything(protected)
        assert struct.pack("!cII", b"R", 8, 0) not in answer
    with cloud.login(database) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_session_is_told_when_its_server_goes_and_logins_work_again(cloud, database):
    connection = cloud.login(database)
    cloud.rebooted(database.identifier)
    with pytest.raises(psycopg.errors.AdminShutdown):
        connection.execute("SELECT 1")
    with cloud.login(database) as again:
        assert again.execute("SELECT 1").fetchone() == (1,)


def test_a_server_that_was_killed_comes_back_with_its_data(cloud, database):
    with cloud.master(database) as master:
        master.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    connection = cloud.login(database)
    (postmaster,) = [
        process
        for process in psutil.process_iter(["cmdline"])
        if f"{cloud.folder}/rds/" in " ".join(process.info["cmdline"] or ())
    ]
    postmaster.kill()
    with pytest.raises(psycopg.OperationalError):
        eventually(lambda: connection.execute("SELECT 1") and time.sleep(0.05))

    def answered():
        try:
            with cloud.master(database) as master:
                return master.execute("SELECT answer FROM kept").fetchone() == (42,)
        except psycopg.OperationalError:
            return False

    eventually(answered)
