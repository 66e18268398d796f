"""A component that becomes weaker does not get through a pull request: the preview turns red."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.behaviour.conftest import ROOT

pytestmark = pytest.mark.sandbox


def checkout_copy(folder: Path) -> Path:
    """What git tracks, in a folder of its own, with this environment's packages."""
    copy = folder / "checkout"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, tracked.decode().split("\0")):
        if (ROOT / name).exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    (copy / ".venv").symlink_to(ROOT / ".venv")
    return copy


def preview(checkout: Path, stack: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "preview", "--stack", stack],
        cwd=checkout,
        env={**os.environ, "NO_COLOR": "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )


@dataclass(frozen=True, kw_only=True)
class Change:
    """An edit of the program that a reviewer might miss, and the rules that do not."""

    file: str
    before: str
    after: str
    rules: tuple[str, ...]
    # Production has no self-managed server.
    stack: str = "prod"


CHANGES = {
    "RDS without rds.force_ssl": Change(
        file="postgres/rds_parameters.py",
        before='        FORCE_SSL: "1",\n',
        after="",
        rules=("PGTLS-N41",),
    ),
    "an old security policy of the listener": Change(
        file="components/gateway/listener.py",
        before="ssl_policy=args.settings.ssl_policy,",
        after='ssl_policy="ELBSecurityPolicy-2016-08",',
        rules=("PGTLS-P099",),
    ),
    "a way in by password": Change(
        file="components/self_managed/server_files.py",
        before='"pg_hba.conf": render_hba(rules, major),',
        after='"pg_hba.conf": "host all all 0.0.0.0/0 md5\\n" + render_hba(rules, major),',
        rules=("PGTLS-N04",),
        stack="dev",
    ),
}


@pytest.mark.parametrize("stack", ["prod", "dev"])
def test_the_program_as_it_is_passes(stack: str, tmp_path: Path) -> None:
    control = preview(checkout_copy(tmp_path), stack)
    assert control.returncode == 0, control.stdout
    assert "mandatory: " not in control.stdout


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_a_component_turns_the_preview_red(name: str, tmp_path: Path) -> None:
    change = CHANGES[name]
    checkout = checkout_copy(tmp_path)
    source = checkout / change.file
    assert change.before in source.read_text()
    source.write_text(source.read_text().replace(change.before, change.after))
    red = preview(checkout, change.stack)
    assert red.returncode == 1, red.stdout
    for rule in change.rules:
        assert f"mandatory: {rule}" in red.stdout
    assert "Traceback" not in red.stdout
