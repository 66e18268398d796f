"""What a killed engine leaves in the file backend is recognised."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.checkpoint import SPECIAL_VALUE, Checkpoint
from engine.errors import CommandError


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    return Checkpoint(backend=tmp_path, project="project", stack="sandbox")


def write(checkpoint: Checkpoint, latest: dict[str, object]) -> None:
    checkpoint.file.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.file.write_text(json.dumps({"version": 3, "checkpoint": {"latest": latest}}))


def test_an_output_is_found_unless_it_is_secret(checkpoint: Checkpoint) -> None:
    assert checkpoint.output("connections") is None
    secret = {SPECIAL_VALUE: "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:"}
    outputs = {"connections": {"databases": {}}, "password": secret}
    write(checkpoint, {"resources": [{"type": "pulumi:pulumi:Stack", "outputs": outputs}]})
    assert checkpoint.output("connections") == {"databases": {}}
    assert checkpoint.output("password") is None
    assert checkpoint.output("other") is None


def lock(checkpoint: Checkpoint, content: str) -> None:
    checkpoint.lock_folder.mkdir(parents=True)
    (checkpoint.lock_folder / "1.json").write_text(content)


def test_without_a_stack_there_is_nothing(checkpoint: Checkpoint) -> None:
    assert not checkpoint.file.exists()
    assert checkpoint.salt() is None
    assert not checkpoint.has_pending_operations()
    assert not checkpoint.has_stale_lock()


def test_salt_pending_operations_and_resources_are_found(checkpoint: Checkpoint) -> None:
    report = {"type": "pulumi-python:dynamic/passwordless-postgres:NodeReport", "outputs": {}}
    write(
        checkpoint,
        {
            "secrets_providers": {"type": "passphrase", "state": {"salt": "v1:salt"}},
            "pending_operations": [{"type": "creating"}],
            "resources": [report, {**report, "delete": True}, {"type": "aws:ec2/vpc:Vpc"}],
        },
    )
    assert checkpoint.salt() == "v1:salt"
    assert checkpoint.has_pending_operations()
    assert checkpoint.resources_of_type(":NodeReport") == [report]


def test_a_damaged_state_is_an_error_that_says_what_to_do(checkpoint: Checkpoint) -> None:
    write(checkpoint, {})
    checkpoint.file.write_text("{")
    with pytest.raises(CommandError, match="damaged"):
        checkpoint.latest()


def test_the_lock_of_a_process_that_is_gone_is_stale(checkpoint: Checkpoint) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    lock(checkpoint, json.dumps({"pid": gone.pid}))
    assert checkpoint.has_stale_lock()


def test_the_lock_of_an_engine_that_was_killed_and_not_waited_for_is_stale(
    checkpoint, tmp_path: Path
) -> None:
    engine = tmp_path / "pulumi"
    engine.symlink_to("/bin/cat")
    process = subprocess.Popen([engine], stdin=subprocess.PIPE)
    lock(checkpoint, json.dumps({"pid": process.pid}))
    with pytest.raises(CommandError, match=f"process number {process.pid} is working"):
        checkpoint.has_stale_lock()
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert checkpoint.has_stale_lock()
    process.communicate()


def test_a_number_that_another_program_has_now_and_an_empty_lock_are_stale(checkpoint: Checkpoint) -> None:
    lock(checkpoint, json.dumps({"pid": os.getpid()}))
    assert checkpoint.has_stale_lock()
    (checkpoint.lock_folder / "1.json").write_text("")
    assert checkpoint.has_stale_lock()


@pytest.mark.parametrize("left", ["", '{"version": 3, "checkp'])
@pytest.mark.parametrize("place", ["bak", "backups"])
def test_a_state_that_a_kill_left_half_written_is_replaced_by_the_newest_whole_copy(
    checkpoint: Checkpoint, left: str, place: str
) -> None:
    write(checkpoint, {"resources": [{"type": "aws:ec2/vpc:Vpc"}]})
    backups = checkpoint.backend / ".pulumi" / "backups" / "project" / "sandbox"
    backups.mkdir(parents=True)
    (backups / "sandbox.2.json").write_text("")
    bak = checkpoint.file.with_name("sandbox.json.bak")
    copy = bak if place == "bak" else backups / "sandbox.1.json"
    bak.write_text("{")
    copy.write_text(checkpoint.file.read_text())
    checkpoint.file.write_text(left)
    assert checkpoint.repair() == copy
    assert checkpoint.resources_of_type(":Vpc")
    assert checkpoint.repair() is None


def test_a_half_written_state_without_any_copy_begins_anew(checkpoint: Checkpoint) -> None:
    write(checkpoint, {})
    checkpoint.file.write_text("")
    assert checkpoint.repair() == checkpoint.file
    assert not checkpoint.file.exists()
    assert checkpoint.repair() is None
