"""What policies demand does not follow from what the program does."""

from __future__ import annotations

import ast
from pathlib import Path

PACK = Path(__file__).resolve().parents[2] / "policy"
# What the program chooses. The rest that the pack takes from `postgres` are parsers and PostgreSQL's names.
CHOICES = {"MINIMUM_PROTOCOLS", "CIPHERS", "LARGEST_NETWORK", "render_hba", "tls_settings", "rds_parameters"}


def test_no_policy_takes_what_it_demands_from_the_program() -> None:
    taken = {
        name.name
        for file in PACK.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("postgres")
        for name in node.names
    }
    assert "parse_hba" in taken
    assert not taken & CHOICES
