"""The distribution: what it imports it declares or contains, and once installed it needs no repository."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest
from typer.testing import CliRunner

import pgpasswordless
from pgpasswordless.__main__ import app

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "pgpasswordless"
PACKAGES = ("pgpasswordless", "documents", "postgres", "runtime")
DISTRIBUTIONS = {"botocore": "boto3"}


def imported() -> set[str]:
    """Top-level names that the distribution's packages import when they run."""
    names = set()
    for name in sources():
        tree = ast.parse((REPOSITORY / name).read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    return {name for name in names if not name.startswith("mypy_boto3_")}


def test_its_dependencies_are_declared_and_needed() -> None:
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    declared = {name.partition(">")[0].partition("[")[0] for name in project["dependencies"]}
    foreign = imported() - set(sys.stdlib_module_names) - set(PACKAGES)
    assert {DISTRIBUTIONS.get(name, name) for name in foreign} == declared


def sources() -> set[str]:
    """Every module of the packages that the distribution consists of."""
    return {
        path.relative_to(REPOSITORY).as_posix()
        for package in PACKAGES
        for path in (REPOSITORY / package).rglob("*.py")
    }


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel alone, which imports its dependencies from ours."""
    folder = tmp_path_factory.mktemp("wheel")
    # The build leaves files beside what it builds: that must not be the checkout.
    for name in PACKAGES:
        shutil.copytree(
            REPOSITORY / name,
            folder / name,
            ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"),
        )
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index"]
    run(*pip, "wheel", "--no-build-isolation", *offline, "--wheel-dir", folder, folder / "pgpasswordless")
    (wheel,) = folder.glob("*.whl")
    made = folder / "environment"
    venv.create(made)
    run(*pip, "--python", made / "bin" / "python", "install", *offline, wheel)
    (site_packages,) = made.glob("lib/python*/site-packages")
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return made


def run(*command: str | Path, cwd: Path | None = None) -> str:
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={"NO_COLOR": "1", "COLUMNS": "100"},
    )
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def test_everything_is_installed_and_nothing_else(environment: Path) -> None:
    (site_packages,) = environment.glob("lib/python*/site-packages")
    installed = {path.relative_to(site_packages).as_posix() for path in site_packages.rglob("*.py")}
    assert installed == sources()


def test_every_module_can_be_imported_without_the_repository(environment: Path, tmp_path: Path) -> None:
    modules = [name.removesuffix(".py").replace("/", ".").removesuffix(".__init__") for name in sources()]
    program = (
        "import importlib, json, sys\n"
        f"found = [importlib.import_module(name).__file__ for name in {sorted(modules)}]\n"
        "print(json.dumps(found))"
    )
    found = json.loads(run(environment / "bin" / "python", "-I", "-c", program, cwd=tmp_path))
    assert [name for name in found if not Path(name).is_relative_to(environment)] == []


def test_the_command_runs_without_the_repository(environment: Path, tmp_path: Path) -> None:
    for command in (
        [environment / "bin" / "pgpasswordless"],
        [environment / "bin" / "python", "-m", "pgpasswordless"],
    ):
        said = run(*command, "--help", cwd=tmp_path)
        for name in ("show", "token", "verify"):
            assert name in said
        assert "\x1b" not in said


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
    for option in ("--stack", "--database", "--connections", "--account", "--json"):
        assert option in result.stdout


def test_an_unknown_driver_is_answered_with_the_known_ones() -> None:
    arguments = ["show", "--database", "d", "--role", "r", "--driver", "odbc"]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert "node-postgres" in result.output
