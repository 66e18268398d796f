"""Who is refused by the running server, each beside a control that succeeds, on every major."""

from __future__ import annotations

import datetime

import psycopg
import pytest

from pgpasswordless.verify.tls import ALERT_PROTOCOL_VERSION, TLS_1_1, TLS_1_2, Alert, offer
from tests.behaviour.conftest import RunningSandbox
from tests.behaviour.issuing import SERVER, Authority, issue_client

pytestmark = pytest.mark.sandbox


@pytest.fixture(autouse=True)
def control(sandbox_of_each_major: RunningSandbox) -> None:
    """The same role with its own certificate gets in, and the server says how."""
    sandbox = sandbox_of_each_major
    after = len(sandbox.server_log())
    with sandbox.login("app_user", sandbox.client_files("app_user")) as connection:
        row = connection.execute(
            "SELECT s.ssl, s.version, s.client_dn FROM pg_stat_ssl s WHERE s.pid = pg_backend_pid()"
        ).fetchone()
    assert row == (True, "TLSv1.3", "/CN=app_user")
    sandbox.logged('identity="CN=app_user" method=cert', after=after)


def refused(sandbox: RunningSandbox, user: str, *evidence: str, **connection: object) -> str:
    """A login that fails, with the server's own words about it."""
    files = connection.pop("files", None)
    after = len(sandbox.server_log())
    with pytest.raises(psycopg.OperationalError) as failure:
        sandbox.login(user, files, **connection)  # type: ignore[arg-type]
    sandbox.logged(*evidence, after=after)
    return str(failure.value)


def test_without_a_certificate(sandbox_of_each_major: RunningSandbox) -> None:
    refused(sandbox_of_each_major, "app_user", "connection requires a valid client certificate")


def test_with_another_roles_certificate(sandbox_of_each_major: RunningSandbox) -> None:
    sandbox = sandbox_of_each_major
    refused(
        sandbox,
        "app_user",
        'certificate authentication failed for user "app_user"',
        files=sandbox.client_files("app_readonly"),
    )


def test_with_a_certificate_of_the_server_authority(sandbox_of_each_major: RunningSandbox) -> None:
    sandbox = sandbox_of_each_major
    authority = sandbox.authority("server")
    files = issue_client(authority, "app_user", sandbox.folder / "server-authority")
    refused(sandbox, "app_user", "could not accept SSL connection", files=files)


def test_with_a_certificate_of_another_trust_domain(sandbox_of_each_major: RunningSandbox) -> None:
    sandbox = sandbox_of_each_major
    stranger = Authority.named_like(sandbox.authority("client"))
    files = issue_client(stranger, "app_user", sandbox.folder / "another-trust-domain")
    refused(sandbox, "app_user", "could not accept SSL connection", files=files)


def test_with_an_expired_certificate(sandbox_of_each_major: RunningSandbox) -> None:
    sandbox = sandbox_of_each_major
    authority = sandbox.authority("client")
    files = issue_client(
        authority, "app_user", sandbox.folder / "expired", valid_for=datetime.timedelta(hours=-1)
    )
    answer = refused(sandbox, "app_user", "could not accept SSL connection", files=files)
    assert "certificate expired" in answer


def test_with_a_certificate_for_servers_only(sandbox_of_each_major: RunningSandbox) -> None:
    sandbox = sandbox_of_each_major
    files = issue_client(
        sandbox.authority("client"), "app_user", sandbox.folder / "server-usage", usage=SERVER
    )
    answer = refused(sandbox, "app_user", "could not accept SSL connection", files=files)
    assert "unsupported certificate" in answer


def test_without_tls(sandbox_of_each_major: RunningSandbox) -> None:
    answer = refused(
        sandbox_of_each_major,
        "app_user",
        "pg_hba.conf rejects connection",
        "no encryption",
        sslmode="disable",
    )
    assert "no encryption" in answer


@pytest.mark.parametrize(
    "version", [pytest.param(TLS_1_1, id="TLS 1.1"), pytest.param(TLS_1_2, id="TLS 1.2, minimum 1.3")]
)
def test_below_the_minimum_protocol(sandbox_of_each_major: RunningSandbox, version: int) -> None:
    database = sandbox_of_each_major.database
    assert database.minimum_protocol == "TLSv1.3"
    assert offer(database.host, database.port, version) == Alert(level=2, description=ALERT_PROTOCOL_VERSION)


def test_the_superuser_with_a_certificate_of_the_right_authority(
    sandbox_of_each_major: RunningSandbox,
) -> None:
    sandbox = sandbox_of_each_major
    files = issue_client(sandbox.authority("client"), "postgres", sandbox.folder / "superuser")
    refused(sandbox, "postgres", "pg_hba.conf rejects connection for host", 'user "postgres"', files=files)
    refused(sandbox, "postgres", "pg_hba.conf rejects connection", files=files, dbname="postgres")


def test_the_superuser_with_another_roles_certificate(sandbox_of_each_major: RunningSandbox) -> None:
    sandbox = sandbox_of_each_major
    refused(
        sandbox, "postgres", "pg_hba.conf rejects connection for host", files=sandbox.client_files("app_user")
    )


def test_replication_with_a_roles_certificate(sandbox_of_each_major: RunningSandbox) -> None:
    sandbox = sandbox_of_each_major
    refused(
        sandbox,
        "app_user",
        "pg_hba.conf rejects replication connection",
        files=sandbox.client_files("app_user"),
        replication="true",
    )
