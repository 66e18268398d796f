"""Arguments of the postgresql provider: what they mean and how they fail."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest

from emulator.core.properties import UNKNOWN, Secret
from emulator.core.provider import Provider
from emulator.core.resource_type import Refused
from emulator.core.servicer import ProviderServer
from emulator.postgresql import PostgresqlProvider
from emulator.postgresql.connection import ClientCertificate, ProviderArguments, Server
from emulator.tls.provider import TlsProvider

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def test_defaults_are_those_of_the_real_provider() -> None:
    arguments = ProviderArguments.of({"host": "db"})
    assert (arguments.port, arguments.sslmode, arguments.connect_timeout) == (5432, "require", 180)
    assert (arguments.superuser, arguments.max_connections, arguments.database) == (True, 20, "postgres")


def test_neither_password_nor_key_shows() -> None:
    certificate = {"cert": PEM, "key": "the-key", "sslinline": True}
    text = repr(ProviderArguments.of({"host": "db", "password": "hunter2", "clientcert": certificate}))
    assert "hunter2" not in text
    assert "the-key" not in text


@pytest.mark.parametrize(
    ("configuration", "problem"),
    [
        (
            {"awsRdsIamProfile": "prod"},
            "awsRdsIamProfile: argument awsRdsIamProfile of the postgresql provider is not in",
        ),
        ({"awsRdsIamAuth": "true", "awsRdsIamRegion": "eu-central-1"}, None),
        ({"scheme": "awspostgres"}, "scheme: scheme 'awspostgres' is not in this sandbox yet"),
        ({"sslmode": "prefer"}, "sslmode: unsupported sslmode 'prefer'; only disable, require, verify-ca"),
        ({"awsRdsIamAuth": "false", "sslmode": "verify-full", "scheme": "postgres", "host": UNKNOWN}, None),
        ({"awsRdsIamAuth": UNKNOWN, "sslmode": UNKNOWN, "scheme": UNKNOWN, "clientcert": UNKNOWN}, None),
    ],
)
def test_arguments_that_are_refused_before_anything_connects(
    serve: Callable[[Provider], ProviderServer],
    connect: Callable[..., Any],
    configuration: dict[str, Any],
    problem: str | None,
) -> None:
    problems = connect(serve(PostgresqlProvider())).check_config(configuration)
    assert len(problems) == (problem is not None)
    assert not problem or problems[0].startswith(problem)


def test_a_numeric_user_name_stays_text(
    serve: Callable[[Provider], ProviderServer], connect: Callable[..., Any], postgresql_server: Any
) -> None:
    client = connect(serve(PostgresqlProvider()), postgresql_server.configuration("4711"))
    with pytest.raises(grpc.RpcError, match=r"role .{1,2}4711.{1,2} does not exist"):
        client.create("postgresql:index/role:Role", {"name": "x"})


def test_a_server_that_cannot_be_reached_is_named_without_the_password(
    serve: Callable[[Provider], ProviderServer], connect: Callable[..., Any]
) -> None:
    configuration = {"host": "127.0.0.1", "port": "1", "username": "u", "password": Secret("hunter2")}
    client = connect(serve(PostgresqlProvider()), configuration)
    with pytest.raises(grpc.RpcError) as refused:
        client.create("postgresql:index/role:Role", {"name": "x"})
    text = str(refused.value.details())  # type: ignore[attr-defined]
    assert text.startswith("error connecting to PostgreSQL server 127.0.0.1:1 as 'u', database 'postgres'")
    assert "hunter2" not in text


@pytest.fixture
def parameters(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What would be given to the driver, with files already read."""
    seen: list[dict[str, Any]] = []

    def connection(**given: Any) -> Any:
        files = {name: Path(given[name]) for name in ("sslcert", "sslkey", "sslrootcert") if name in given}
        contents = {name: path.read_text() for name, path in files.items() if path.exists()}
        modes = {name: path.stat().st_mode & 0o777 for name, path in files.items() if path.exists()}
        seen.append({**given, "contents": contents, "modes": modes})
        raise psycopg.OperationalError("not really")

    monkeypatch.setattr(psycopg, "connect", connection)
    return seen


def attempt(arguments: ProviderArguments) -> None:
    with pytest.raises(Refused, match="not really"), Server(arguments).session():
        pass


def test_paths_are_given_as_they_are(parameters: list[dict[str, Any]]) -> None:
    certificate = ClientCertificate(certificate="/c.pem", key="/k.pem", inline=False)
    attempt(
        ProviderArguments(host="db", sslmode="verify-full", sslrootcert="/ca.pem", clientcert=certificate)
    )
    (given,) = parameters
    assert (given["sslcert"], given["sslkey"], given["sslrootcert"]) == ("/c.pem", "/k.pem", "/ca.pem")
    assert (given["sslmode"], given["connect_timeout"]) == ("verify-full", 180)


