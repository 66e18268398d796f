"""What is changed by hand beside node is put back by the next run, and reported."""

from __future__ import annotations

import datetime
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from node import deployment, fetch, machine_platform, published_metrics, server_process
from node.apply import DONE, FAILED, REFUSED
from node.drift import REMEMBERED, REPORTED_ITEMS, Drift, Finding
from node.overrides import Observed, Overrides
from node.pristine import Pristine
from node.probe import Probe
from node.roles import Roles
from postgres.declaration import Declaration
from runtime.errors import FailedError, RefusedError

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
TRUST = "host all all 127.0.0.1/32 trust\n"


@pytest.fixture
def drifting(serving: Any) -> Iterator[Any]:
    """A machine that serves a valid state and knows of no drift; the server and its sessions survive."""
    known = {"loaded": Drift.load(serving.layout).loaded, "compared": time.time()}
    serving.layout.drift.write_text(json.dumps(known))
    server = server_process.find(serving.layout.data(17))
    with serving.connect() as session:
        yield serving
        assert session.execute("SELECT 1").fetchone() == (1,)
    assert server_process.find(serving.layout.data(17)) == server


def reload(machine: Any) -> None:
    machine.superuser("SELECT pg_reload_conf();")
    # Sessions see the new settings once they have handled the signal.
    machine.superuser("SELECT 1;")


def drift(machine: Any) -> dict[str, str]:
    """State by item, as the bucket has it."""
    return {item["what"]: item["state"] for item in machine.report()["drift"]}


def repaired(machine: Any) -> list[str]:
    """What the next run reports as repaired, after which another run finds nothing."""
    assert machine.apply() == DONE
    found = drift(machine)
    assert set(found.values()) == {"repaired"}
    reports = machine.report_count()
    loaded = machine.superuser("SELECT pg_conf_load_time();")
    assert machine.apply() == DONE
    assert machine.report_count() == reports
    assert machine.superuser("SELECT pg_conf_load_time();") == loaded
    return sorted(found)


def on_top(path: Path, line: str) -> None:
    path.write_text(line + path.read_text())


def trusted(machine: Any) -> bool:
    try:
        machine.connect(sslmode="disable", user="postgres").close()
    except psycopg.OperationalError:
        return False
    return True


def test_a_trusted_network_is_closed_again(drifting: Any) -> None:
    on_top(drifting.layout.current / "pg_hba.conf", TRUST)
    assert repaired(drifting) == ["pg_hba.conf was changed"]
    on_top(drifting.layout.current / "pg_hba.conf", TRUST)
    reload(drifting)
    assert trusted(drifting)
    assert "pg_hba.conf was changed" in repaired(drifting)
    assert not trusted(drifting)


def test_what_was_loaded_and_changed_back_does_not_stay_loaded(drifting: Any) -> None:
    hba = drifting.layout.current / "pg_hba.conf"
    before = hba.read_text()
    hba.write_text(TRUST + before)
    reload(drifting)
    assert trusted(drifting)
    hba.write_text(before)
    assert repaired(drifting) == ["the server was made to read its files by somebody else"]
    assert not trusted(drifting)


def test_a_local_rule_that_keeps_node_out_is_repaired(drifting: Any) -> None:
    hba = drifting.layout.current / "pg_hba.conf"
    before = hba.read_text()
    hba.write_text("local all all reject\n" + before)
    reload_until_the_socket_refuses(drifting)
    hba.write_text(before)
    assert "the server's local socket refused node" in repaired(drifting)


def reload_until_the_socket_refuses(machine: Any) -> None:
    """The server logs the signal before it reads its files; a refused session comes after that."""
    machine_platform.of(machine.layout).reload(17)

    def sessions() -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            machine.superuser("SELECT 1;")

    with pytest.raises(FailedError):
        sessions()


def other_key(machine: Any) -> None:
    leaf = machine.server_authority.server()
    (machine.layout.current / "server.crt").write_text(leaf.certificate)
    (machine.layout.current / "server.key").write_text(leaf.private_key)
    reload(machine)


