"""Stack files: what the engine cannot hand over to the program is refused before it tries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.errors import CommandError
from engine.project import read_stack_file

ROLES = "passwordless-postgres:rds"


def written(folder: Path, config: dict[str, Any]) -> Path:
    path = folder / "Pulumi.large.yaml"
    path.write_text(yaml.safe_dump({"config": config}))
    return path


def roles(count: int) -> dict[str, Any]:
    return {ROLES: {"roles": {f"r{number:062d}": {"database": "app"} for number in range(count)}}}


def test_a_stack_file_of_a_thousand_roles_is_read(tmp_path: Path) -> None:
    assert len(read_stack_file(written(tmp_path, roles(1000)))["config"][ROLES]["roles"]) == 1000


@pytest.mark.parametrize(
    "config",
    [
        roles(1500),
        {"aws:region": "x" * 130_000},
        # Quotes are escaped once more in the variable.
        {ROLES: {"roles": {f"r{number}": {"a": "", "b": ""} for number in range(4400)}}},
    ],
)
def test_settings_that_no_environment_variable_holds_are_refused(
    config: dict[str, Any], tmp_path: Path
) -> None:
    """The engine began, and said that an argument list is too long."""
    with pytest.raises(CommandError, match=r"Pulumi\.large\.yaml has 1\d\d,\d{3} bytes of settings.*130,000"):
        read_stack_file(written(tmp_path, config))
