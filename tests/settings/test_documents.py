"""The generated documents are up to date and right."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import yaml

from settings.__main__ import main
from settings.reference import REPOSITORY, SCHEMA_FILE, documents, reference

STACKS = sorted((REPOSITORY / "stacks").glob("Pulumi.*.yaml"))
SCHEMA: dict[str, Any] = json.loads(documents()[SCHEMA_FILE])


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_documents_are_up_to_date(path):
    assert path.read_text(encoding="utf-8") == documents()[path], "run: python -m settings"


def test_the_check_says_so_too(capsys):
    assert main(["--check"]) == 0
    assert capsys.readouterr().out == ""


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", STACKS, ids=lambda path: path.name)
def test_stack_files_name_the_schema_and_follow_it(path):
    text = path.read_text(encoding="utf-8")
    reference_line = text.splitlines()[0]
    assert reference_line.startswith("# yaml-language-server: $schema=")
    assert (path.parent / reference_line.partition("=")[2]).resolve() == SCHEMA_FILE
    jsonschema.validate(yaml.safe_load(text), SCHEMA, cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    "wrong",
    [
        {"passwordless-postgres:selfmanaged": {}},
        {"passwordless-postgres:selfManaged": {"major": 14, "privateDns": {"zone": "a.b"}}},
        {"passwordless-postgres:selfManaged": {}},
        {"passwordless-postgres:network": {"create": {"zone": 2}}},
        {"passwordless-postgres:tags": {"a": True}},
    ],
)
def test_the_schema_refuses_what_settings_refuse(wrong):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"config": wrong}, SCHEMA, cls=jsonschema.Draft202012Validator)


def test_every_key_has_a_meaning():
    rows = [line for line in reference().splitlines() if line.startswith("| `")]
    assert len(rows) > 60
    for row in rows:
        assert all(cell.strip() for cell in (row.split(" | ")[1], row.split(" | ")[-1].removesuffix("|"))), (
            row
        )
