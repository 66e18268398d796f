"""The copy of the stack file that the engine gets."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from sandbox import stack_file
from sandbox.errors import SandboxError


def write(folder: Path, text: str) -> Path:
    path = folder / "Pulumi.sandbox.yaml"
    path.write_text(text)
    return path


def test_the_copy_has_port_and_salt_and_everything_else_as_it_was(tmp_path: Path) -> None:
    text = (
        "config:\n  aws:region: eu-central-1\n  passwordless-postgres:selfManaged: {major: 16, port: 5432}\n"
    )
    path = write(tmp_path, text)
    copy = yaml.safe_load(stack_file.read(path).completed(20001, "v1:salt"))
    assert copy == {
        "config": {
            "aws:region": "eu-central-1",
            "passwordless-postgres:selfManaged": {"major": 16, "port": 20001},
        },
        "encryptionsalt": "v1:salt",
    }
    assert path.read_text() == text


def test_values_keep_their_types(tmp_path: Path) -> None:
    path = write(
        tmp_path, 'config:\n  passwordless-postgres:tags: {number: 17, text: "17", none: null, yes: "yes"}\n'
    )
    copy = yaml.safe_load(stack_file.read(path).completed(1, "s"))
    assert copy["config"]["passwordless-postgres:tags"] == {
        "number": 17,
        "text": "17",
        "none": None,
        True: "yes",
    }


@pytest.mark.parametrize(
    ("section", "major"),
    [("{major: 18}", 18), ("{}", stack_file.DEFAULT_MAJOR), ("{major: many}", None), ("null", None)],
)
def test_the_release_is_known_before_the_program_runs(
    tmp_path: Path, section: str, major: int | None
) -> None:
    path = write(tmp_path, f"config:\n  passwordless-postgres:selfManaged: {section}\n")
    assert stack_file.read(path).major == major


@pytest.mark.parametrize(
    ("text", "message"),
    [("config: [", "is not YAML"), ("a: 1", "has no section"), ("config: 1", "has no section")],
)
def test_what_is_no_stack_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SandboxError, match=message):
        stack_file.read(write(tmp_path, text))


def test_a_missing_stack_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match=r"none\.yaml cannot be read"):
        stack_file.read(tmp_path / "none.yaml")


def test_the_projects_own_stack_file_is_read() -> None:
    assert stack_file.read(stack_file.DEFAULT_FILE).major in (15, 16, 17, 18)
