"""The copy of the stack file that the engine gets."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from engine.errors import CommandError
from postgres.versions import DEFAULT_MAJOR
from sandbox import stack_file


def write(folder: Path, text: str) -> Path:
    path = folder / "Pulumi.sandbox.yaml"
    path.write_text(text)
    return path


def test_the_copy_has_port_and_salt_and_everything_else_as_it_was(tmp_path: Path) -> None:
    text = (
        "config:\n  aws:region: eu-central-1\n  passwordless-postgres:selfManaged: {major: 16, port: 5432}\n"
        "  passwordless-postgres:rds: {major: 17}\n"
        "  passwordless-postgres:gateway: {maximumSize: 3, port: 443}\n"
    )
    path = write(tmp_path, text)
    read = stack_file.read(path)
    ports = {"postgresql": 20001, "rds": 20002, "gateway": 20003}
    copy = yaml.safe_load(read.completed(ports, Path("/s/ca.pem"), Path("/s/public.pem"), "v1:salt"))
    assert copy == {
        "config": {
            "aws:region": "eu-central-1",
            "passwordless-postgres:selfManaged": {"major": 16, "port": 20001},
            "passwordless-postgres:rds": {"major": 17, "port": 20002, "caBundle": "/s/ca.pem"},
            "passwordless-postgres:gateway": {
                "maximumSize": 3,
                "port": 20003,
                "caBundle": "/s/public.pem",
            },
        },
        "encryptionsalt": "v1:salt",
    }
    assert path.read_text() == text


@pytest.mark.parametrize(
    ("server", "openssl", "groups"),
    [
        ("{major: 18}", (3, 0, 19), ["X25519", "prime256v1"]),
        ("{major: 18}", (3, 5, 0), ["X25519MLKEM768", "X25519", "prime256v1"]),
        ("{major: 18, tlsGroups: [X25519MLKEM768]}", (3, 0, 19), ["X25519MLKEM768"]),
        ("{major: 17}", (3, 0, 19), None),
    ],
)
def test_groups_are_what_this_machines_openssl_has(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    server: str,
    openssl: tuple[int, ...],
    groups: list[str] | None,
) -> None:
    monkeypatch.setattr("ssl.OPENSSL_VERSION_INFO", openssl)
    path = write(tmp_path, f"config:\n  passwordless-postgres:selfManaged: {server}\n")
    copy = yaml.safe_load(stack_file.read(path).completed({}, tmp_path, tmp_path, "s"))
    assert copy["config"]["passwordless-postgres:selfManaged"].get("tlsGroups") == groups


def test_values_keep_their_types(tmp_path: Path) -> None:
    path = write(
        tmp_path, 'config:\n  passwordless-postgres:tags: {number: 17, text: "17", none: null, yes: "yes"}\n'
    )
    copy = yaml.safe_load(stack_file.read(path).completed({}, tmp_path, tmp_path, "s"))
    assert copy["config"]["passwordless-postgres:tags"] == {
        "number": 17,
        "text": "17",
        "none": None,
        True: "yes",
    }


@pytest.mark.parametrize(
    ("self_managed", "rds", "majors"),
    [
        ("{major: 18}", "null", [18]),
        ("{}", "{major: 18}", [DEFAULT_MAJOR, 18]),
        ("{major: 16}", "{major: 16}", [16]),
        ("{major: many}", "{}", [DEFAULT_MAJOR]),
        ("null", "{major: true}", []),
        ("null", "null", []),
    ],
)
def test_the_releases_are_known_before_the_program_runs(
    tmp_path: Path, self_managed: str, rds: str, majors: list[int]
) -> None:
    sections = {"selfManaged": self_managed, "rds": rds}
    lines = [f"  passwordless-postgres:{name}: {section}\n" for name, section in sections.items()]
    assert stack_file.read(write(tmp_path, "config:\n" + "".join(lines))).majors == majors


def test_roles_are_those_of_both_databases_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "config:\n  passwordless-postgres:rds: {roles: {b: {}, a: {}}}\n"
        "  passwordless-postgres:selfManaged: {roles: {c: {}, a: {}}}\n",
    )
    assert stack_file.read(path).roles == ["c", "a", "b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [("config: [", "is not YAML"), ("a: 1", "has no section"), ("config: 1", "has no section")],
)
def test_what_is_no_stack_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        stack_file.read(write(tmp_path, text))


def test_a_missing_stack_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"none\.yaml cannot be read"):
        stack_file.read(tmp_path / "none.yaml")


def test_the_projects_own_stack_file_is_read() -> None:
    majors = stack_file.read(stack_file.DEFAULT_FILE).majors
    assert majors
    assert set(majors) <= {15, 16, 17, 18}
