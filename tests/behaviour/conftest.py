"""Whole sandboxes, each in a state folder of its own, deployed by the real engine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from engine.installation import ENGINE_VARIABLE
from pgpasswordless.connections import Connections, Database
from sandbox.state import open_state
from tests.behaviour.issuing import Authority, ClientFiles

ROOT = Path(__file__).resolve().parents[2]
DATABASE = "self-managed"
SERVERS = ("selfManaged", "rds")
SECTIONS = (*SERVERS, "gateway")


@dataclass(kw_only=True)
class RunningSandbox:
    """One sandbox as a user sees it: a stack file, a command, a server."""

    state: Path
    stack_file: Path
    folder: Path
    contexts: Path = field(init=False)
    environment: dict[str, str] = field(init=False)
    _identities: dict[str, ClientFiles] = field(default_factory=dict)
    _authorities: dict[str, Authority] = field(default_factory=dict)
    _outputs: dict[str, Any] = field(default_factory=dict)
    said_by_up: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Keep the stack context beside the sandbox, not in the checkout."""
        self.contexts = self.folder / "contexts"
        self.environment = {**os.environ, "NO_COLOR": "1", "PGPASSWORDLESS_CONTEXTS": str(self.contexts)}

    def command(self, *arguments: str) -> list[str]:
        """The command line of `python -m sandbox` for this state folder."""
        return [sys.executable, "-m", "sandbox", *arguments, "--state", str(self.state)]

    def run(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a command of the sandbox to its end, whatever its exit status."""
        return subprocess.run(
            self.command(*arguments),
            cwd=ROOT,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )

    def up(self) -> subprocess.CompletedProcess[str]:
        """`make up` for this sandbox."""
        self._outputs.clear()
        completed = self.run("up", "--stack-file", str(self.stack_file))
        self.said_by_up.append(completed.stdout)
        return completed

    def deployed(self) -> subprocess.CompletedProcess[str]:
        """`make up`, which must succeed."""
        completed = self.up()
        assert completed.returncode == 0, completed.stdout
        return completed

    def clean(self) -> None:
        """`make clean`, after which nothing of the old authorities is worth anything."""
        completed = self.run("clean")
        assert completed.returncode == 0, completed.stdout
        self._identities.clear()
        self._authorities.clear()
        (self.folder / "root.crt").unlink(missing_ok=True)

    def edit(self, change: Callable[[dict[str, Any]], None], section: str = "selfManaged") -> None:
        """Change a section of the stack file."""
        document = yaml.safe_load(self.stack_file.read_text())
        change(document["config"][f"passwordless-postgres:{section}"])
        self.stack_file.write_text(yaml.safe_dump(document, sort_keys=False))

    @property
    def context(self) -> dict[str, Any]:
        """What `pgpasswordless` needs to know of this stack."""
        return json.loads((self.contexts / "sandbox.json").read_text())

    @property
    def database(self) -> Database:
        """The server in the connections document."""
        return self.databases[DATABASE]

    @property
    def databases(self) -> dict[str, Database]:
        """Every server in the connections document, by name."""
        document = Path(self.context["connections"]).read_text()
        return Connections.model_validate_json(document).databases

    @property
    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, as an application reads them; kept until the next `up`."""
        if not self._outputs:
            resources = self.exported_state(secrets=False)["deployment"]["resources"]
            (stack,) = [each for each in resources if each["type"] == "pulumi:pulumi:Stack"]
            self._outputs.update(stack["outputs"])
        return self._outputs

    def aws_environment(self) -> dict[str, str]:
        """Endpoint and the operator's credentials."""
        return {**self.environment, **self.context["environment"]}

    def exported_state(self, *, secrets: bool = True) -> dict[str, Any]:
        """The engine's state, with its secrets in plain text or not."""
        pulumi = self.state / "pulumi"
        completed = subprocess.run(
            [
                f"{os.environ[ENGINE_VARIABLE]}/pulumi",
                "stack",
                "export",
                "--stack",
                "sandbox",
                *(["--show-secrets"] * secrets),
            ],
            cwd=ROOT,
            env={
                **self.environment,
                "PULUMI_HOME": str(pulumi / "home"),
                "PULUMI_BACKEND_URL": f"file://{pulumi / 'backend'}",
                "PULUMI_CONFIG_PASSPHRASE_FILE": str(pulumi / "passphrase"),
                "PULUMI_SKIP_UPDATE_CHECK": "1",
            },
            text=True,
            capture_output=True,
            check=False,
        )
        assert completed.returncode == 0, completed.stderr
        return json.loads(completed.stdout)

    def authority(self, purpose: str) -> Authority:
        """The `server` or `client` authority of the deployment, with its key."""
        if purpose not in self._authorities:
            self._authorities[purpose] = self._read_authority(purpose)
        return self._authorities[purpose]

    def _read_authority(self, purpose: str) -> Authority:
        by_name = {
            each["urn"].rsplit("::", 1)[1]: each for each in self.exported_state()["deployment"]["resources"]
        }
        key = next(each for name, each in by_name.items() if purpose in name and name.endswith("-1-key"))
        certificate = next(
            each
            for name, each in by_name.items()
            if purpose in name and name.endswith("-1-certificate") and "SelfSignedCert" in each["type"]
        )
        return Authority.from_pem(
            certificate["outputs"]["certPem"], json.loads(key["outputs"]["privateKeyPem"]["plaintext"])
        )

    def client_files(self, role: str) -> ClientFiles:
        """The role's own identity, fetched as its user would, once."""
        if role not in self._identities:
            self._identities[role] = self._fetch_identity(role)
        return self._identities[role]

    def _fetch_identity(self, role: str) -> ClientFiles:
        folder = self.folder / "identities" / role
        completed = subprocess.run(
            [
                *(
                    sys.executable,
                    "-m",
                    "pgpasswordless",
                    "show",
                    "--stack",
                    "sandbox",
                    "--database",
                    DATABASE,
                ),
                *("--role", role, "--directory", str(folder)),
            ],
            cwd=ROOT,
            env=self.environment,
            text=True,
            capture_output=True,
            check=False,
        )
        assert completed.returncode == 0, completed.stderr
        return ClientFiles(sslcert=folder / "client.crt", sslkey=folder / "client.key")

    def login(self, user: str, files: ClientFiles | None, **overrides: object) -> psycopg.Connection[Any]:
        """Log in as libpq does, over verify-full, with the given certificate or none."""
        database = self.database
        bundle = self.folder / "root.crt"
        if not bundle.exists():
            bundle.write_text(database.server_ca.pem)
        parameters: dict[str, Any] = {
            "host": database.host,
            "port": database.port,
            "dbname": "app",
            "user": user,
            "sslmode": "verify-full",
            "sslrootcert": str(bundle),
            "sslcert": str(files.sslcert) if files else str(self.folder / "none.crt"),
            "sslkey": str(files.sslkey) if files else str(self.folder / "none.key"),
            "gssencmode": "disable",
            "connect_timeout": 10,
            **overrides,
        }
        return psycopg.connect(**parameters)

    def server_log(self) -> list[dict[str, Any]]:
        """Every line of PostgreSQL's jsonlog so far, of all its files, in order."""
        lines: list[dict[str, Any]] = []
        for path in sorted(self.state.glob("machines/*/root/var/log/postgresql/*.json")):
            lines += [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
        return lines

    def logged(self, *parts: str, after: int = 0) -> str:
        """The first message after line `after` with all `parts`; waits for the server to write it."""

        @retry(
            retry=retry_if_result(lambda found: found is None),
            stop=stop_after_delay(10),
            wait=wait_fixed(0.05),
        )
        def search() -> str | None:
            for line in self.server_log()[after:]:
                text = f"{line.get('message', '')} {line.get('detail', '')}"
                if all(part in text for part in parts):
                    return text
            return None

        found = search()
        assert found is not None
        return found

    @property
    def served_files(self) -> Path:
        """The generation that serves."""
        (found,) = self.state.glob("machines/*/root/var/lib/passwordless-postgres/current")
        return found.resolve()


def make_sandbox(major: int, *sections: str) -> RunningSandbox:
    """A sandbox that is not deployed yet, in a folder that the servers' user can enter.

    Args:
        major: Release of PostgreSQL.
        sections: Sections of the stack file that describe servers and are kept; `selfManaged` without any.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"passwordless-postgres-{major}-"))
    folder.chmod(0o711)
    stack_file = folder / "Pulumi.sandbox.yaml"
    shutil.copy(ROOT / "stacks" / "Pulumi.sandbox.yaml", stack_file)
    sandbox = RunningSandbox(state=folder / "state", stack_file=stack_file, folder=folder)
    # The programs are those of the whole suite, fetched once.
    programs = open_state(sandbox.state, print).postgresql
    programs.symlink_to(os.environ["PASSWORDLESS_POSTGRES_TEST_BINARIES"])

    document = yaml.safe_load(stack_file.read_text())
    for section in SECTIONS:
        key = f"passwordless-postgres:{section}"
        if section not in (sections or ("selfManaged",)):
            del document["config"][key]
        elif section in SERVERS:
            document["config"][key]["major"] = major
    stack_file.write_text(yaml.safe_dump(document, sort_keys=False))
    return sandbox


def discard(sandbox: RunningSandbox) -> None:
    """End the sandbox and remove its folder."""
    sandbox.run("clean")
    shutil.rmtree(sandbox.folder, ignore_errors=True)


def deployed(sandbox: RunningSandbox) -> Iterator[RunningSandbox]:
    """A sandbox as a fixture gives it: deployed first, discarded at the end whatever became of it."""
    try:
        sandbox.deployed()
        yield sandbox
    finally:
        discard(sandbox)


@pytest.fixture(scope="session")
def changing_sandbox() -> Iterator[RunningSandbox]:
    """A self-managed PostgreSQL 17 whose stack file tests may change and must change back."""
    yield from deployed(make_sandbox(17))


@pytest.fixture(scope="session")
def whole_sandbox() -> Iterator[RunningSandbox]:
    """All three topologies with PostgreSQL 17; tests that change it change it back."""
    yield from deployed(make_sandbox(17, *SECTIONS))


@pytest.fixture(scope="session")
def sandbox_by_provider() -> Iterator[RunningSandbox]:
    """Both servers with PostgreSQL 17, their roles made by pulumi-postgresql; tests change nothing."""
    sandbox = make_sandbox(17, *SERVERS)
    by_provider = {"through": "provider"}
    networks = {"administratorNetworks": ["127.0.0.1/32", "::1/128"]}
    sandbox.edit(lambda section: section.update(databaseRoles={**by_provider, **networks}))
    sandbox.edit(lambda section: section.update(databaseRoles=by_provider), "rds")
    yield from deployed(sandbox)


# How each major reads our files is tested in tests/postgres, and what node makes of them in tests/node,
# on servers of all majors.
MAJORS = [17, *(pytest.param(major, marks=pytest.mark.long) for major in (15, 16, 18))]


@pytest.fixture(scope="session", params=MAJORS, ids=lambda major: f"postgresql-{major}")
def sandbox_of_each_major(request: pytest.FixtureRequest) -> Iterator[RunningSandbox]:
    """A self-managed server of every major; tests on it change nothing."""
    if request.param == 17:
        yield request.getfixturevalue("changing_sandbox")
    else:
        yield from deployed(make_sandbox(request.param))
