"""Whole applies against real servers, with AWS in process."""

from __future__ import annotations

import datetime
import errno
import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from node import deployment, server_process
from node.apply import DONE, FAILED, OTHER_NODE, REFUSED, apply
from node.layout import Layout
from node.prefix import Prefix
from node.state import MANIFEST_KEY
from runtime import files

MachineOf = Callable[..., Any]


# Common names of certificates, with what PostgreSQL reads elsewhere as a keyword, a group or a file.
COMMON_NAMES = {
    "app_user": "billing.example.org",
    "audit": "+app_user",
    "loader": "@pg_hba.conf",
    "reporting": "all",
    "viewer": 'Zoë "the" #1, C:\\',
}


# 16 and 17 differ from 18 in nothing that node does.
@pytest.mark.parametrize(
    "major", [15, 18, *(pytest.param(major, marks=pytest.mark.long) for major in (16, 17))]
)
def test_first_apply_and_a_change_of_hba_on_every_major(major: int, machine_of: MachineOf) -> None:
    machine = machine_of(major, blank=True)
    machine.desired.roles = tuple(COMMON_NAMES)
    machine.desired.common_names = COMMON_NAMES
    serial = machine.publish()
    assert machine.apply() == DONE, machine.report()
    report = machine.report()
    assert report["outcome"] == "applied"
    assert report["serial"] == report["appliedSerial"] == serial
    assert report["serverVersion"].startswith(f"{major}.")
    assert report["pendingRestart"] == []
    with machine.connect() as connection:
        row = connection.execute(
            "SELECT session_user, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        ).fetchone()
    assert row == ("app_user", "TLSv1.3")
    assert machine.superuser("SHOW data_checksums;") == [["on"]]
    stages = [entry["message"] for entry in machine.report_versions() if entry["outcome"] == "applying"]
    assert stages[:2] == ["fetching files and secret", "validating"]
    for name in ("server.key", "pg_hba.conf"):
        status = (machine.layout.current / name).stat()
        expected = (0, machine.user.gid, 0o640) if os.geteuid() == 0 else (*machine.user.owner, 0o600)
        assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == expected
    only_declared_names_log_in(machine)
    an_hba_change_takes_a_reload_and_keeps_sessions(machine)
    machine.stop()


def only_declared_names_log_in(machine: Any) -> None:
    let_in = {pair for role, name in COMMON_NAMES.items() for pair in ((name, role), (role, role))}
    strangers = (
        "Billing.example.org",
        "billing.example.or",
        "a.billing.example.org",
        "billing.example.org.",
        "billing-example.org",
        "/^.*$",
        "intruder",
        "postgres",
    )
    others = {(name, role) for name in COMMON_NAMES.values() for role in ("app_user", "reporting")}
    tried = let_in | others | {(name, "app_user") for name in (*strangers, *COMMON_NAMES)}
    tried |= {("billing.example.org", "postgres"), ("billing.example.org", "pgpl_admin")}
    assert {(name, role) for name, role in tried if logs_in(machine, name, role)} == let_in


def logs_in(machine: Any, common_name: str, role: str) -> bool:
    """Whether a certificate of the client authority with this common name logs in as the role."""
    leaf = machine.client_authority.client(common_name)
    for name, text in (("other.crt", leaf.certificate), ("other.key", leaf.private_key)):
        path = machine.client_files / name
        path.touch(mode=0o600)
        path.write_text(text)
    files = {
        "sslcert": str(machine.client_files / "other.crt"),
        "sslkey": str(machine.client_files / "other.key"),
    }
    try:
        with machine.connect(user=role, **files) as connection:
            return connection.execute("SELECT session_user").fetchone() == (role,)
    except psycopg.OperationalError as error:
        said = str(error)
    refusals = ("certificate authentication failed", "pg_hba.conf rejects connection")
    assert any(refusal in said for refusal in refusals), said
    return False


def an_hba_change_takes_a_reload_and_keeps_sessions(machine: Any) -> None:
    data = machine.layout.data(machine.major)
    server = server_process.find(data)
    with machine.connect() as session:
        machine.desired.networks = ("203.0.113.0/24",)
        machine.publish()
        assert machine.apply() == DONE, machine.report()
        assert session.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(psycopg.OperationalError, match=r"pg_hba\.conf rejects connection"):
            machine.connect()
    assert server_process.find(data) == server


def test_the_same_state_is_not_applied_twice(machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.apply() == DONE
    versions = machine.report_count()
    monkeypatch.setattr(deployment, "deploy", None)
    assert machine.apply() == DONE
    assert machine.report_count() == versions


def trust_line(desired: Any, _: Any) -> None:
    desired.extra_hba = "host app app_user 127.0.0.1/32 trust"


def broken_hba(desired: Any, _: Any) -> None:
    desired.extra_hba = "hostssl app app_user 127.0.0.1/32 cert clientcert=1"


def unknown_setting(desired: Any, _: Any) -> None:
    desired.extra_conf = "no_such_setting = 'on'\n"


def weak_setting(desired: Any, _: Any) -> None:
    desired.extra_settings = {"ssl": "off", "fsync": "off"}


def other_key(desired: Any, machine: Any) -> None:
    identity = json.loads(desired.identity)
    identity["privateKey"] = json.loads(machine.server_authority.server().secret())["privateKey"]
    desired.identity = json.dumps(identity)


def expired_certificate(desired: Any, machine: Any) -> None:
    desired.identity = machine.server_authority.server(life=datetime.timedelta(days=-1)).secret()


def missing_extension(desired: Any, _: Any) -> None:
    desired.extensions = ("postgis",)


REFUSALS = {
    trust_line: "trust",
    broken_hba: "clientcert",
    unknown_setting: "no_such_setting",
    weak_setting: "ssl",
    other_key: "server private key does not match",
    expired_certificate: "expired",
    missing_extension: "create extension postgis",
}


def test_refused_changes_leave_the_old_configuration_serving(
    serving: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    applied = serving.report()["appliedSerial"]
    good = dict(vars(serving.desired))
    with serving.logging_in() as client:
        for change, telling in REFUSALS.items():
            change(serving.desired, serving)
            serial = serving.publish()
            assert serving.apply() == REFUSED, change
            report = serving.report()
            assert (report["outcome"], report["serial"], report["appliedSerial"]) == (
                "refused",
                serial,
                applied,
            )
            assert telling in report["message"]
            versions = serving.report_count()
            assert serving.apply() == REFUSED
            assert serving.report_count() == versions
            vars(serving.desired).update(good)
        serial = serving.publish()
        assert serving.apply() == DONE
        assert serving.report()["appliedSerial"] == serial
    assert client.failures == []
    assert client.logins > 0
    assert "PRIVATE KEY" not in capfd.readouterr().err


def test_all_problems_are_reported_together(serving: Any) -> None:
    trust_line(serving.desired, serving)
    weak_setting(serving.desired, serving)
    expired_certificate(serving.desired, serving)
    serving.publish()
    assert serving.apply() == REFUSED
    message = serving.report()["message"]
    assert all(word in message for word in ("trust", "fsync", "expired"))


def test_a_hole_in_validation_is_found_by_the_scratch_server(
    serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.validation._login_problems", lambda *_: [])
    monkeypatch.setattr("node.validation._settings_problems", lambda text, major: [])
    serving.desired.extra_hba = "hostssl app app_user 127.0.0.1/32 cert clientcert=verify-ca"
    serving.publish()
    assert serving.apply() == REFUSED
    assert "PostgreSQL: " in serving.report()["message"]
    serving.desired.extra_hba = ""
    serving.desired.extra_conf = "work_mem = 'much'\nno_such_setting = '1'\n"
    serving.publish()
    assert serving.apply() == REFUSED
    assert "work_mem" in serving.report()["message"]
    assert "no_such_setting" in serving.report()["message"]
    serving.connect().close()


def test_an_open_configuration_is_taken_back_after_the_switch(
    serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = serving.layout.current_generation()
    monkeypatch.setattr("node.validation._login_problems", lambda *_: [])
    serving.desired.extra_hba = "host app app_user 127.0.0.1/32 trust\nhost app app_user ::1/128 trust"
    serving.publish()
    assert serving.apply() == REFUSED
    assert "a login without TLS as app_user" in serving.report()["message"]
    assert serving.layout.current_generation() == before
    with pytest.raises(psycopg.OperationalError, match="rejects connection"):
        serving.connect(sslmode="disable")


def test_a_new_certificate_is_served_after_a_reload(serving: Any) -> None:
    first = serving.report()["certificateSha256"]
    with serving.connect() as session:
        serving.desired.identity = serving.server_authority.server().secret()
        serving.publish()
        assert serving.apply() == DONE
        session.execute("SELECT 1")
    assert serving.report()["certificateSha256"] != first
    serving.connect().close()


def test_roles_are_added_and_lose_their_login(serving: Any) -> None:
    serving.desired.roles = ("app_user", "report_user")
    serving.desired.role_values = {
        "member_of": ("pg_monitor",),
        "settings": (("search_path", '"$user", user'), ("statement_timeout", "30000")),
    }
    serving.publish()
    assert serving.apply() == DONE, serving.report()
    own_values = "SELECT pg_has_role(oid, 'pg_monitor', 'USAGE'), rolconfig FROM pg_roles "
    started = f"{own_values} WHERE rolname = 'report_user';"
    own = """{"search_path=\\"$user\\", \\"user\\"",statement_timeout=30000}"""
    assert serving.superuser(started) == [["t", own]]
    logins = "SELECT rolname FROM pg_roles WHERE rolcanlogin ORDER BY 1;"
    assert serving.superuser(logins) == [["app_user"], ["pgpl_admin"], ["postgres"], ["report_user"]]
    serving.desired.roles = ("app_user",)
    serving.desired.role_values = {}
    serving.publish()
    assert serving.apply() == DONE
    assert serving.superuser(logins) == [["app_user"], ["pgpl_admin"], ["postgres"]]
    assert serving.superuser(started) == [["f", ""]]


def test_what_cannot_be_granted_is_told_of_all_roles_together(serving: Any) -> None:
    serving.superuser("ALTER SCHEMA public RENAME TO hidden;", "app")
    serving.desired.roles = ("app_user", "report_user")
    serving.publish()
    # Neither is the applied declaration as it was.
    assert serving.apply() == FAILED
    message = serving.report()["message"]
    serving.superuser("ALTER SCHEMA hidden RENAME TO public;", "app")
    for role in serving.desired.roles:
        assert f"grant usage on schema public of app to {role} (database app, as administrator)" in message


def test_a_session_of_the_superuser_finds_nothing_that_others_made_and_waits_two_seconds(
    serving: Any,
) -> None:
    serving.superuser("ALTER DATABASE app SET search_path = public, pg_catalog;")
    assert serving.superuser("SHOW search_path;", "app") == [["pg_catalog"]]
    assert serving.superuser("SHOW lock_timeout;", "app") == [["2s"]]


def test_a_refused_declaration_leaves_no_role(serving: Any) -> None:
    serving.desired.roles = ("app_user", "report_user")
    missing_extension(serving.desired, serving)
    serving.publish()
    assert serving.apply() == REFUSED
    logins = "SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolname = 'report_user';"
    assert serving.superuser(logins) == []


def test_an_earlier_desired_state_does_not_come_back_as_the_newest_object(
    serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = serving.desired.networks
    serving.desired.networks = (*networks, "198.51.100.0/24")
    serving.put(MANIFEST_KEY, json.dumps(serving.manifest()).encode())
    serving.desired.networks = networks
    applied = serving.publish()
    assert serving.apply() == DONE, serving.report()
    serving.put(MANIFEST_KEY, serving.versions(MANIFEST_KEY)[-2].encode())
    for node in (None, "f" * 64):
        monkeypatch.setattr("node.apply.own_node", lambda node=node: node)
        assert serving.apply() == REFUSED
        report = serving.report()
        assert "is not newer than the applied one" in report["message"]
        assert report["serial"] < report["appliedSerial"] == applied
    assert "198.51.100.0/24" not in (serving.layout.current / "pg_hba.conf").read_text()
    serving.connect().close()
    serving.publish()
    assert serving.apply() == OTHER_NODE


def test_a_manifest_that_is_made_again_locks_no_machine_out(serving: Any) -> None:
    serving.s3.delete_object(Bucket=serving.bucket, Key=MANIFEST_KEY)
    before = serving.report()
    assert serving.apply() == FAILED
    assert serving.report() == before
    serving.connect().close()
    serial = serving.publish()
    assert serving.apply() == DONE, serving.report()
    assert serving.report()["appliedSerial"] == serial


@pytest.mark.parametrize("change", [0, -1, -1_000_000])
def test_no_other_content_is_taken_with_a_serial_that_is_not_higher(change: int, serving: Any) -> None:
    applied = serving.report()["appliedSerial"]
    assert serving.publish(serial=applied + change, restart="automatic") == applied + change
    assert serving.apply() == REFUSED
    assert "is not newer than the applied one" in serving.report()["message"]


@pytest.mark.parametrize("serial", [None, "soon", 0, -1, 4e9, True])
def test_a_manifest_without_a_serial_is_refused(serial: Any, serving: Any) -> None:
    serving.publish(serial=serial)
    assert serving.apply() == REFUSED
    assert "serial" in serving.report()["message"]


def test_the_applied_serial_of_the_former_release_is_lower_than_any(serving: Any) -> None:
    state = json.loads(serving.layout.state.read_text())
    state["applied"]["serial"] = state["judged"]["serial"] = 12
    serving.layout.state.write_text(json.dumps(state))
    serial = serving.publish()
    assert serving.apply() == DONE, serving.report()
    assert serving.report()["appliedSerial"] == serial


def test_a_tampered_object_is_refused(serving: Any) -> None:
    files = serving.manifest()["files"]
    files["pg_hba.conf"] |= serving.put("files/pg_hba.conf", b"local all all trust\n") | {
        "sha256": files["pg_hba.conf"]["sha256"]
    }
    serving.publish(files=files)
    assert serving.apply() == REFUSED
    assert "somebody changed it" in serving.report()["message"]


def test_another_major_is_refused(serving: Any) -> None:
    serving.desired.major = 18
    serving.publish()
    assert serving.apply() == REFUSED
    assert "pg_upgrade" in serving.report()["message"]
    serving.connect().close()


def test_a_floor_above_the_programs_is_refused(serving: Any) -> None:
    serving.publish(minorFloor=99)
    assert serving.apply() == REFUSED
    assert "minorFloor" in serving.report()["message"]


def test_a_wrong_manifest_is_refused_without_its_values(serving: Any) -> None:
    serving.publish(surprise="do-not-repeat-me")
    assert serving.apply() == REFUSED
    assert "surprise" in serving.report()["message"]
    assert "do-not-repeat-me" not in serving.report()["message"]


def test_what_cannot_be_fetched_fails_and_is_tried_again(machine: Any) -> None:
    files = machine.manifest()["files"]
    version = machine.publish(files=files | {"roles.json": files["roles.json"] | {"key": "files/none"}})
    assert machine.apply() == FAILED
    assert machine.report()["outcome"] == "failed"
    versions = machine.report_count()
    assert machine.apply() == FAILED
    assert machine.report_count() == versions
    assert machine.publish() > version
    assert machine.apply() == DONE


def test_a_machine_whose_packages_change_is_left_alone_until_they_have(
    serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    generation = serving.layout.current_generation()
    serving.publish()
    with monkeypatch.context() as patch:
        patch.setattr(Prefix, "package_work", lambda self: "process 17 (dpkg)")
        assert serving.apply() == FAILED
        report = serving.report()
        assert report["outcome"] == "applying"
        assert report["message"] == "waiting until process 17 (dpkg) has changed the machine's packages"
        assert serving.layout.current_generation() == generation
    assert serving.apply() == DONE
    serving.stop()
    reports = serving.report_count()
    with monkeypatch.context() as patch:
        patch.setattr(Prefix, "package_work", lambda self: "process 17 (dpkg)")
        assert serving.apply() == FAILED
        assert server_process.find(serving.layout.data(17)) is None
    # An upgrade starts the server itself, and the report is still right.
    assert serving.report_count() == reports
    assert serving.apply() == DONE
    assert server_process.find(serving.layout.data(17)) is not None


@pytest.mark.parametrize(
    "full_from",
    [
        "fetching files and secret",
        pytest.param("proving the configuration", marks=pytest.mark.long),
        "failed",
    ],
)
def test_a_full_disk_does_not_silence_the_machine(
    full_from: str, serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first stage on, from a later one on, or when another failure is to be kept."""
    before = serving.report()["appliedSerial"]
    write = files.replace_file
    full = False

    def replace_file(path: Path, content: str | bytes, *rest: Any, **options: Any) -> None:
        nonlocal full
        full = full or full_from in str(content)
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write(path, content, *rest, **options)

    wrong = serving.manifest()["files"]
    wrong["roles.json"]["key"] = "files/none"
    with monkeypatch.context() as patch:
        patch.setattr(files, "replace_file", replace_file)
        published = serving.publish(**({"files": wrong} if full_from == "failed" else {}))
        assert serving.apply() == FAILED
        report = serving.report()
        assert (report["serial"], report["outcome"]) == (published, "failed")
        assert report["appliedSerial"] == before
        told = "files/none" if full_from == "failed" else f"{full_from}: [Errno 28] No space left on device"
        assert told in report["message"].replace(" on a scratch server", "")
    serving.publish()
    assert serving.apply() == DONE


def test_restart_is_pending_or_automatic(serving: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server = server_process.find(serving.layout.data(17))
    replaced = {server: ("server_version", "libssl.so.3")}
    monkeypatch.setattr(server_process, "replaced_files", lambda process, program: replaced.get(process, ()))
    serving.desired.extra_settings = {"max_connections": "50"}
    serving.publish()
    assert serving.apply() == DONE, serving.report()
    assert serving.report()["pendingRestart"] == ["max_connections", "server_version", "libssl.so.3"]
    # Packages are upgraded between two deployments.
    pending = "a restart is pending: server_version, libssl.so.3 was replaced on disk"
    assert pending in [found["what"] for found in serving.report()["drift"]]
    assert server_process.find(serving.layout.data(17)) == server
    serving.desired.restart = "automatic"
    serving.publish()
    assert serving.apply() == DONE
    assert serving.report()["pendingRestart"] == []
    assert serving.superuser("SHOW max_connections;") == [["50"]]
    assert serving.apply() == DONE
    assert pending not in [found["what"] for found in serving.report()["drift"]]


def test_a_restart_that_fails_returns_to_the_applied_state(serving: Any) -> None:
    serving.desired.restart = "automatic"
    # The scratch server uses no huge pages, so only the restart finds that there are none.
    serving.desired.extra_settings = {"huge_pages": "on"}
    serving.publish()
    assert serving.apply() == REFUSED, serving.report()
    assert "restart for huge_pages" in serving.report()["message"]
    serving.connect().close()
    assert serving.superuser("SHOW huge_pages;") == [["try"]]


def test_a_killed_server_is_started_even_without_aws(serving: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server = server_process.find(serving.layout.data(17))
    assert server is not None
    os.kill(server.pid, signal.SIGKILL)
    while server_process.find(serving.layout.data(17)):
        pass
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert serving.apply() == FAILED
    serving.connect().close()


def test_a_stale_lock_of_a_recycled_process_id_is_removed(serving: Any) -> None:
    serving.publish()
    serving.stop()
    lock = serving.layout.data(17) / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n{serving.layout.data(17)}\n1\n5432\n/nowhere\n\n\nready\n")
    os.chown(lock, *serving.user.owner)
    assert serving.apply() == DONE
    serving.connect().close()


def test_a_killed_server_is_started_when_the_new_state_is_refused(serving: Any) -> None:
    serving.stop()
    trust_line(serving.desired, serving)
    serving.publish()
    assert serving.apply() == REFUSED
    serving.connect().close()


def test_two_runs_never_overlap(machine: Any, tmp_path: Path) -> None:
    machine.layout.home.mkdir(parents=True, exist_ok=True)
    holder = subprocess.Popen(["flock", machine.layout.lock, "cat"], stdin=subprocess.PIPE)
    while subprocess.run(["flock", "--nonblock", machine.layout.lock, "true"], check=False).returncode == 0:
        pass
    assert machine.apply() == DONE
    assert not machine.layout.current.exists()
    holder.communicate()
    assert machine.apply() == DONE
    assert machine.layout.current.exists()


def test_a_machine_without_description_fails_without_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert apply(Layout(tmp_path)) == FAILED
    assert "machine.json" in capsys.readouterr().err


def test_unexpected_errors_are_reported(serving: Any, monkeypatch: pytest.MonkeyPatch) -> None:

    def surprise(**_: Any) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(deployment, "validated", surprise)
    serving.publish()
    assert serving.apply() == FAILED
    assert serving.report()["message"] == "validating: ZeroDivisionError: division by zero"
    serving.connect().close()


def test_log_lines_are_shipped_and_secrets_appear_nowhere(machine: Any) -> None:
    machine.apply()
    machine.connect().close()
    machine.apply()
    events = machine.logs.get_log_events(logGroupName=machine.log_group, logStreamName="i-0123456789abcdef0")[
        "events"
    ]
    messages = [json.loads(event["message"]) for event in events]
    assert any("connection authenticated" in entry.get("message", "") for entry in messages)
    key = json.loads(machine.desired.identity)["privateKey"].splitlines()[1]
    written = [path for path in machine.root.rglob("*") if path.is_file() and path.name != "server.key"]
    assert not [path for path in written if key in path.read_text(errors="replace")]
    assert key not in json.dumps(messages) + json.dumps(machine.report_versions())
