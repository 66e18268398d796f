"""What the two modules at the top may import; import-linter holds the rest, for packages only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()} | {"settings"}


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("settings.py", {"configuration", "postgres"}),
        ("__main__.py", {"stacks"}),
    ],
)
def test_imports_go_one_way(module: str, allowed: set[str]) -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / module).read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            imported.add(node.module.split(".")[0])
    assert imported & OURS <= allowed
