"""Every carrier of text is searched for every kind of secret and weakening, and references pass."""

from __future__ import annotations

import pytest

from policy.text.carriers import CARRIERS
from tests.policy.examples import UNKNOWN, ids, in_process, sent
from tests.policy.fixtures.carriers import ECS, EXAMPLES, LAMBDA, SCRIPT, UNREAD, VERIFIED, carrier

MACHINE = "aws:ec2/instance:Instance"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
PARAMETER = "aws:ssm/parameter:Parameter"
SECRET = "kubernetes:core/v1:Secret"
WEAK = {
    "PGPASSWORD": ("swordfish", {"N88"}),
    "DB_PASSWORD": ("swordfish", {"N88"}),
    "DATABASE_URL": ("postgres://app:swordfish@db.example/app", {"N85", "N88"}),
    "PGSSLMODE": ("allow", {"N86"}),
    "NODE_TLS_REJECT_UNAUTHORIZED": ("0", {"N86"}),
    "POSTGRES_HOST_AUTH_METHOD": ("md5", {"N87"}),
    "JDBC": (
        "jdbc:postgresql://db.example/a?sslmode=verify-full&sslrootcert=a&sslfactory=org.postgresql.ssl.NonValidatingFactory",
        {"N86"},
    ),
}


def expected_in(token: str, rules: set[str]) -> set[str]:
    """N88 by the rule of the carrier."""
    own = {MACHINE: {"P042"}, TEMPLATE: {"P043"}, PARAMETER: {"P144"}, SECRET: set[str]()}
    instead = own.get(token, {"N88"})
    return rules - {"N88"} | (instead if "N88" in rules else set())


def test_every_carrier_has_an_example() -> None:
    assert EXAMPLES.keys() | UNREAD.keys() == CARRIERS.keys()


@pytest.mark.parametrize("token", EXAMPLES)
def test_every_carrier_is_searched(token: str) -> None:
    for name, (value, rules) in WEAK.items():
        found = ids(in_process([carrier(token, {name: value})]))
        assert found == expected_in(token, rules), name
    for script in ("initdb --auth=trust", "initdb -D /data -A md5"):
        # N90: it makes a server without files.
        assert ids(in_process([carrier(token, {}, f"{script}\n")])) - {"N90"} == {"N87"}, script


@pytest.mark.parametrize(
    "value",
    ["${VAR}", "$VAR", "<password>", "{{ password }}", "REPLACE_ME", "arn:aws:secretsmanager:a:1:secret:x",
     "{{resolve:secretsmanager:db}}", "/run/secrets/password", "", "true", "vault:secret/data/db#password"],
)  # fmt: skip
def test_a_reference_is_no_password(value: str) -> None:
    for token in (ECS, LAMBDA, MACHINE, "aws:ssm/document:Document"):
        assert in_process([carrier(token, {"DB_PASSWORD": value, "PGPASSWORD": value})]) == set()


@pytest.mark.parametrize(
    "code",
    [
        "new Client({ssl: {rejectUnauthorized: false}})",
        '{"ssl": {"rejectUnauthorized": false}}',
        "process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'",
        "process.env.NODE_TLS_REJECT_UNAUTHORIZED = 0",
        "ENV NODE_TLS_REJECT_UNAUTHORIZED 0",
        "DB_POSTGRESDB_SSL_REJECT_UNAUTHORIZED=false",
        "connect(host=h, sslmode='require')",
        "sslmode: prefer",
        'props.setProperty("sslmode", "require")',
        "postgres({ ssl: 'require' })",
        "asyncpg.connect(dsn, ssl='prefer')",
        "context.verify_mode = ssl.CERT_NONE",
        "context.check_hostname = False",
        "requests.get(url, verify=False)",
        "tls.Config{InsecureSkipVerify: true}",
        ".danger_accept_invalid_certs(true)",
        "PgSslMode::Require",
        "builder.SslMode = SslMode.Require;",
        "TrustServerCertificate=true",
        "Trust_Server_Certificate: yes",
        "RemoteCertificateValidationCallback = (a, b, c, d) => true",
        "OpenSSL::SSL::VERIFY_NONE",
        "[verify: :verify_none]",
        "options.setTrustAll(true)",
        "GF_DATABASE_SSL_MODE=require",
        "ssl_mode=DISABLED",
        "DB_SSL=false",
        "sslfactory=org.postgresql.ssl.NonValidatingFactory",
        "export PGSSLMODE=verify-ca",
    ],
)
def test_every_drivers_own_way_to_turn_verification_off_is_found(code: str) -> None:
    for token in (MACHINE, LAMBDA):
        assert ids(in_process([carrier(token, {}, f"{code}\n")])) == {"N86"}, token
    assert in_process([carrier(MACHINE, {}, f"# {code}\n// {code}\n")]) == set(), "a comment"


@pytest.mark.parametrize(
    "script",
    [
        "initdb --auth-host md5",
        "initdb --auth-local=trust",
        "pg_ctl initdb -o '-A trust'",
        "export POSTGRES_INITDB_ARGS='--auth=trust'",
        "docker run -e POSTGRES_HOST_AUTH_METHOD=trust postgres",
        "pg_createcluster 17 main -- --auth=ident",
        "ALLOW_EMPTY_PASSWORD=yes",
        '{"POSTGRES_HOST_AUTH_METHOD": "password"}',
    ],
)
def test_a_server_that_trusts_is_found(script: str) -> None:
    assert ids(in_process([carrier(MACHINE, {}, f"{script}\n")])) - {"N90"} == {"N87"}


@pytest.mark.parametrize("host", ["localhost", "/var/run/postgresql", "127.0.0.1"])
def test_what_stays_on_the_machine_needs_no_tls(host: str) -> None:
    for token in (ECS, LAMBDA, MACHINE):
        assert in_process([carrier(token, {"PGHOST": host, "PGSSLMODE": "disable"})]) == set()
        mixed = {"PGHOST": host, "DB_HOST": "db.example", "PGSSLMODE": "disable"}
        assert ids(in_process([carrier(token, mixed)])) == {"N86"}


def test_documentation_may_quote_what_it_warns_of() -> None:
    text = "host all all 0.0.0.0/0 trust\nPGSSLMODE=disable\nPGPASSWORD=swordfish\npostgres://a:b@db/c\n"
    given = {"bucket": "b", "key": "docs/README.md", "content": text}
    assert in_process([sent("aws:s3/bucketObjectv2:BucketObjectv2", "readme", given)]) == set()


def test_an_unknown_password_waits_and_an_unknown_name_of_a_bucket_does_not() -> None:
    for token in (ECS, LAMBDA):
        waiting = sent(token, "f", {"environment": {"variables": {"DB_PASSWORD": UNKNOWN}}})
        if token == LAMBDA:
            assert ids(in_process([waiting]), "undecided") == {"N88"}
    bucket = sent(LAMBDA, "f", {"environment": {"variables": {"BUCKET": UNKNOWN}}})
    assert in_process([bucket]) == set()
    task = sent(ECS, "t", {"containerDefinitions": UNKNOWN})
    assert {"N86", "N87", "N88"} <= ids(in_process([task]), "undecided")


def test_the_defaults_of_the_examples_are_right() -> None:
    assert in_process([carrier(ECS, VERIFIED, SCRIPT)]) == set()
