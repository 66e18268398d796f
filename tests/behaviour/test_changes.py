"""Changes of a running server: what is applied without a restart, what is refused, what is taken back."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.behaviour.conftest import ROOT, RunningSandbox

pytestmark = pytest.mark.sandbox

LOGINS_PER_SECOND = 10

TRUST_LINE = """

_rendered_files = server_files


def server_files(**arguments):
    files = dict(_rendered_files(**arguments))
    files["pg_hba.conf"] = files["pg_hba.conf"] + "host all all 0.0.0.0/0 trust\\n"
    return files
"""

BAD_SETTING = """

_rendered_files = server_files


def server_files(**arguments):
    files = dict(_rendered_files(**arguments))
    files["postgresql.conf"] = files["postgresql.conf"] + "work_mem = 'plenty'\\n"
    return files
"""

FOREIGN_KEY = """

_identity_arguments = IdentitySecretArgs


def IdentitySecretArgs(**arguments):
    if arguments["description"].startswith("Certificate and key of the PostgreSQL server"):
        arguments["private_key_pem"] = pulumi.Output.secret({key!r})
    return _identity_arguments(**arguments)
"""


@contextmanager
def changed_program(sandbox: RunningSandbox, module: str, addition: str) -> Iterator[None]:
    """`up` from a copy of the program whose component goes wrong: what settings would never let through."""
    copy = sandbox.folder / "program"
    shutil.copytree(
        ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv", ".sandbox", ".pgpasswordless", "tests")
    )
    (copy / ".venv").symlink_to(ROOT / ".venv")
    component = copy / "components" / module
    component.write_text(component.read_text() + addition)
    before, sandbox.checkout = sandbox.checkout, copy
    try:
        yield
    finally:
        sandbox.checkout = before
        shutil.rmtree(copy)


class SteadyClient(threading.Thread):
    """Logs in ten times a second, and counts."""

    def __init__(self, sandbox: RunningSandbox) -> None:
        super().__init__()
        self.files = sandbox.client_files("app_user")
        self.sandbox = sandbox
        self.logins = 0
        self.failures: list[str] = []
        self.stopped = threading.Event()

    def run(self) -> None:
        while not self.stopped.wait(1 / LOGINS_PER_SECOND):
            try:
                with self.sandbox.login("app_user", self.files) as connection:
                    connection.execute("SELECT 1")
                self.logins += 1
            except psycopg.Error as error:
                self.failures.append(str(error))

    def __enter__(self) -> SteadyClient:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.join()


def test_a_roles_networks_change_without_restart_and_without_dropping_a_session(
    changing_sandbox: RunningSandbox,
) -> None:
    sandbox = changing_sandbox
    files = sandbox.client_files("app_readonly")
    before = (sandbox.served_files / "pg_hba.conf").read_text()
    with (
        sandbox.login("app_readonly", files, hostaddr="127.0.0.1") as session,
        SteadyClient(sandbox) as client,
    ):
        serving = "SELECT pg_backend_pid(), pg_postmaster_start_time()"
        before_the_change = session.execute(serving).fetchone()
        sandbox.edit(lambda settings: settings["roles"]["app_readonly"].update(networks=["::1/128"]))
        sandbox.deployed()
        assert session.execute(serving).fetchone() == before_the_change
        after = len(sandbox.server_log())
        with pytest.raises(psycopg.OperationalError, match="rejects connection"):
            sandbox.login("app_readonly", files, hostaddr="127.0.0.1")
        sandbox.logged("pg_hba.conf rejects connection", 'user "app_readonly"', after=after)

        sandbox.edit(
            lambda settings: settings["roles"]["app_readonly"].update(networks=["127.0.0.1/32", "::1/128"])
        )
        sandbox.deployed()
        with sandbox.login("app_readonly", files, hostaddr="127.0.0.1") as again:
            assert again.execute("SELECT 1").fetchone() == (1,)
        assert session.execute(serving).fetchone() == before_the_change
    assert client.failures == []
    assert client.logins > 0
    assert (sandbox.served_files / "pg_hba.conf").read_text() == before


def foreign_key() -> str:
    return (
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        .decode()
    )


@pytest.mark.parametrize(
    ("module", "addition", "words"),
    [
        pytest.param("self_managed.py", TRUST_LINE, ["pg_hba.conf", "trust"], id="an hba line with trust"),
        pytest.param("self_managed.py", BAD_SETTING, ["work_mem", "plenty"], id="a bad setting"),
        pytest.param(
            "identity.py",
            FOREIGN_KEY.format(key=foreign_key()),
            ["key", "certificate"],
            id="a key that does not match",
        ),
    ],
)
def test_a_refused_change_fails_with_the_machines_words_and_the_old_one_goes_on_serving(
    changing_sandbox: RunningSandbox, module: str, addition: str, words: list[str]
) -> None:
    sandbox = changing_sandbox
    before = sandbox.served_files
    with SteadyClient(sandbox) as client:
        with changed_program(sandbox, module, addition):
            refused = [sandbox.up()]
            if addition == TRUST_LINE:
                # Nothing has changed since, and it is not taken for applied.
                refused.append(sandbox.up())
        assert sandbox.served_files == before
        reverted = sandbox.deployed()
    for completed in refused:
        assert completed.returncode != 0, completed.stdout
        assert "refused" in completed.stdout
        assert all(word in completed.stdout for word in words), completed.stdout
        assert "Traceback" not in completed.stdout
        assert "PRIVATE KEY" not in completed.stdout
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


def test_a_grant_is_given_and_taken(changing_sandbox: RunningSandbox) -> None:
    sandbox = changing_sandbox
    with sandbox.login("app_user", sandbox.client_files("app_user")) as connection:
        question = "SELECT has_database_privilege('app', 'CREATE')"
        assert connection.execute(question).fetchone() == (False,)
        sandbox.edit(
            lambda settings: settings["roles"]["app_user"]["grants"].append({"privileges": ["create"]})
        )
        sandbox.deployed()
        assert connection.execute(question).fetchone() == (True,)
        sandbox.edit(lambda settings: settings["roles"]["app_user"]["grants"].pop())
        sandbox.deployed()
        assert connection.execute(question).fetchone() == (False,)


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
