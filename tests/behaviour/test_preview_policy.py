"""A component that stops forcing TLS does not get through a pull request: the preview of prod turns red."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.behaviour.conftest import ROOT

pytestmark = pytest.mark.sandbox

FORCED = '        FORCE_SSL: "1",\n'


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


def preview(checkout: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sandbox", "preview", "--stack", "prod"],
        cwd=checkout,
        env={**os.environ, "NO_COLOR": "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )


def test_removing_force_ssl_from_the_component_turns_the_preview_of_prod_red(tmp_path: Path) -> None:
    checkout = checkout_copy(tmp_path)
    control = preview(checkout)
    assert control.returncode == 0, control.stdout
    assert "PGTLS-" not in control.stdout
    source = checkout / "postgres/rds_parameters.py"
    assert FORCED in source.read_text()
    source.write_text(source.read_text().replace(FORCED, ""))
    red = preview(checkout)
    assert red.returncode == 1, red.stdout
    assert "PGTLS-N41" in red.stdout
    assert "rds.force_ssl" in red.stdout
    assert "Traceback" not in red.stdout
