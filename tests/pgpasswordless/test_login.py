"""What `show` prints lets its role in: psql as printed, and every Python driver's snippet."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import psycopg
import pytest
import sqlalchemy
from typer.testing import CliRunner

import pgpasswordless
from pgpasswordless.__main__ import app

ODD_FOLDER = 'it\'s 50% "a\\b" $HOME `x` &;#?+'


@pytest.fixture(params=["app_user", "odd"])
def role(request: pytest.FixtureRequest, deployed: Any) -> str:
    names = list(deployed.document["databases"]["self-managed"]["roles"])
    return names[0] if request.param == "app_user" else names[2]


@pytest.fixture
def directory(role: str, tmp_path: Path) -> Path:
    return tmp_path / ("plain" if role == "app_user" else ODD_FOLDER)


@pytest.fixture
def show(deployed: Any, role: str, directory: Path) -> Any:
    """Runs `show --json` for the role."""

    def run(*options: str) -> dict[str, Any]:
        arguments = ["show", "--stack", "test", "--database", "self-managed", "--role", role]
        result = CliRunner().invoke(app, [*arguments, "--directory", str(directory), "--json", *options])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return run


def test_the_psql_command_works_as_printed(show: Any, role: str, tmp_path: Path) -> None:
    query = "SELECT session_user, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    result = subprocess.run(
        ["sh", "-c", show()["psql"] + f" -XAtc {shlex.quote(query)}"],
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
    )
    assert (result.stdout, result.stderr) == (f"{role}|t\n", "")


def test_a_certificate_of_another_common_name_is_the_roles(
    show: Any, role: str, deployed: Any, server: Any, boto: Any
) -> None:
    name = "billing.example.org"
    secret = server.client_authority.secret(name)
    boto("secretsmanager").put_secret_value(SecretId=deployed.secrets[role], SecretString=secret)
    deployed.document["databases"]["self-managed"]["roles"][role]["commonName"] = name
    deployed.save()
    shown = show()
    assert (shown["role"], shown["commonName"]) == (role, name)
    assert Path(shown["files"]["certificate"]).read_text() == json.loads(secret)["certificate"]
    arguments = ["show", "--stack", "test", "--database", "self-managed", "--role", role]
    result = CliRunner().invoke(app, [*arguments, "--directory", str(Path(shown["files"]["key"]).parent)])
    assert f"# {role} on self-managed (test), certificate of {name} valid until " in result.stdout
    del deployed.document["databases"]["self-managed"]["roles"][role]["commonName"]
    deployed.save()
    result = CliRunner().invoke(app, arguments)
    assert f"the certificate's CN must be this very name, and it is '{name}'" in result.stderr


def test_the_connection_string_works_as_printed(show: Any, role: str) -> None:
    with psycopg.connect(show()["connectionString"]) as connection:
        assert connection.execute("SELECT session_user").fetchone() == (role,)


def test_the_psycopg_snippet_logs_in(show: Any, role: str) -> None:
    settings = show("--driver", "psycopg")["driver"]
    with _executed(settings)["connection"] as connection:
        assert connection.execute("SELECT session_user").fetchone() == (role,)
    with psycopg.connect(**settings["keywords"]) as connection:
        assert connection.execute("SELECT session_user").fetchone() == (role,)


def test_the_sqlalchemy_snippet_logs_in(show: Any, role: str) -> None:
    settings = show("--driver", "sqlalchemy")["driver"]
    engines = [_executed(settings)["engine"], sqlalchemy.create_engine(**settings["keywords"])]
    for engine in engines:
        with engine.connect() as connection:
            assert connection.execute(sqlalchemy.text("SELECT session_user")).scalar_one() == role
        engine.dispose()


def test_the_sqlalchemy_asyncpg_snippet_logs_in(
    show: Any, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An asynchronous engine needs greenlet, which is not everywhere: what the snippet gives the
    # engine is given to asyncpg as SQLAlchemy's dialect does it.
    given: dict[str, Any] = {}
    module = SimpleNamespace(create_async_engine=lambda url, **options: given.update(options, url=url))
    monkeypatch.setitem(sys.modules, "sqlalchemy.ext.asyncio", module)  # type: ignore[arg-type]
    _executed(show("--driver", "sqlalchemy-asyncpg")["driver"])
    url = sqlalchemy.make_url(given["url"])
    _, arguments = url.get_dialect()().create_connect_args(url)

    async def session_user() -> str:
        connection = await asyncpg.connect(**arguments, **given["connect_args"])
        try:
            return await connection.fetchval("SELECT session_user")
        finally:
            await connection.close()

    assert asyncio.run(session_user()) == role
    assert given["pool_recycle"] == 1800


def test_the_asyncpg_snippet_logs_in(show: Any, role: str) -> None:
    connect = _executed(show("--driver", "asyncpg")["driver"])["connect"]

    async def session_user() -> str:
        connection = await connect()
        try:
            return await connection.fetchval("SELECT session_user")
        finally:
            await connection.close()

    assert asyncio.run(session_user()) == role


def test_an_application_needs_three_lines(deployed: Any, role: str) -> None:
    before = dict(os.environ)
    stack = pgpasswordless.load("test")
    settings = pgpasswordless.settings_for("psycopg", stack, database="self-managed", role=role)
    with psycopg.connect(**settings.keywords) as connection:
        assert connection.execute("SELECT session_user").fetchone() == (role,)
    assert dict(os.environ) == before
    folder = Path(settings.files[0]).parent
    assert folder.is_relative_to(Path.cwd() / ".pgpasswordless" / "test" / "self-managed")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_another_servers_authority_is_not_trusted(
    deployed: Any, show: Any, authority: Any, directory: Path
) -> None:
    settings = show("--driver", "psycopg")["driver"]["keywords"]
    (directory / "other.crt").write_text(authority.pem)
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        psycopg.connect(**settings | {"sslrootcert": str(directory / "other.crt")})


def _executed(settings: dict[str, Any]) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(settings["snippet"], names)  # noqa: S102  the snippet is what is tested
    return names
