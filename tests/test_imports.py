"""What the program may import; import-linter holds the rest, for packages only."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OURS = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()}


def test_the_program_imports_settings_and_components_alone() -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / "__main__.py").read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            imported.add(node.module.split(".")[0])
    assert imported & OURS <= {"settings", "components"}
