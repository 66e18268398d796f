"""The package stands alone: what it imports is what its own pyproject.toml declares."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

import pgpasswordless
from pgpasswordless.__main__ import app

PACKAGE = Path(__file__).parents[2] / "pgpasswordless"
SETUPTOOLS = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["tool"]["setuptools"]
FOLDERS = {name: (PACKAGE / folder).resolve() for name, folder in SETUPTOOLS["package-dir"].items()}
DISTRIBUTIONS = {"botocore": "boto3"}


def sources() -> list[Path]:
    """What is installed: the package and what it carries of the repository."""
    return [path for folder in FOLDERS.values() for path in folder.rglob("*.py")]


def imported() -> set[str]:
    """Top-level names that the package imports when it runs."""
    names = set()
    for path in sources():
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    return {name for name in names if not name.startswith("mypy_boto3_")}


def test_its_dependencies_are_declared_and_needed() -> None:
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    declared = {name.partition(">")[0].partition("[")[0] for name in project["dependencies"]}
    foreign = imported() - set(sys.stdlib_module_names) - set(SETUPTOOLS["packages"])
    assert {DISTRIBUTIONS.get(name, name) for name in foreign} == declared


def test_every_folder_is_installed() -> None:
    folders = {path.parent.relative_to(PACKAGE.parent) for path in sources()}
    assert set(SETUPTOOLS["packages"]) == {".".join(folder.parts) for folder in folders}


def test_it_runs_without_the_repository(tmp_path: Path) -> None:
    for name, folder in FOLDERS.items():
        (tmp_path / name).symlink_to(folder)
    result = subprocess.run(
        [sys.executable, "-m", "pgpasswordless", "--help"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"NO_COLOR": "1", "COLUMNS": "100"},
    )
    assert (result.returncode, result.stderr) == (0, "")
    for command in ("show", "token", "verify"):
        assert command in result.stdout
    assert "\x1b" not in result.stdout


def test_the_model_alone_waits_for_no_client() -> None:
    program = (
        "import sys, json, pgpasswordless.connections;"
        "print(json.dumps([m for m in ('boto3', 'psycopg', 'typer') if m in sys.modules]))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    assert json.loads(result.stdout) == []


@pytest.mark.parametrize("name", pgpasswordless.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    assert getattr(pgpasswordless, name).__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'absent'"):
        pgpasswordless.absent  # noqa: B018


@pytest.mark.parametrize("command", ["show", "verify"])
def test_help_names_every_option(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "120", "NO_COLOR": "1"})
    assert result.exit_code == 0
    for option in ("--stack", "--database", "--connections", "--parameter", "--json"):
        assert option in result.stdout


def test_an_unknown_driver_is_answered_with_the_known_ones() -> None:
    arguments = ["show", "--database", "d", "--role", "r", "--driver", "odbc"]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert "node-postgres" in result.output
