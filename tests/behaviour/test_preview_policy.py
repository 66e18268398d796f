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
    """An edit of the program that a reviewer might miss, and the rule that does not."""

    file: str
    before: str
    after: str
    rule: str

    def apply(self, checkout: Path) -> None:
        source = checkout / self.file
        assert self.before in source.read_text()
        source.write_text(source.read_text().replace(self.before, self.after))


RDS_WITHOUT_FORCE_SSL = Change(
    file="postgres/rds_parameters.py",
    before='        FORCE_SSL: "1",\n',
    after="",
    rule="PGTLS-N41",
)
AN_OLD_SECURITY_POLICY_OF_THE_LISTENER = Change(
    file="components/gateway/listener.py",
    before="ssl_policy=args.settings.ssl_policy,",
    after='ssl_policy="ELBSecurityPolicy-2016-08",',
    rule="PGTLS-P099",
)
A_WAY_IN_BY_PASSWORD = Change(
    file="components/self_managed/server_files.py",
    before='"pg_hba.conf": render_hba(rules, major),',
    after='"pg_hba.conf": "host all all 0.0.0.0/0 md5\\n" + render_hba(rules, major),',
    rule="PGTLS-N04",
)
# Production, which has no self-managed server, passes unchanged in tests/preview/test_preview.py.
CHANGES = {
    "prod": (RDS_WITHOUT_FORCE_SSL, AN_OLD_SECURITY_POLICY_OF_THE_LISTENER),
    "dev": (A_WAY_IN_BY_PASSWORD,),
}


def test_the_program_as_it_is_passes(tmp_path: Path) -> None:
    control = preview(checkout_copy(tmp_path), "dev")
    assert control.returncode == 0, control.stdout
    assert "mandatory: " not in control.stdout


@pytest.mark.parametrize("stack", CHANGES)
def test_a_change_of_a_component_turns_the_preview_red(stack: str, tmp_path: Path) -> None:
    """Each change by a mandatory finding of its own, so that one preview proves several."""
    checkout = checkout_copy(tmp_path)
    for change in CHANGES[stack]:
        change.apply(checkout)
    red = preview(checkout, stack)
    assert red.returncode == 1, red.stdout
    for change in CHANGES[stack]:
        assert f"mandatory: {change.rule}" in red.stdout
    assert "Traceback" not in red.stdout
