"""Instances from their making to their end: parameters, reboots, restarts, what is left after a kill."""

from __future__ import annotations

import contextlib

import psutil
import psycopg
import pytest
from botocore.exceptions import ClientError

from emulator.rds.databases import UnknownInstance
from emulator.rds.model import FILE
from emulator.rds.parameter_state import associated
from emulator.rds.server import ServerError
from engine import processes
from postgres.rds_parameters import ApplyMethod, Parameter, required_parameters
from sandbox.status import label
from tests.emulator.rds.conftest import (
    MASTER,
    PASSWORD,
    eventually,
    free_port,
    with_application,
)
from tests.emulator.rds.test_login import whoami


def parameter(name, value, method: ApplyMethod = "immediate"):
    return Parameter(name=name, value=value, apply_method=method)


def shown(cloud, database, name):
    with cloud.login(database) as connection:
        return connection.execute(f"SHOW {name}").fetchone()[0]


def described(cloud, database, key=None):
    client = cloud.aws.client("rds", key=key)
    (found,) = client.describe_db_instances(DBInstanceIdentifier=database.identifier)["DBInstances"]
    return found


def apply_status(cloud, database):
    (group,) = described(cloud, database)["DBParameterGroups"]
    return group["ParameterApplyStatus"]


@pytest.mark.parametrize("major", [15, 18])
def test_oldest_and_newest_release_have_rdss_roles_and_take_tokens(cloud, major):
    database = with_application(cloud, cloud.instance(major))
    with cloud.login(database) as connection:
        assert connection.info.server_version // 10000 == major
    with cloud.master(database) as master:
        roles = dict(
            master.execute("SELECT rolname, rolcanlogin FROM pg_roles WHERE rolname LIKE 'rds%'").fetchall()
        )
        assert roles == {
            "rdsadmin": True,
            "rds_superuser": False,
            "rds_iam": False,
            "rds_extension": False,
            "rds_password": False,
            "rds_replication": False,
        }
        row = "SELECT rolsuper, rolcreatedb, rolcreaterole, rolbypassrls FROM pg_roles WHERE rolname = %s"
        assert master.execute(row, [MASTER]).fetchone() == (False, True, True, False)
        master.execute("CREATE ROLE admin LOGIN CREATEDB CREATEROLE")
        master.execute("GRANT rds_iam TO admin WITH ADMIN OPTION")
        master.execute("CREATE DATABASE app")
    with cloud.login(database, "admin") as admin:
        admin.execute("CREATE ROLE made_by_admin LOGIN")
        admin.execute("GRANT rds_iam TO made_by_admin")
    assert whoami(cloud.login(database, "made_by_admin")) == "made_by_admin"
    log = cloud.server_log(database)
    assert "connection authorized: user=app" in log
    assert "SCRAM-SHA-256" not in log
    assert PASSWORD not in log
    cloud.databases.delete(database.resource_id)


def test_static_parameters_wait_for_a_reboot_and_dynamic_ones_do_not(cloud, database):
    assert apply_status(cloud, database) == "in-sync"
    cloud.set_parameters(
        database.identifier,
        parameter("max_connections", "123", "pending-reboot"),
        parameter("work_mem", "2048"),
    )
    assert apply_status(cloud, database) == "pending-reboot"
    assert shown(cloud, database, "work_mem") == "2MB"
    assert shown(cloud, database, "max_connections") == "200"
    cloud.rebooted(database.identifier)
    assert apply_status(cloud, database) == "in-sync"
    assert shown(cloud, database, "max_connections") == "123"


def test_a_static_parameter_that_waits_is_not_applied_by_a_crash(cloud, database):
    cloud.set_parameters(database.identifier, parameter("max_locks_per_transaction", "99", "pending-reboot"))
    cloud.restart()
    assert eventually(lambda: cloud.databases.named(database.identifier).status == "available")
    assert shown(cloud, database, "max_locks_per_transaction") == "64"
    assert apply_status(cloud, database) == "pending-reboot"
    cloud.rebooted(database.identifier)
    assert shown(cloud, database, "max_locks_per_transaction") == "99"


def test_another_group_waits_for_a_reboot(cloud, database):
    before = cloud.databases.named(database.identifier).parameters
    wanted = [*required_parameters(17, "TLSv1.3"), parameter("work_mem", "4096")]
    cloud.databases.change(
        database.resource_id,
        lambda found: found.changed(parameters=associated(found.parameters, "another", wanted)),
    )
    assert apply_status(cloud, database) == "pending-reboot"
    assert shown(cloud, database, "work_mem") != "4MB"
    cloud.rebooted(database.identifier)
    assert shown(cloud, database, "work_mem") == "4MB"
    cloud.databases.change(
        database.resource_id,
        lambda found: found.changed(parameters=associated(found.parameters, before.group, before.wanted)),
    )
    cloud.rebooted(database.identifier)


def test_values_that_postgresql_cannot_start_with_are_told_and_mended(cloud, database):
    cloud.set_parameters(database.identifier, parameter("shared_buffers", "1073741823", "pending-reboot"))
    cloud.aws.client("rds").reboot_db_instance(DBInstanceIdentifier=database.identifier)
    eventually(lambda: cloud.databases.named(database.identifier).status == "incompatible-parameters")
    with pytest.raises(ServerError):
        cloud.set_parameters(database.identifier, parameter("work_mem", "2048"))
    cloud.set_parameters(database.identifier, parameter("shared_buffers", "4096", "pending-reboot"))
    assert apply_status(cloud, database) == "in-sync"
    assert shown(cloud, database, "shared_buffers") == "32MB"


