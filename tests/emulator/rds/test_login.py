"""Who may log in to an RDS instance, decided by token, membership and the program's own IAM documents."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import psycopg
import pytest

from emulator.rds.data_plane.iam_login import IamLogin, LoginRefused
from tests.emulator.rds.conftest import MASTER, connect_arn, eventually

REFUSED = 'FATAL:  PAM authentication failed for user "app"'


def allow(resource, **more):
    return {"Effect": "Allow", "Action": "rds-db:connect", "Resource": resource, **more}


def whoami(connection):
    with connection:
        return connection.execute("SELECT session_user").fetchone()[0]


def test_a_token_of_a_role_that_may_connect_lets_in(cloud, database):
    key = cloud.role("may-connect", allow(connect_arn(database)))
    assert whoami(cloud.login(database, key=key)) == "app"


def test_the_operator_may_connect_by_a_token_and_by_nothing_else(cloud, database):
    assert whoami(cloud.login(database)) == "app"
    assert REFUSED in cloud.refused(database, password="secret")
    assert REFUSED in cloud.refused(database, password="x" * 2000)
    assert "InvalidToken" in eventually(lambda: cloud.login_log(database))


@pytest.mark.parametrize(
    "other",
    [
        {"host": "127.0.0.1"},
        {"host": "db.example.org"},
        {"port": 5432},
        {"region": "eu-west-1"},
        {"user": "other"},
    ],
    ids=str,
)
def test_a_token_for_something_else_is_refused(cloud, database, other):
    user = other.get("user", "app")
    more = {name: value for name, value in other.items() if name != "user"}
    assert REFUSED in cloud.refused(database, password=cloud.token(database, user, **more))
    assert whoami(cloud.login(database)) == "app"


def test_a_changed_token_is_refused(cloud, database):
    token = cloud.token(database)
    assert REFUSED in cloud.refused(database, password=token[:-1] + ("0" if token[-1] != "0" else "1"))
    assert REFUSED in cloud.refused(database, password=token[:-64])


def test_an_expired_token_is_refused_and_a_session_outlives_its_token(cloud, database):
    signed_at = datetime.now(UTC) - timedelta(seconds=899)
    with patch("botocore.auth.get_current_datetime", return_value=signed_at):
        nearly_over = cloud.token(database)
    with patch("botocore.auth.get_current_datetime", return_value=signed_at - timedelta(seconds=1)):
        over = cloud.token(database)
    login = IamLogin(endpoint=cloud.aws, instance=database)
    login.check("app", nearly_over, signed_at + timedelta(seconds=899))
    with cloud.login(database) as connection:
        assert REFUSED in cloud.refused(database, password=over)
        assert "ExpiredToken" in eventually(
            lambda: "ExpiredToken" in (log := cloud.login_log(database)) and log
        )
        with pytest.raises(LoginRefused, match="has expired"):
            login.check("app", nearly_over, signed_at + timedelta(seconds=900))
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_permission_is_for_one_instance_and_one_user(cloud, database):
    other = connect_arn(database).replace(database.resource_id, "db-OTHER")
    keys = {
        "nothing": cloud.role("may-nothing"),
        "another instance": cloud.role("another-instance", allow(other)),
        "another user": cloud.role("another-user", allow(connect_arn(database, "admin"))),
        "an instance's name": cloud.role(
            "by-name", allow(f"arn:aws:rds:eu-central-1:123456789012:db:{database.identifier}")
        ),
        "another service": cloud.role("wrong-prefix", {**allow("*"), "Action": "rds:*"}),
    }
    for reason, key in keys.items():
        assert REFUSED in cloud.refused(database, key=key), reason
    log = eventually(lambda: (text := cloud.login_log(database)).count("NotAuthorized") >= len(keys) and text)
    assert "assumed-role/may-nothing/test is not authorized to perform `rds-db:connect`" in log
    assert connect_arn(database) in log


def test_wildcards_allow_and_an_explicit_deny_wins(cloud, database):
    wide = cloud.role("wide", allow("arn:aws:rds-db:eu-central-1:123456789012:dbuser:*/app"))
    assert whoami(cloud.login(database, key=wide)) == "app"
    denied = cloud.role("denied", allow("*"), {**allow(connect_arn(database)), "Effect": "Deny"})
    assert REFUSED in cloud.refused(database, key=denied)


def test_conditions_are_evaluated_and_address_keys_are_never_there(cloud, database):
    arn = connect_arn(database)
    tagged = {"StringEquals": {"aws:PrincipalAccount": "123456789012"}}
    assert whoami(cloud.login(database, key=cloud.role("account", allow(arn, Condition=tagged)))) == "app"
    wrong = {"StringEquals": {"aws:PrincipalAccount": "999999999999"}}
    assert REFUSED in cloud.refused(database, key=cloud.role("foreign", allow(arn, Condition=wrong)))
    address = {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}
    assert REFUSED in cloud.refused(database, key=cloud.role("address", allow(arn, Condition=address)))


def test_a_role_that_is_gone_or_may_no_more_logs_in_no_more(cloud, database):
    key = cloud.role("short-lived", allow(connect_arn(database)))
    token = cloud.token(database, key=key)
    assert whoami(cloud.login(database, password=token)) == "app"
    cloud.aws.client("iam").delete_role_policy(RoleName="short-lived", PolicyName="own")
    assert REFUSED in cloud.refused(database, password=token)
    cloud.aws.client("iam").delete_role(RoleName="short-lived")
    assert REFUSED in cloud.refused(database, password=token)


def test_membership_decides_how_a_role_logs_in(cloud, database):
    with cloud.master(database) as master:
        master.execute("CREATE ROLE by_password LOGIN PASSWORD 'secret-of-mine'")
        master.execute("CREATE ROLE team NOLOGIN")
        master.execute("GRANT rds_iam TO team")
        master.execute("CREATE ROLE nested LOGIN PASSWORD 'secret-of-mine'")
        master.execute("GRANT team TO nested")
        assert whoami(cloud.login(database, "by_password", password="secret-of-mine")) == "by_password"
        assert "password authentication failed" in cloud.refused(database, "by_password")
        assert whoami(cloud.login(database, "nested")) == "nested"
        refusal = cloud.refused(database, "nested", password="secret-of-mine")
        assert 'PAM authentication failed for user "nested"' in refusal
        master.execute("GRANT rds_iam TO by_password")
        assert "PAM" in cloud.refused(database, "by_password", password="secret-of-mine")
        master.execute("REVOKE rds_iam FROM by_password")
        assert whoami(cloud.login(database, "by_password", password="secret-of-mine")) == "by_password"


def test_a_role_that_cannot_log_in_or_does_not_exist_is_refused_by_postgresql(cloud, database):
    with cloud.master(database) as master:
        master.execute("CREATE ROLE idle NOLOGIN")
        master.execute("GRANT rds_iam TO idle")
    assert 'role "idle" is not permitted to log in' in cloud.refused(database, "idle")
    assert "password authentication failed" in cloud.refused(database, "nobody_at_all")
    assert 'database "nowhere" does not exist' in cloud.refused(database, dbname="nowhere")


def test_nobody_is_rds_itself(cloud, database):
    for more in ({}, {"password": "x"}):
        assert "pg_hba.conf rejects connection" in cloud.refused(database, "rdsadmin", **more)
    assert "pg_hba.conf rejects connection" in cloud.refused(database, dbname="rdsadmin")
    with cloud.master(database) as master:
        assert master.execute("SELECT rolname FROM pg_roles WHERE rolsuper").fetchall() == [("rdsadmin",)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            master.execute("SET ROLE rdsadmin")


def test_the_master_grants_rds_iam_and_is_locked_by_it(cloud, database):
    assert whoami(cloud.master(database)) == MASTER
    with cloud.master(database) as master:
        master.execute(f"GRANT rds_iam TO {MASTER}")
        try:
            with pytest.raises(psycopg.OperationalError, match="PAM authentication failed"):
                cloud.master(database)
        finally:
            master.execute(f"REVOKE INHERIT OPTION FOR rds_iam FROM {MASTER}")
            master.execute(f"REVOKE SET OPTION FOR rds_iam FROM {MASTER}")
    assert whoami(cloud.master(database)) == MASTER


def test_physical_replication_is_nobodys(cloud, database):
    assert "no pg_hba.conf entry for replication" in cloud.refused(
        database, MASTER, password="x", replication="true"
    )
    assert REFUSED in cloud.refused(database, replication="database")


def test_the_log_of_refusals_goes_to_cloudwatch_when_its_group_is_there(cloud, database):
    logs = cloud.aws.client("logs")
    group = database.log_group("iam-db-auth-error")
    logs.create_log_group(logGroupName=group)
    cloud.refused(database, password=cloud.token(database)[:-1])

    def lines():
        streams = logs.describe_log_streams(logGroupName=group)["logStreams"]
        return [
            event["message"]
            for stream in streams
            for event in logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])[
                "events"
            ]
        ]

    assert eventually(lambda: [line for line in lines() if "user app" in line and "InvalidToken" in line])


def test_no_token_or_password_is_in_any_log_or_file(cloud, database):
    token = cloud.token(database)
    assert whoami(cloud.login(database, password=token)) == "app"
    cloud.refused(database, password=token[:-1])
    signature = token.rpartition("=")[2]
    found = [
        path
        for path in cloud.folder.rglob("*")
        if path.is_file()
        and "aws" not in path.parts
        and any(secret in path.read_bytes() for secret in (signature[:-1].encode(), b"It's_{a}"))
    ]
    assert found == []
