"""Changes of a running server: what is applied without a restart, what is refused, what is taken back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.behaviour.conftest import ROOT, RunningSandbox
from tests.behaviour.issuing import issue_client
from tests.behaviour.program_changes import HOOK, VARIABLE
from tests.behaviour.steady_client import LOGINS_PER_SECOND, SteadyClient

pytestmark = pytest.mark.sandbox

COMMON_NAME = "reports.example.org"


@contextmanager
def changed_program(sandbox: RunningSandbox, change: str) -> Iterator[None]:
    """`up` with a fault in its program that settings would never let through."""
    before = sandbox.environment
    sandbox.environment = {**before, VARIABLE: change, "PYTHONPATH": f"{HOOK}:{ROOT}"}
    try:
        yield
    finally:
        sandbox.environment = before


def test_networks_and_grants_change_without_restart_and_without_dropping_a_session(
    changing_sandbox: RunningSandbox,
) -> None:
    sandbox = changing_sandbox
    may_create = "SELECT has_database_privilege('app_user', 'app', 'CREATE')"
    files = sandbox.client_files("app_readonly")
    before = (sandbox.served_files / "pg_hba.conf").read_text()
    with (
        sandbox.login("app_readonly", files, hostaddr="127.0.0.1") as session,
        SteadyClient(sandbox) as client,
    ):
        serving = "SELECT pg_backend_pid(), pg_postmaster_start_time()"
        before_the_change = session.execute(serving).fetchone()
        assert session.execute(may_create).fetchone() == (False,)
        sandbox.edit(lambda settings: settings["roles"]["app_readonly"].update(networks=["::1/128"]))
        sandbox.edit(
            lambda settings: settings["roles"]["app_user"]["grants"].append({"privileges": ["create"]})
        )
        sandbox.edit(lambda settings: settings["roles"]["reporting"].update(commonName=COMMON_NAME))
        sandbox.deployed()
        only_the_common_name_logs_in(sandbox, "reporting")
        assert session.execute(may_create).fetchone() == (True,)
        assert session.execute(serving).fetchone() == before_the_change
        after = len(sandbox.server_log())
        with pytest.raises(psycopg.OperationalError, match="rejects connection"):
            sandbox.login("app_readonly", files, hostaddr="127.0.0.1")
        sandbox.logged("pg_hba.conf rejects connection", 'user "app_readonly"', after=after)

        sandbox.edit(
            lambda settings: settings["roles"]["app_readonly"].update(networks=["127.0.0.1/32", "::1/128"])
        )
        sandbox.edit(lambda settings: settings["roles"]["app_user"]["grants"].pop())
        sandbox.edit(lambda settings: settings["roles"]["reporting"].pop("commonName"))
        sandbox.deployed()
        assert session.execute(may_create).fetchone() == (False,)
        with sandbox.login("app_readonly", files, hostaddr="127.0.0.1") as again:
            assert again.execute("SELECT 1").fetchone() == (1,)
        assert session.execute(serving).fetchone() == before_the_change
    assert client.failures == []
    assert client.logins > 0
    assert (sandbox.served_files / "pg_hba.conf").read_text() == before


def only_the_common_name_logs_in(sandbox: RunningSandbox, role: str) -> None:
    assert sandbox.database.roles[role].common_name == COMMON_NAME
    authority = sandbox.authority("client")
    let_in = {}
    for name in (COMMON_NAME, role, COMMON_NAME.upper()):
        files = issue_client(authority, name, sandbox.folder / f"named-{name}")
        try:
            with sandbox.login(role, files) as session:
                let_in[name] = session.execute("SELECT session_user").fetchone() == (role,)
        except psycopg.OperationalError:
            let_in[name] = False
    assert let_in == {COMMON_NAME: True, role: True, COMMON_NAME.upper(): False}


REFUSED = {
    "an hba line with trust": ("pg_hba.conf", "trust"),
    "a bad setting": ("work_mem", "plenty"),
    "a key that does not match": ("key", "certificate"),
}


def test_refused_changes_fail_with_the_machines_words_and_the_old_one_goes_on_serving(
    changing_sandbox: RunningSandbox,
) -> None:
    sandbox = changing_sandbox
    before = sandbox.served_files
    # The first one twice: nothing has changed since, and it is not taken for applied.
    changes = [next(iter(REFUSED)), *REFUSED]
    with SteadyClient(sandbox) as client:
        for change in changes:
            with changed_program(sandbox, change):
                refused = sandbox.up()
            assert refused.returncode != 0, refused.stdout
            assert "refused" in refused.stdout
            assert all(word in refused.stdout for word in REFUSED[change]), refused.stdout
            assert "Traceback" not in refused.stdout
            assert "PRIVATE KEY" not in refused.stdout
            assert sandbox.served_files == before
        reverted = sandbox.deployed()
    assert "Traceback" not in reverted.stdout
    assert client.failures == []
    assert client.logins > LOGINS_PER_SECOND
    serial = int(sandbox.served_files.name.split("-")[0])
    assert serial > int(before.name.split("-")[0])


def test_up_again_changes_nothing(changing_sandbox: RunningSandbox) -> None:
    sandbox = changing_sandbox
    before = sandbox.served_files
    assert "unchanged" in sandbox.deployed().stdout
    assert sandbox.served_files == before


def test_wrong_values_are_reported_together_before_anything_changes(changing_sandbox: RunningSandbox) -> None:
    sandbox = changing_sandbox
    good = Path(sandbox.stack_file).read_text()

    def spoil(settings: dict) -> None:
        settings["roles"]["App"] = {"database": "app", "networks": ["10.0.0.1/24"]}
        settings["serverSettings"] = {"ssl": "off"}

    try:
        sandbox.edit(spoil)
        completed = sandbox.up()
    finally:
        sandbox.stack_file.write_text(good)
    assert completed.returncode != 0
    for part in ("App", "10.0.0.1/24", "ssl"):
        assert part in completed.stdout
    assert "Traceback" not in completed.stdout
