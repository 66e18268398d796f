"""docs/threat-model.md: every test that it calls upon exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "threat-model.md"


def references() -> list[tuple[str, str]]:
    """File and test of each reference; `::name` alone is in the file named before it."""
    found = []
    file = ""
    for path, name in re.findall(r"`(tests/[\w/]+\.py)?::(\w+)`", DOCUMENT.read_text()):
        file = path or file
        found.append((file, name))
    return found


def test_it_calls_upon_tests() -> None:
    assert len(references()) >= 30


def test_every_test_that_it_names_exists() -> None:
    missing = []
    for file, name in references():
        path = ROOT / file
        tree = ast.parse(path.read_text()) if path.is_file() else ast.Module(body=[], type_ignores=[])
        if not any(isinstance(node, ast.FunctionDef) and node.name == name for node in ast.walk(tree)):
            missing.append(f"{file}::{name}")
    assert missing == []