def test_an_instance_is_described_as_it_is(cloud, database):
    found = described(cloud, database)
    assert found["DBInstanceStatus"] == "available"
    assert found["DbiResourceId"] == database.resource_id
    assert found["Endpoint"] == {"Address": "localhost", "Port": database.port}
    assert found["IAMDatabaseAuthenticationEnabled"] is True
    assert found["EngineVersion"].startswith("17.")
    assert found["EnabledCloudwatchLogsExports"] == ["iam-db-auth-error"]
    with pytest.raises(ClientError) as refusal:
        cloud.aws.client("rds").reboot_db_instance(DBInstanceIdentifier="nothing")
    assert "DBInstanceNotFound" in str(refusal.value)
    with pytest.raises(ClientError, match="has no stand-in"):
        cloud.aws.client("rds").describe_db_clusters()


def test_the_api_is_for_those_who_may_call_it(cloud, database):
    arn = f"arn:aws:rds:eu-central-1:123456789012:db:{database.identifier}"
    statement = {"Effect": "Allow", "Action": "rds:DescribeDBInstances", "Resource": arn}
    reader, stranger = cloud.role("reader", statement), cloud.role("stranger")
    assert described(cloud, database, reader)["DBInstanceIdentifier"] == database.identifier
    for key, act in (
        (stranger, lambda client: client.describe_db_instances(DBInstanceIdentifier=database.identifier)),
        (reader, lambda client: client.reboot_db_instance(DBInstanceIdentifier=database.identifier)),
    ):
        with pytest.raises(ClientError, match="is not authorized to perform"):
            act(cloud.aws.client("rds", key=key))


def test_iam_authentication_can_be_switched_off(cloud, database):
    def switch(on):
        cloud.databases.change(database.resource_id, lambda found: found.changed(iam_authentication=on))

    switch(False)
    assert "PAM authentication failed" in cloud.refused(database)
    switch(True)
    assert whoami(cloud.login(database)) == "app"


def test_port_name_and_password_can_change(cloud, database):
    with cloud.master(database) as master:
        master.execute("CREATE TABLE IF NOT EXISTS moved AS SELECT 1 AS x")
    port = free_port()
    cloud.databases.change(
        database.resource_id,
        lambda found: found.changed(identifier="renamed", port=port),
        "another-password",
    )
    moved = cloud.databases.named("renamed")
    with pytest.raises(UnknownInstance):
        cloud.databases.named(database.identifier)
    with pytest.raises(psycopg.OperationalError, match="refused"):
        cloud.login(database)
    assert "password authentication failed" in cloud.refused(moved, MASTER, password=PASSWORD)
    with cloud.login(moved, MASTER, password="another-password") as master:
        assert master.execute("SELECT x FROM moved").fetchone() == (1,)
    cloud.databases.change(
        database.resource_id,
        lambda found: found.changed(identifier=database.identifier, port=database.port),
        PASSWORD,
    )
    assert whoami(cloud.master(database)) == MASTER


def test_a_port_that_is_taken_is_told_and_leaves_nothing(cloud, database):
    with pytest.raises(OSError, match=str(database.port)):
        cloud.instance(identifier="second", port=database.port)
    assert not (cloud.folder / "rds" / "second").exists()
    with pytest.raises(UnknownInstance):
        cloud.databases.named("second")


def test_a_name_that_postgresql_refuses_leaves_nothing(cloud):
    with pytest.raises(ServerError, match="reserved"):
        cloud.instance(identifier="third", master="pg_master")
    assert not (cloud.folder / "rds" / "third").exists()


def test_sessions_end_and_postgresql_goes_on_when_the_sandbox_hands_over(cloud, database):
    with cloud.login(database) as connection:
        start = connection.execute("SELECT pg_postmaster_start_time()").fetchone()
        cloud.restart()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    eventually(lambda: cloud.databases.named(database.identifier).status == "available")
    with cloud.login(database) as connection:
        assert connection.execute("SELECT pg_postmaster_start_time()").fetchone() == start


def test_after_kill_9_of_the_server_and_the_sandbox_the_data_comes_back(cloud, database):
    with cloud.master(database) as master:
        master.execute("CREATE TABLE IF NOT EXISTS survives AS SELECT 1 AS x")
    servers = processes.find(cloud.folder)
    assert [label(server) for server in servers] == ["postgres"]
    cloud.databases.stop()
    for server in servers:
        postmaster = psutil.Process(server.pid)
        backends = postmaster.children()
        postmaster.kill()
        for backend in backends:
            with contextlib.suppress(psutil.NoSuchProcess):
                backend.kill()
    processes.wait_until_gone(servers, 30)
    cloud.databases = cloud.new_databases()
    cloud.databases.start()
    eventually(lambda: cloud.databases.named(database.identifier).status == "available")
    with cloud.master(database) as master:
        assert master.execute("SELECT x FROM survives").fetchone() == (1,)
    assert whoami(cloud.login(database)) == "app"


def test_a_creation_that_a_kill_interrupted_begins_anew(cloud):
    made = cloud.instance(identifier="interrupted")
    folder = cloud.folder / "rds" / "interrupted"
    cloud.databases.stop_all()
    # As it was before the roles were there.
    made.changed(prepared=False, status="creating").save(folder / FILE)
    (folder / "server" / "data" / "PG_VERSION").unlink()
    cloud.databases = cloud.new_databases()
    cloud.databases.start()
    assert cloud.databases.named("interrupted").status == "creating"
    cloud.databases.create(made, PASSWORD)
    assert whoami(cloud.master(made)) == MASTER
    cloud.databases.delete(made.resource_id, "last-of-it")
    assert not folder.exists()
    assert (cloud.folder / "snapshots" / "rds-last-of-it" / "PG_VERSION").read_text() == "17\n"