def moved(machine: Any) -> None:
    machine.layout.current.unlink()
    machine.layout.current.symlink_to("/nowhere")


def replaced_by_a_folder(machine: Any) -> None:
    machine.layout.current.unlink()
    machine.layout.current.mkdir()


def generation(machine: Any) -> Path:
    return machine.layout.current.resolve()


def chowned(machine: Any) -> None:
    if os.geteuid() == 0:
        os.chown(generation(machine), *machine.user.owner)
    else:
        generation(machine).chmod(0o750)


def many(machine: Any) -> None:
    current = machine.layout.current
    on_top(current / "pg_ident.conf", "machine /^.*$ postgres\n")
    on_top(current / "postgresql.conf", "ssl = off\n")
    (current / "client-ca.crt").unlink()
    (current / "server.key").chmod(0o644)
    (current / "recovery.conf").write_text("")
    (current / "folder").mkdir()
    machine.layout.configuration(17).write_text("ssl = off\n")


def closed(machine: Any) -> None:
    chowned(machine)
    machine.layout.configuration(17).chmod(0o666)


def renamed(machine: Any) -> None:
    generation(machine).rename(generation(machine).with_name("moved"))
    machine.layout.configuration(17).unlink()


CHANGES: dict[Callable[[Any], object], list[str]] = {
    many: [
        "client-ca.crt was removed",
        "folder was added",
        "pg_ident.conf was changed",
        "postgresql.conf was changed",
        "recovery.conf was added",
        "server.key has another owner or other permissions",
        "the machine's postgresql.conf was changed",
    ],
    other_key: [
        "server.crt was changed",
        "server.key was changed",
        "the server was made to read its files by somebody else",
    ],
    moved: ["the link to the served files was changed"],
    replaced_by_a_folder: ["the link to the served files was changed"],
    closed: [
        "the folder of the served files has another owner or other permissions",
        "the machine's postgresql.conf has another owner or other permissions",
    ],
    renamed: ["the folder of the served files was removed", "the machine's postgresql.conf was removed"],
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_files_are_put_back(change: Callable[[Any], object], drifting: Any) -> None:
    before = {path.name: path.read_bytes() for path in generation(drifting).iterdir()}
    change(drifting)
    assert repaired(drifting) == CHANGES[change]
    folder = generation(drifting)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert folder == (drifting.layout.generations / folder.name)
    probe = Probe(host="127.0.0.1", port=drifting.desired.port)
    assert probe.certificate_sha256() == drifting.report()["certificateSha256"]


def test_files_are_put_back_without_aws(drifting: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    on_top(drifting.layout.current / "pg_hba.conf", TRUST)
    reload(drifting)
    with monkeypatch.context() as patched:
        patched.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        assert drifting.apply() == FAILED
    assert not trusted(drifting)
    assert "pg_hba.conf was changed" not in drift(drifting)
    assert drifting.apply() == DONE
    assert "pg_hba.conf was changed" in drift(drifting)


def test_alter_system_is_taken_back_where_the_setting_is_ours(drifting: Any) -> None:
    for statement in (
        "ALTER SYSTEM SET ssl_min_protocol_version = 'TLSv1';",
        "ALTER SYSTEM SET listen_addresses = '*';",
        "ALTER SYSTEM SET fsync = 'off';",
        "ALTER SYSTEM SET deadlock_timeout = '2s';",
    ):
        drifting.superuser(statement)
    reload(drifting)
    assert drifting.apply() == DONE
    assert {name: state for name, state in drift(drifting).items() if "ALTER" in name} == {
        "ALTER SYSTEM SET ssl_min_protocol_version": "repaired",
        "ALTER SYSTEM SET listen_addresses": "repaired",
        "ALTER SYSTEM SET fsync": "repaired",
        "ALTER SYSTEM SET deadlock_timeout": "foreign",
    }
    assert drifting.superuser("SHOW ssl_min_protocol_version;") == [["TLSv1.3"]]
    assert drifting.superuser("SHOW deadlock_timeout;") == [["2s"]]
    first = drifting.report()
    assert drifting.apply() == DONE
    assert drifting.report() == first
    drifting.superuser("ALTER SYSTEM RESET ALL;")
    assert drifting.apply() == DONE
    assert "ALTER SYSTEM SET deadlock_timeout" not in drift(drifting)


@pytest.mark.parametrize("line", ["ssl = off\n", "Ssl_Ciphers='ALL'\nnonsense '\n"])
def test_a_file_of_alter_system_that_was_edited_is_cleaned(line: str, drifting: Any) -> None:
    path = drifting.layout.data(17) / "postgresql.auto.conf"
    before = path.read_text()
    path.write_text(before + line)
    assert repaired(drifting)
    assert drifting.superuser("SHOW ssl;") == [["on"]]
    assert path.read_text() == before


def test_settings_of_roles_and_databases_that_weaken_the_server_are_taken_back(drifting: Any) -> None:
    for statement in (
        "ALTER ROLE app_user SET log_statement = 'none';",
        "ALTER DATABASE app SET log_min_messages = 'panic';",
        "ALTER ROLE ALL SET row_security = 'off';",
        "ALTER ROLE app_user IN DATABASE app SET zero_damaged_pages = 'on';",
    ):
        drifting.superuser(statement)
    drifting.superuser("ALTER ROLE app_user SET work_mem = '8MB';")
    drifting.superuser("ALTER DATABASE app SET log_statement = 'all';")
    assert repaired(drifting) == [
        'ALTER DATABASE "app" SET log_min_messages',
        'ALTER ROLE "app_user" IN DATABASE "app" SET zero_damaged_pages',
        'ALTER ROLE "app_user" SET log_statement',
        "ALTER ROLE ALL SET row_security",
    ]
    left = drifting.superuser("SELECT unnest(setconfig) FROM pg_db_role_setting ORDER BY 1;")
    assert [row for row in left if row[0].startswith(("work_mem", "log_"))] == [
        ["log_statement=all"],
        ["work_mem=8MB"],
    ]
    drifting.superuser("ALTER ROLE app_user RESET work_mem;")
    drifting.superuser("ALTER DATABASE app RESET log_statement;")


def test_roles_are_put_back_once_a_minute(drifting: Any) -> None:
    for statement in (
        "ALTER ROLE app_user SUPERUSER CREATEROLE PASSWORD 'x';",
        "GRANT pg_read_all_data TO app_user;",
        "CREATE ROLE stranger LOGIN SUPERUSER;",
    ):
        drifting.superuser(statement)
    assert drifting.apply() == DONE
    assert drift(drifting) == {}
    known = json.loads(drifting.layout.drift.read_text())
    drifting.layout.drift.write_text(json.dumps(known | {"compared": known["compared"] - 60}))
    assert drifting.apply() == DONE
    found = drift(drifting)
    assert sorted(found.values())[:1] == ["foreign"]
    assert "repaired" in found.values()
    assert any("stranger" in what for what, state in found.items() if state == "foreign")
    attributes = "SELECT rolsuper, rolcreaterole FROM pg_roles WHERE rolname = 'app_user';"
    assert drifting.superuser(attributes) == [["f", "f"]]
    drifting.superuser("DROP ROLE stranger;")


def test_a_hold_leaves_settings_and_grants_alone_but_never_access(
    serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    serving.publish(hold={"until": end.isoformat(), "reason": "a repair by hand"})
    assert serving.apply() == DONE, serving.report()
    serving.layout.drift.write_text(json.dumps({"loaded": Drift.load(serving.layout).loaded}))
    for statement in (
        "ALTER SYSTEM SET fsync = 'off';",
        "ALTER SYSTEM SET ssl_min_protocol_version = 'TLSv1';",
        "ALTER ROLE app_user SET log_statement = 'none';",
        "ALTER ROLE app_user SUPERUSER;",
        "GRANT pg_read_all_data TO app_user;",
    ):
        serving.superuser(statement)
    on_top(serving.layout.current / "pg_hba.conf", TRUST)
    assert serving.apply() == DONE
    items = {item["what"]: item for item in serving.report()["drift"]}
    assert {what: item["state"] for what, item in items.items() if item["state"] != "foreign"} == {
        "reconciliation": "held",
        "ALTER SYSTEM SET fsync": "held",
        'ALTER ROLE "app_user" SET log_statement': "held",
        "role app_user is no longer a member of pg_read_all_data": "held",
        "ALTER SYSTEM SET ssl_min_protocol_version": "repaired",
        "attributes of role app_user": "repaired",
        "pg_hba.conf was changed": "repaired",
    }
    assert items["reconciliation"]["why"] == f"held until {end.isoformat()}: a repair by hand"
    serving.connect().close()
    # It ends by itself.
    monkeypatch.setattr(Pristine, "held", lambda *_: "")
    known = json.loads(serving.layout.drift.read_text())
    serving.layout.drift.write_text(json.dumps(known | {"compared": 0}))
    assert serving.apply() == DONE
    assert "held" not in drift(serving).values()
    assert serving.superuser("SHOW fsync;") == [["on"]]
    monkeypatch.undo()
    serving.publish()
    assert serving.apply() == DONE


@pytest.mark.parametrize(
    ("until", "words"),
    [
        ("2999-01-01T00:00:00Z", "more than 24 hours ahead"),
        ("2026-01-01T00:00:00", "time zone"),
        ("tomorrow", "ISO 8601"),
    ],
)
def test_a_hold_without_a_near_end_is_refused(until: str, words: str, serving: Any) -> None:
    serving.publish(hold={"until": until, "reason": "x"})
    assert serving.apply() == REFUSED
    assert words in serving.report()["message"]


def test_an_override_does_not_outlive_a_new_desired_state(serving: Any) -> None:
    serving.superuser("ALTER SYSTEM SET work_mem = '1GB';")
    serving.desired.extra_settings = {"work_mem": "8MB"}
    serving.publish()
    assert serving.apply() == DONE, serving.report()
    assert serving.superuser("SHOW work_mem;") == [["8MB"]]


def test_access_goes_out_though_somebody_blocked_the_roles(
    serving: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    applied: list[Declaration] = []

    def blocked(_: Roles, declaration: Declaration) -> None:
        applied.append(declaration)
        raise RefusedError("roles.json: alter role app_user: permission denied to alter role")

    with monkeypatch.context() as patched:
        patched.setattr(Roles, "apply", blocked)
        serving.desired.networks = ("203.0.113.0/24",)
        serving.publish()
        assert serving.apply() == FAILED
        with pytest.raises(psycopg.OperationalError, match="rejects connection"):
            serving.connect()
        report = serving.report()
        assert "permission denied to alter role" in report["message"]
        assert f"node: failed: {report['message']}" in capsys.readouterr().err
        assert (report["outcome"], report["appliedSerial"]) == ("failed", report["serial"])
        # Once the new declaration, once the one before it, which is blocked just as well.
        assert len(applied) == 2
        assert serving.apply() == FAILED
    assert serving.apply() == DONE


@pytest.fixture
def journal(serving: Any) -> Iterator[Path]:
    """The place of the journal of roles; afterwards it holds what it held before."""
    path = serving.layout.journal
    content = path.read_bytes()
    path.unlink()
    yield path
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    path.chmod(0o600)


def a_link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def test_access_goes_out_though_something_has_the_place_of_the_journal(
    serving: Any, journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(journal)
    serving.desired.networks = ("203.0.113.0/24",)
    serving.publish()
    assert serving.apply() == FAILED
    with pytest.raises(psycopg.OperationalError, match="rejects connection"):
        serving.connect()
    assert str(journal) in capsys.readouterr().err


@pytest.mark.parametrize("plant", [os.mkfifo, Path.mkdir, a_link])
def test_what_has_the_place_of_the_journal_ends_no_run(
    plant: Callable[[Path], None], drifting: Any, journal: Path
) -> None:
    plant(journal)
    known = json.loads(drifting.layout.drift.read_text())
    drifting.layout.drift.write_text(json.dumps(known | {"compared": 0}))
    assert drifting.apply() == DONE
    items = {item["what"]: item for item in drifting.report()["drift"]}
    assert items["roles and grants"]["state"] == "failed"
    assert str(journal) in items["roles and grants"]["why"]
    # The last step of a run, but for the log.
    assert Drift.load(drifting.layout).published > 0


def test_a_reload_that_the_operating_system_refuses_ends_no_run(
    drifting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> None:
        raise OSError(5, "Input/output error")

    on_top(drifting.layout.current / "pg_hba.conf", TRUST)
    with monkeypatch.context() as patched:
        patched.setattr("node.server_log.mark", refused)
        assert drifting.apply() == DONE
    assert drift(drifting)["the running server"] == "failed"
    assert Drift.load(drifting.layout).published > 0


@pytest.mark.parametrize(
    ("options", "found"),
    [
        # pg_ctlcluster of Debian's postgresql-common gives every server these two.
        (("config_file", "external_pid_file"), []),
        (("config_file", "external_pid_file", "ssl"), ["ssl on the command line"]),
        (
            ("external_pid_file", "hba_file", "port"),
            ["hba_file on the command line", "port on the command line"],
        ),
    ],
)
def test_an_option_that_debian_gives_the_server_is_no_drift(
    options: tuple[str, ...], found: list[str]
) -> None:
    seen = Observed(
        loaded="0",
        reloaded=False,
        in_recovery=False,
        auto=(),
        auto_error="",
        options=options,
        session=(),
    )
    unused: Any = None
    findings, changed = Overrides(layout=unused, pristine=unused, user=unused).take_back(unused, seen)
    assert ([finding.what for finding in findings], changed) == (found, False)


def test_what_cannot_be_repaired_is_reported_with_its_reason(
    drifting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_top(drifting.layout.current / "pg_hba.conf", TRUST)
    loaded = drifting.superuser("SELECT pg_conf_load_time();")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("node.generation.write_folder", full)
        assert drifting.apply() == DONE
    items = {item["what"]: item for item in drifting.report()["drift"]}
    assert items["pg_hba.conf was changed"]["state"] == "failed"
    assert "No space left" in items["pg_hba.conf was changed"]["why"]
    # The server must not be made to read what is wrong.
    assert drifting.superuser("SELECT pg_conf_load_time();") == loaded
    since = items["pg_hba.conf was changed"]["since"]
    assert drifting.apply() == DONE
    items = {item["what"]: item for item in drifting.report()["drift"]}
    assert items["pg_hba.conf was changed"] == {
        "what": "pg_hba.conf was changed",
        "since": since,
        "state": "repaired",
        "why": "",
    }


def test_a_run_that_finds_nothing_needs_neither_the_sdk_nor_another_query(
    drifting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries: list[str] = []
    run = type(drifting.user).run

    def counted(self: Any, command: Any, **named: Any) -> Any:
        queries.append(str(command[0]))
        return run(self, command, **named)

    assert drifting.apply() == DONE
    monkeypatch.setattr(type(drifting.user), "run", counted)
    monkeypatch.setattr(deployment, "deploy", None)
    monkeypatch.setattr(fetch, "boto3", None)
    assert drifting.apply() == DONE
    assert [Path(query).name for query in queries] == ["psql"]


def test_alarms_learn_of_drift_once_a_minute(drifting: Any) -> None:
    def lines() -> list[dict[str, Any]]:
        events = drifting.logs.get_log_events(
            logGroupName=drifting.log_group, logStreamName="i-0123456789abcdef0/node"
        )["events"]
        return [json.loads(event["message"]) for event in events]

    on_top(drifting.layout.current / "pg_hba.conf", TRUST)
    assert drifting.apply() == DONE
    before = lines()
    assert before[-1]["DriftFound"] == 1
    assert before[-1]["Server"] == drifting.log_group
    assert 89 < before[-1]["ServerCertificateDaysLeft"] <= 90
    assert drifting.apply() == DONE
    assert lines() == before
    document = json.loads(drifting.layout.drift.read_text())
    drifting.layout.drift.write_text(json.dumps(document | {"published": document["published"] - 60}))
    assert drifting.apply() == DONE
    assert [line["DriftFound"] for line in lines()[len(before) :]] == [0]


def test_alarms_learn_of_the_first_end_of_the_roles_certificates(
    serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(
        published_metrics, "put_events", lambda *sent: lines.append(json.loads(sent[-1][0]["message"]))
    )
    serving.publish(clientCertificatesNotAfter=(NOW + datetime.timedelta(days=10)).isoformat())
    assert serving.apply() == DONE, serving.report()
    pristine = Pristine.load(serving.layout, serving.layout.current_generation())
    assert pristine is not None
    ended = replace(pristine, client_certificates_not_after=(NOW - datetime.timedelta(days=2)).isoformat())
    without = replace(pristine, client_certificates_not_after=None)
    for each in (pristine, ended, without):
        Drift().save(serving.layout)
        published_metrics.publish(serving.layout, each, None, serving.log_group, NOW)  # type: ignore[arg-type]
    assert [line.get("ClientCertificateDaysLeft") for line in lines[-3:]] == [10, -2, None]
    metrics = [line["_aws"]["CloudWatchMetrics"][0]["Metrics"] for line in lines[-3:]]
    assert [len(each) for each in metrics] == [4, 4, 3]


def test_what_a_node_before_the_alarm_for_roles_wrote_can_be_read(serving: Any) -> None:
    record = serving.layout.pristine / serving.layout.current_generation() / "record.json"
    written = json.loads(record.read_text())
    assert "clientCertificatesNotAfter" in written
    text = json.dumps({key: value for key, value in written.items() if key != "clientCertificatesNotAfter"})
    record.write_text(text)
    pristine = Pristine.load(serving.layout, serving.layout.current_generation())
    assert pristine is not None
    assert pristine.client_certificates_not_after is None


def test_without_its_pristine_copy_the_state_is_applied_again(serving: Any) -> None:
    assert Pristine.load(serving.layout, serving.layout.current_generation()) is not None
    for path in serving.layout.pristine.glob("*/record.json"):
        path.unlink()
    on_top(serving.layout.current / "pg_hba.conf", TRUST)
    assert serving.apply() == DONE
    assert Pristine.load(serving.layout, serving.layout.current_generation()) is not None
    assert TRUST not in (serving.layout.current / "pg_hba.conf").read_text()


def finding(what: str, state: Any = "repaired") -> Finding:
    return Finding(what=what, state=state)


def test_findings_keep_their_beginning_and_end_in_their_own_ways() -> None:
    later = NOW + datetime.timedelta(minutes=5)
    first = Drift().after("files", [finding("a"), finding("b", "failed")], NOW)
    first = first.after("catalogues", [finding("c", "foreign"), finding("d", "foreign")], NOW)
    second = first.after("files", [], later).after("catalogues", [finding("c", "foreign")], later)
    # What was repaired is told for a day; what could not be repaired or was foreign, while it is there.
    assert {item.what: item.since for item in second.items} == {
        "a": NOW.isoformat(timespec="seconds"),
        "c": NOW.isoformat(timespec="seconds"),
    }
    again = second.after("files", [finding("a")], later)
    assert [item.since for item in again.items if item.what == "a"] == [NOW.isoformat(timespec="seconds")]
    assert [item.what for item in again.recent(NOW + REMEMBERED).items] == ["a", "c"]
    assert [item.what for item in again.recent(later + REMEMBERED).items] == ["c"]
    # Metrics count what happened, and what is foreign once.
    assert (first.new, second.new, again.new) == (4, 4, 5)


def test_a_report_of_drift_is_bounded_and_printable() -> None:
    hostile = "x\x1b[2J\nforged line" + "y" * 1000
    found = Drift().after("catalogues", [finding(f"{number} {hostile}") for number in range(300)], NOW)
    reported = found.reported()
    assert len(reported) == REPORTED_ITEMS
    assert reported[-1]["what"] == f"{len(found.items) - REPORTED_ITEMS + 1} more deviations"
    assert all(item["what"].isprintable() and len(item["what"]) <= 300 for item in reported)