def test_inline_text_lives_in_private_files_for_the_time_of_connecting(
    parameters: list[dict[str, Any]],
) -> None:
    certificate = ClientCertificate(certificate="CERT", key="KEY", inline=True)
    attempt(ProviderArguments(host="db", sslrootcert=PEM, clientcert=certificate))
    (given,) = parameters
    assert given["contents"] == {"sslcert": "CERT", "sslkey": "KEY", "sslrootcert": PEM}
    assert set(given["modes"].values()) == {0o600}
    assert not Path(given["sslkey"]).exists()


def test_inline_needs_the_root_certificate_inline_too() -> None:
    certificate = ClientCertificate(certificate="CERT", key="KEY", inline=True)
    arguments = ProviderArguments(host="db", sslrootcert="/ca.pem", clientcert=certificate)
    with pytest.raises(Refused, match="couldn't parse pem from sslrootcert"), Server(arguments).session():
        pass


def test_a_key_that_the_world_may_read_is_refused(tmp_path: Path, postgresql_server: Any) -> None:
    for name in ("cert", "key"):
        (tmp_path / name).write_text(PEM)
    (tmp_path / "key").chmod(0o644)
    os.chown(tmp_path / "key", os.geteuid(), os.getegid())
    certificate = ClientCertificate(
        certificate=str(tmp_path / "cert"), key=str(tmp_path / "key"), inline=False
    )
    arguments = ProviderArguments(
        host="127.0.0.1", port=postgresql_server.port, sslmode="require", clientcert=certificate
    )
    with pytest.raises(Refused, match="sslmode require"), Server(arguments).session():
        pass


def test_connections_to_one_database_are_limited(postgresql_server: Any) -> None:
    server = Server(
        ProviderArguments(host="127.0.0.1", port=postgresql_server.port, sslmode="disable", max_connections=1)
    )
    with server.session() as session, server.session("template1") as other:
        assert session.value("SELECT current_database()") == "postgres"
        assert other.value("SELECT current_database()") == "template1"
        assert not server._slots["postgres"].acquire(blocking=False)


@pytest.fixture
def identities(
    serve: Callable[[Provider], ProviderServer], connect: Callable[..., Any]
) -> Callable[[str], dict[str, str]]:
    """Certificates of one authority from the tls stand-in: a function of the common name."""
    client = connect(serve(TlsProvider()), {})

    def key() -> Secret:
        inputs = {"algorithm": "ECDSA", "ecdsaCurve": "P256"}
        return client.create("tls:index/privateKey:PrivateKey", inputs)[1]["privateKeyPemPkcs8"]

    authority_key = key()
    authority = client.create(
        "tls:index/selfSignedCert:SelfSignedCert",
        {
            "privateKeyPem": authority_key,
            "subject": {"commonName": "authority"},
            "isCaCertificate": True,
            "allowedUses": ["cert_signing"],
            "validityPeriodHours": 1,
        },
    )[1]["certPem"]

    def issue(common_name: str) -> dict[str, str]:
        leaf_key = key()
        request = client.create(
            "tls:index/certRequest:CertRequest",
            {"privateKeyPem": leaf_key, "subject": {"commonName": common_name}, "dnsNames": ["localhost"]},
        )[1]["certRequestPem"]
        leaf = client.create(
            "tls:index/locallySignedCert:LocallySignedCert",
            {
                "certRequestPem": request,
                "caCertPem": authority,
                "caPrivateKeyPem": authority_key,
                "allowedUses": ["digital_signature", "server_auth", "client_auth"],
                "validityPeriodHours": 1,
            },
        )[1]["certPem"]
        return {"authority": authority, "cert": leaf, "key": leaf_key.value}

    return issue


def test_a_login_by_an_inline_certificate(
    serve: Callable[[Provider], ProviderServer],
    connect: Callable[..., Any],
    identities: Callable[[str], dict[str, str]],
    postgresql_server: Any,
) -> None:
    own, admin, other = identities("localhost"), identities("certified"), identities("somebody")
    postgresql_server.rows("CREATE ROLE certified LOGIN CREATEROLE")
    postgresql_server.demand_certificates("certified", own)
    client_of = serve(PostgresqlProvider())

    def configuration(identity: dict[str, str], **more: Any) -> dict[str, Any]:
        certificate = {"cert": identity["cert"], "key": identity["key"], "sslinline": True}
        return {
            **postgresql_server.configuration("certified"),
            "host": "localhost",
            "sslmode": "verify-full",
            "sslrootcert": identity["authority"],
            "clientcert": Secret(json.dumps(certificate)),
            **more,
        }

    role = {"name": "made_by_certificate"}
    token = "postgresql:index/role:Role"
    assert connect(client_of, configuration(admin)).create(token, role)[0] == "made_by_certificate"
    with pytest.raises(grpc.RpcError, match="certificate authentication failed"):
        connect(client_of, configuration(other)).create(token, {"name": "never"})
    with pytest.raises(grpc.RpcError, match="does not match host name"):
        connect(client_of, configuration(admin, host="127.0.0.1")).create(token, {"name": "never"})
