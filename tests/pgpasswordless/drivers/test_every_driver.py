"""What holds for every file in pgpasswordless/drivers: a new one joins these tests by existing."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import import_module
from inspect import getmembers, isfunction
from pathlib import Path
from typing import get_type_hints

import pytest
from typer.testing import CliRunner

import pgpasswordless.drivers
from pgpasswordless.__main__ import app
from pgpasswordless.driver import PoolSetting, Rendering
from pgpasswordless.drivers import Driver, DriverSettings, render
from pgpasswordless.errors import NotSupportedError
from pgpasswordless.libpq import CertificateTarget, Target, TokenTarget, Tunnel
from pgpasswordless.reference import DRIVERS_NAME, EXAMPLE, TOKEN_EXAMPLE, drivers_text

FILES = sorted(
    path.stem for path in Path(pgpasswordless.drivers.__path__[0]).glob("*.py") if path.stem != "__init__"
)
LOGINS = pytest.mark.parametrize("target", [EXAMPLE, TOKEN_EXAMPLE], ids=["certificate", "token"])
ALL = pytest.mark.parametrize("driver", Driver)


def test_every_file_is_a_driver_and_every_driver_a_file() -> None:
    assert [driver.name.lower() for driver in Driver] == FILES
    assert [str(driver) for driver in Driver] == [name.replace("_", "-") for name in FILES]


@pytest.mark.parametrize("name", FILES)
def test_a_file_has_a_language_a_pool_and_both_logins(name: str) -> None:
    module = import_module(f"pgpasswordless.drivers.{name}")
    assert module.__doc__
    assert module.LANGUAGE
    assert module.POOL is None or isinstance(module.POOL, PoolSetting)
    logins = {
        function: get_type_hints(found)
        for function, found in getmembers(module, isfunction)
        if function.startswith("by_")
    }
    assert logins == {
        "by_certificate": {"target": CertificateTarget, "return": Rendering},
        "by_token": {"target": TokenTarget, "return": Rendering},
    }


@ALL
def test_the_command_line_offers_it_and_the_documentation_shows_it(driver: Driver) -> None:
    result = CliRunner().invoke(app, ["show", "--help"], env={"COLUMNS": "400", "NO_COLOR": "1"})
    assert driver in result.stdout
    assert drivers_text().count(f"### {driver}\n") == 2, DRIVERS_NAME


@LOGINS
@ALL
def test_it_verifies_chain_and_host_name(driver: Driver, target: Target) -> None:
    snippet = render(driver, target).snippet.replace("VerifyFull", "verify-full")
    # A context or an ssl object with authorities verifies both without being told.
    words = ("verify-full", "ssl.create_default_context(cafile=", "ssl: { ca: readFileSync(")
    assert any(word in snippet for word in words)
    for word in ("sslmode=require", "rejectUnauthorized: false", "sslmode=verify-ca", "CERT_NONE"):
        assert word not in snippet


@LOGINS
@ALL
def test_it_names_the_server_the_role_and_its_files(driver: Driver, target: Target) -> None:
    settings = render(driver, target)
    text = settings.snippet.replace("%2F", "/")
    for word in (target.host, target.user, target.dbname, *settings.files):
        assert word in text
    names = [Path(path).name for path in settings.files]
    if isinstance(target, TokenTarget):
        assert names == ["root.crt"]
    else:
        assert names in (["root.crt", "client.crt", "client.key"], ["root.crt", "client.crt", "client.pk8"])
    assert settings.notes


@ALL
def test_a_certificate_needs_no_password(driver: Driver) -> None:
    assert "password" not in render(driver, EXAMPLE).snippet.lower()


@ALL
def test_no_setting_holds_a_token_a_certificate_or_a_weaker_mode(driver: Driver) -> None:
    text = render(driver, TOKEN_EXAMPLE).model_dump_json()
    for word in ("X-Amz", "sslcert", "client.key", "sslmode=require&", "rejectUnauthorized: false,"):
        assert word not in text


@LOGINS
@ALL
def test_the_pool_closes_connections_in_time(driver: Driver, target: Target) -> None:
    settings = render(driver, replace(target, max_lifetime_seconds=1234))
    if settings.pool is None:
        assert driver in (Driver("libpq"), Driver("asyncpg"))
        return
    assert settings.pool.value == {"seconds": 1234, "milliseconds": 1_234_000}[settings.pool.unit]


@LOGINS
@ALL
def test_settings_are_json(driver: Driver, target: Target) -> None:
    settings = render(driver, target)
    document = json.loads(settings.model_dump_json(by_alias=True))
    assert DriverSettings.model_validate(document) == settings
    assert document["driver"] == driver


@ALL
@LOGINS
def test_a_tunnel_leaves_name_and_token_as_they_are(driver: Driver, target: Target) -> None:
    through = replace(target, tunnel=Tunnel(hostaddr="127.0.0.1", port=15433))
    if driver.value not in {"libpq", "psycopg", "sqlalchemy"}:
        with pytest.raises(NotSupportedError, match=f"would verify 127.0.0.1 instead of '{target.host}'"):
            render(driver, through)
        return
    found = render(driver, through)
    plain = found.connection_string.replace("@", " host=").replace(":15433", " port=15433")
    assert "hostaddr=127.0.0.1" in plain
    assert f"host={target.host}" in plain
    assert "port=15433" in plain
    if driver.value != "libpq" and isinstance(target, TokenTarget):
        source = found.snippet[found.snippet.index("TokenSource(\n") :]
        assert f"    port={target.port},\n" in source[: source.index(")")]


def test_a_target_of_another_kind_is_an_error() -> None:
    with pytest.raises(TypeError, match="is not a login that drivers have settings for"):
        render(Driver("libpq"), "psql")  # type: ignore[arg-type]
