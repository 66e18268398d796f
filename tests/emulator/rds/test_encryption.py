"""TLS of an instance as its parameter group says: versions, certificates, plain text, cheating."""

from __future__ import annotations

import socket
import ssl
import struct

import pytest

from emulator.rds.authority import Authority
from pgpasswordless.verify.tls import ALERT_PROTOCOL_VERSION, TLS_1_1, TLS_1_2, Alert, offer
from postgres.rds_parameters import Parameter
from tests.emulator.rds.test_login import whoami

SSL_REQUEST = struct.pack("!II", 8, 80877103)
REFUSED = Alert(level=2, description=ALERT_PROTOCOL_VERSION)
GSSENC_REQUEST = struct.pack("!II", 8, 80877104)


@pytest.fixture
def raw(database):
    with socket.create_connection(("localhost", database.port), timeout=20) as connection:
        yield connection


def everything(connection):
    received = b""
    while part := connection.recv(65536):
        received += part
    return received


def startup(user=b"app"):
    body = struct.pack("!I", 3 << 16) + b"user\0" + user + b"\0database\0postgres\0\0"
    return struct.pack("!I", len(body) + 4) + body


def parameter(name, value):
    return Parameter(name=name, value=value, apply_method="immediate")


def test_plain_text_is_refused_in_rdss_own_words(cloud, database):
    refusal = cloud.refused(database, sslmode="disable")
    assert (
        'FATAL:  no pg_hba.conf entry for host "127.0.0.1", user "app", database "postgres", no encryption'
    ) in refusal
    assert whoami(cloud.login(database)) == "app"


def test_plain_text_is_taken_for_passwords_when_it_is_not_forced(cloud, database):
    cloud.set_parameters(database.identifier, parameter("rds.force_ssl", "0"))
    try:
        assert whoami(cloud.master(database, sslmode="disable")) == "pgpl_master"
        refusal = cloud.refused(database, sslmode="disable")
        assert 'pg_hba.conf rejects connection for host "127.0.0.1", user "app"' in refusal
        assert whoami(cloud.login(database)) == "app"
    finally:
        cloud.set_parameters(database.identifier, parameter("rds.force_ssl", "1"))
    assert "no pg_hba.conf entry" in cloud.refused(database, "pgpl_master", sslmode="disable")


@pytest.mark.parametrize("version", [TLS_1_1, TLS_1_2], ids=["1.1", "1.2"])
def test_an_older_tls_gets_the_alert_about_it(database, version):
    assert offer("localhost", database.port, version) == REFUSED


def test_the_minimum_follows_the_parameter_group(cloud, database):
    cloud.set_parameters(database.identifier, parameter("ssl_min_protocol_version", "TLSv1.2"))
    try:
        # The ClientHello knows no P-384 and is refused for that, but no more for its version.
        assert offer("localhost", database.port, TLS_1_2) != REFUSED
        assert offer("localhost", database.port, TLS_1_1) == REFUSED
        with cloud.login(database, ssl_max_protocol_version="TLSv1.2") as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        cloud.set_parameters(database.identifier, parameter("ssl_min_protocol_version", "TLSv1.3"))
    assert offer("localhost", database.port, TLS_1_2) == REFUSED


def test_only_the_ciphers_of_the_group_are_spoken(cloud, database):
    weak = parameter("ssl_ciphers", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")
    cloud.set_parameters(database.identifier, parameter("ssl_min_protocol_version", "TLSv1.2"), weak)
    try:
        for cipher, taken in (
            ("ECDHE-ECDSA-AES128-GCM-SHA256", True),
            ("ECDHE-ECDSA-AES256-GCM-SHA384", False),
        ):
            context = ssl.create_default_context(cafile=str(cloud.databases.bundle))
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(cipher)
            with socket.create_connection(("localhost", database.port), timeout=20) as connection:
                connection.sendall(SSL_REQUEST)
                assert connection.recv(1) == b"S"
                if taken:
                    context.wrap_socket(connection, server_hostname="localhost").close()
                else:
                    with pytest.raises(ssl.SSLError):
                        context.wrap_socket(connection, server_hostname="localhost")
    finally:
        cloud.set_parameters(
            database.identifier,
            parameter("ssl_min_protocol_version", "TLSv1.3"),
            *(item for item in database.parameters.wanted if item.name == "ssl_ciphers"),
        )


def test_the_certificate_is_for_localhost_of_this_authority(cloud, database, tmp_path):
    other = Authority(tmp_path / "authority", tmp_path / "bundle.pem", "eu-central-1")
    other.prepare()
    refusal = cloud.refused(database, sslrootcert=str(other.bundle))
    assert "certificate verify failed" in refusal
    assert "does not match host name" in cloud.refused(database, host="127.0.0.1")
    assert whoami(cloud.login(database, hostaddr="127.0.0.1")) == "app"


def test_direct_tls_needs_alpn(cloud, database):
    context = ssl.create_default_context(cafile=str(cloud.databases.bundle))
    connection = socket.create_connection(("localhost", database.port), timeout=20)
    with context.wrap_socket(connection, server_hostname="localhost") as protected:
        protected.sendall(startup())
        assert everything(protected) == b""
    assert whoami(cloud.login(database, sslnegotiation="direct")) == "app"


def test_gss_encryption_is_declined_and_tls_may_follow(raw, cloud):
    raw.sendall(GSSENC_REQUEST)
    assert raw.recv(1) == b"N"
    raw.sendall(SSL_REQUEST)
    assert raw.recv(1) == b"S"
    context = ssl.create_default_context(cafile=str(cloud.databases.bundle))
    context.wrap_socket(raw, server_hostname="localhost").close()


@pytest.mark.parametrize("request_", [SSL_REQUEST, GSSENC_REQUEST], ids=["ssl", "gss"])
def test_what_is_sent_before_the_answer_is_not_taken_for_protected(raw, request_):
    raw.sendall(request_ + startup())
    answer = everything(raw)
    assert answer[:1] == b"E"
    assert b"received unencrypted data after" in answer


def test_plain_text_after_the_answer_is_no_tls(raw):
    raw.sendall(SSL_REQUEST)
    assert raw.recv(1) == b"S"
    raw.sendall(startup())
    # A TLS alert, then the end; nothing of PostgreSQL.
    assert everything(raw)[:1] in (b"", b"\x15")


def test_encryption_is_asked_for_once(raw):
    raw.sendall(GSSENC_REQUEST)
    assert raw.recv(1) == b"N"
    raw.sendall(GSSENC_REQUEST)
    assert b"unsupported frontend protocol 1234.5680" in everything(raw)


def test_another_authority_is_served_without_a_restart(cloud, database):
    def served_by():
        context = ssl.create_default_context(cafile=str(cloud.databases.bundle))
        with socket.create_connection(("localhost", database.port), timeout=20) as connection:
            connection.sendall(SSL_REQUEST)
            assert connection.recv(1) == b"S"
            with context.wrap_socket(connection, server_hostname="localhost") as protected:
                return str(protected.getpeercert())

    def use(identifier):
        cloud.databases.change(database.resource_id, lambda found: found.changed(ca_identifier=identifier))

    with cloud.login(database) as connection:
        assert "ECC384" in served_by()
        use("rds-ca-rsa2048-g1")
        assert "RSA2048" in served_by()
        use("rds-ca-ecc384-g1")
        assert "ECC384" in served_by()
        assert connection.execute("SELECT 1").fetchone() == (1,)
