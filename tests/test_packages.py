"""Every root package is known to each tool that lists packages, and imports only what it may."""

from __future__ import annotations

import ast
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
TOOLS: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
CONTRACTS: list[dict[str, Any]] = TOOLS["importlinter"]["contracts"]
FORBIDDING_PACKAGES = [
    each
    for each in CONTRACTS
    if each["type"] == "forbidden" and not PACKAGES.isdisjoint(each["forbidden_modules"])
]
FORBIDDING = {each["source_modules"][0]: each for each in FORBIDDING_PACKAGES}


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*sorted(PACKAGES))


def imported(package: str) -> set[str]:
    """The root packages that a package imports, directly or not."""
    found: set[str] = set()
    pending = [package]
    while pending:
        name = pending.pop()
        modules = graph().find_descendants(name) | {name}
        direct = {
            module.split(".")[0]
            for importer in modules
            for module in graph().find_modules_directly_imported_by(importer)
        }
        pending += direct - found - {package}
        found |= direct - {package}
    return found


def test_import_linter_reads_every_package() -> None:
    assert set(TOOLS["importlinter"]["root_packages"]) == PACKAGES


def test_one_contract_says_what_a_package_may_not_import() -> None:
    sources = [each["source_modules"] for each in FORBIDDING_PACKAGES]
    assert sorted(sources) == sorted([package] for package in PACKAGES - {"sandbox"})


@pytest.mark.parametrize("package", sorted(FORBIDDING))
def test_a_package_is_forbidden_everything_of_ours_that_it_does_not_need(package: str) -> None:
    forbidden = {module for module in FORBIDDING[package]["forbidden_modules"] if module in PACKAGES}
    assert forbidden == PACKAGES - imported(package) - {package}


def test_a_contract_looks_for_circles_in_every_package() -> None:
    [contract] = [each for each in CONTRACTS if each["type"] == "acyclic_siblings"]
    assert {ancestor.removesuffix(".*") for ancestor in contract["ancestors"]} == PACKAGES


def test_no_module_imports_itself_by_way_of_others() -> None:
    waiting = {name: graph().find_modules_directly_imported_by(name) for name in graph().modules}
    while leaves := {name for name, needs in waiting.items() if not needs & waiting.keys()}:
        for name in leaves:
            del waiting[name]
    assert waiting == {}


def test_pyright_checks_every_package() -> None:
    assert set(TOOLS["pyright"]["include"]) == PACKAGES | {"__main__.py", "tests", "tools"}


def test_ruff_names_no_path_that_is_gone() -> None:
    for pattern in TOOLS["ruff"]["lint"]["per-file-ignores"]:
        for name in pattern.partition("/")[0].strip("{}").split(","):
            assert name in {*PACKAGES, "tests", "**"}, pattern


def test_the_readme_says_what_every_package_is_for() -> None:
    text = (ROOT / "README.md").read_text()
    assert {package for package in PACKAGES if f"| `{package}/` | " in text} == PACKAGES


def test_the_program_imports_settings_and_components_alone() -> None:
    names: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / "__main__.py").read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names.add(node.module.split(".")[0])
    assert names & PACKAGES <= {"settings", "components"}
