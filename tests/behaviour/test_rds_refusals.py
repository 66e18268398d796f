"""Who is refused by the running RDS endpoint, each beside a control that succeeds.

On one major in every run; on the others in `make test-long`, since the endpoint is the same program.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from pgpasswordless.verify.tls import ALERT_PROTOCOL_VERSION, TLS_1_1, TLS_1_2, Alert, offer
from tests.behaviour.conftest import MAJORS, deployed, make_sandbox
from tests.behaviour.issuing import Authority
from tests.behaviour.rds_sandbox import RdsServer

pytestmark = pytest.mark.sandbox

PAM = 'PAM authentication failed for user "app_user"'


@pytest.fixture(scope="module", params=MAJORS, ids=lambda major: f"postgresql-{major}")
def server(request: pytest.FixtureRequest) -> Iterator[RdsServer]:
    """A deployed RDS instance."""
    if request.param == 17:
        yield RdsServer(sandbox=request.getfixturevalue("whole_sandbox"))
    else:
        yield from (RdsServer(sandbox=each) for each in deployed(make_sandbox(request.param, "rds")))


@pytest.fixture(autouse=True)
def control(server: RdsServer) -> None:
    """The same role with a token of its own gets in."""
    with server.login("app_user") as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("app_user",)


def refused(server: RdsServer, user: str, words: str, password: str | None = None, **overrides: Any) -> None:
    with pytest.raises(psycopg.OperationalError) as failure:
        server.login(user, password, **overrides)
    assert words in str(failure.value)


def reason_after(server: RdsServer, before: int, word: str) -> str:
    """The line that the instance wrote about a refused token; waits for it."""

    @retry(
        retry=retry_if_result(lambda found: found is None), stop=stop_after_delay(10), wait=wait_fixed(0.1)
    )
    def search() -> str | None:
        return next((line for line in server.logged_reasons()[before:] if word in line), None)

    found = search()
    assert found is not None
    return found


def refused_token(server: RdsServer, token: str, reason: str) -> None:
    before = len(server.logged_reasons())
    refused(server, "app_user", PAM, token)
    line = reason_after(server, before, reason)
    assert "X-Amz-Signature" not in line
    assert token not in line


def test_without_tls(server: RdsServer) -> None:
    refused(server, "app_user", 'user "app_user", database "app", no encryption', sslmode="disable")


def test_with_tls_below_the_minimum(server: RdsServer) -> None:
    for version in (TLS_1_1, TLS_1_2):
        answer = offer("localhost", server.database.port, version)
        assert answer == Alert(level=2, description=ALERT_PROTOCOL_VERSION)


def test_with_an_expired_token(server: RdsServer) -> None:
    at = datetime.now(UTC) - timedelta(minutes=16)
    refused_token(server, server.token("app_user", at=at), "ExpiredToken")


def test_with_a_token_of_tomorrow(server: RdsServer) -> None:
    refused_token(server, server.token("app_user", at=datetime.now(UTC) + timedelta(days=1)), "InvalidToken")


@pytest.mark.parametrize(
    ("part", "value"), [("user", "reporting"), ("host", "127.0.0.1"), ("port", 5432), ("region", "eu-west-1")]
)
def test_with_a_token_for_something_else(server: RdsServer, part: str, value: Any) -> None:
    refused_token(server, server.token("app_user", **{part: value}), "InvalidToken")


def test_with_a_tampered_token(server: RdsServer) -> None:
    good = server.token("app_user")
    tampered = good[:-1] + ("0" if good[-1] != "0" else "1")
    refused_token(server, tampered, "InvalidToken")


def test_with_a_token_signed_by_an_unknown_key(server: RdsServer) -> None:
    stranger = server.operator
    token = server.token(
        "app_user", type(stranger)(access_key_id="AKIAAAAAAAAAAAAAAAAA", secret_access_key="x" * 40)
    )
    refused_token(server, token, "InvalidToken")


def test_with_credentials_of_another_database_role(server: RdsServer) -> None:
    """The IAM role of `reporting` may connect, as `reporting` and nobody else."""
    credentials = server.application("reporting")
    with server.login("reporting", server.token("reporting", credentials)):
        pass
    refused_token(server, server.token("app_user", credentials), "NotAuthorized")


def test_with_an_explicit_deny(server: RdsServer) -> None:
    """A deny beats the allow that the same role has; without it the role gets in again."""
    role = server.application_role("app_user").rsplit("/", 1)[-1]
    iam = server.client("iam")
    document = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Action": "rds-db:*", "Resource": "*"}],
    }
    iam.put_role_policy(RoleName=role, PolicyName="deny", PolicyDocument=json.dumps(document))
    try:
        refused_token(server, server.token("app_user"), "NotAuthorized")
    finally:
        iam.delete_role_policy(RoleName=role, PolicyName="deny")
    with server.login("app_user"):
        pass


def test_a_role_without_rds_iam_is_asked_for_its_password_and_has_none(server: RdsServer) -> None:
    with server.login("pgpl_admin", server.token("pgpl_admin", server.operator)) as administrator:
        administrator.execute("CREATE ROLE stranger LOGIN")
        try:
            refused(
                server,
                "stranger",
                'password authentication failed for user "stranger"',
                server.token("stranger", server.operator),
                dbname="postgres",
            )
        finally:
            administrator.execute("DROP ROLE stranger")


def test_an_iam_role_does_not_get_in_with_a_password(server: RdsServer) -> None:
    """Not even with one that it has: rds_iam comes first."""
    with server.login("pgpl_admin", server.token("pgpl_admin", server.operator)) as administrator:
        administrator.execute("ALTER ROLE app_user PASSWORD 'correct horse'")
        try:
            refused(server, "app_user", PAM, "correct horse")
        finally:
            administrator.execute("ALTER ROLE app_user PASSWORD NULL")


def test_verify_full_with_the_wrong_bundle(server: RdsServer) -> None:
    """An authority of the same name is not the same authority."""
    (real, *_) = x509.load_pem_x509_certificates(server.database.server_ca.pem.encode())
    holder = Authority(certificate=real, key=ec.generate_private_key(ec.SECP256R1()))
    wrong = server.sandbox.folder / "wrong.pem"
    wrong.write_bytes(Authority.named_like(holder).certificate.public_bytes(serialization.Encoding.PEM))
    refused(server, "app_user", "certificate verify failed", sslrootcert=str(wrong))


def test_a_session_outlives_its_token(server: RdsServer) -> None:
    almost = datetime.now(UTC) - timedelta(seconds=897)
    with server.login("app_user", server.token("app_user", at=almost)) as connection:

        @retry(retry=retry_if_result(lambda late: not late), stop=stop_after_delay(30), wait=wait_fixed(0.2))
        def expired() -> bool:
            return datetime.now(UTC) > almost + timedelta(seconds=901)

        assert expired()
        refused(server, "app_user", PAM, server.token("app_user", at=almost))
        assert connection.execute("SELECT 1").fetchone() == (1,)
