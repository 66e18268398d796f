"""Keys stay where they belong: nothing that people or machines can read by the way holds one."""

from __future__ import annotations

import base64
import gzip
import json
import stat
from pathlib import Path

import psutil
import pytest

from tests.behaviour.conftest import RunningSandbox

pytestmark = pytest.mark.sandbox

KEY = "PRIVATE KEY"


@pytest.fixture(scope="module")
def keys(changing_sandbox: RunningSandbox) -> list[str]:
    """A stretch of every private key of the deployment, as it would show in any text."""
    found: list[str] = []
    for resource in changing_sandbox.exported_state()["deployment"]["resources"]:
        for name, value in resource.get("outputs", {}).items():
            if name in {"privateKeyPem", "privateKeyPemPkcs8"} and isinstance(value, dict):
                found.append(json.loads(value["plaintext"]).splitlines()[1])
    assert len(found) >= 6
    return found


def holds_a_key(text: str, keys: list[str]) -> bool:
    return KEY in text or any(key in text for key in keys)


def test_the_output_of_up_and_of_every_other_command(
    changing_sandbox: RunningSandbox, keys: list[str]
) -> None:
    sandbox = changing_sandbox
    for said in sandbox.said_by_up:
        assert not holds_a_key(said, keys)
    assert " created" in sandbox.said_by_up[0]
    for command in (
        ["up", "--stack-file", str(sandbox.stack_file)],
        ["status"],
        ["status", "--json"],
        ["logs"],
    ):
        completed = sandbox.run(*command)
        assert completed.returncode == 0, completed.stdout
        assert not holds_a_key(completed.stdout, keys), command


def test_logs_reports_and_documents(changing_sandbox: RunningSandbox, keys: list[str]) -> None:
    sandbox = changing_sandbox
    paths = [path for path in sandbox.state.rglob("*") if path.suffix in {".log", ".json"} and path.is_file()]
    readable = [path for path in paths if "aws" not in path.parts]
    assert any(path.name == "node.log" for path in readable)
    for path in readable:
        assert not holds_a_key(path.read_text(errors="replace"), keys), path


def test_the_engines_state_is_encrypted(changing_sandbox: RunningSandbox, keys: list[str]) -> None:
    states = list((changing_sandbox.state / "pulumi").rglob("*.json"))
    assert states
    for path in states:
        assert not holds_a_key(path.read_text(errors="replace"), keys), path


def test_user_data_and_plain_values_of_the_state(changing_sandbox: RunningSandbox, keys: list[str]) -> None:
    resources = changing_sandbox.exported_state(secrets=False)["deployment"]["resources"]
    assert not holds_a_key(json.dumps(resources), keys)
    (instance,) = [each for each in resources if each["type"] == "aws:ec2/instance:Instance"]
    user_data = base64.b64decode(instance["inputs"]["userDataBase64"])
    assert len(user_data) < 16 * 1024
    assert not holds_a_key(gzip.decompress(user_data).decode(), keys)


def test_arguments_of_processes(changing_sandbox: RunningSandbox, keys: list[str]) -> None:
    for process in psutil.process_iter(["cmdline"]):
        assert not holds_a_key(" ".join(process.info["cmdline"] or []), keys)


def test_files_with_keys_are_their_owners_alone(changing_sandbox: RunningSandbox, keys: list[str]) -> None:
    """Every file below the state folder that holds a key, or a folder above it, is closed to others."""
    sandbox = changing_sandbox
    found = 0
    for path in sandbox.state.rglob("*"):
        if not path.is_file() or path.is_symlink() or path.stat().st_size > 5_000_000:
            continue
        if not holds_a_key(path.read_text(errors="replace"), keys):
            continue
        found += 1
        chain = [path, *(folder for folder in path.parents if folder.is_relative_to(sandbox.state))]
        assert any(closed_to_others(each) for each in chain), path
    assert found > 0


def closed_to_others(path: Path) -> bool:
    return not path.stat().st_mode & (stat.S_IRWXO | (stat.S_IRWXG if path.is_dir() else 0))
