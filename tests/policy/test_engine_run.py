"""Whether the engine works on all resources is read from its command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACK = "from policy.engine_run import works_on_everything as whole; print(whole())"
# The second shell is the language host, which is between the engine and the pack.
ENGINE = """sh -c '"$PYTHON" -c "$PACK"; :'; :"""


def said(name: str, *arguments: str) -> str:
    """What the pack says below a program of a name with arguments."""
    return subprocess.run(
        [name, "-c", ENGINE, *arguments],
        executable="/bin/sh",
        cwd=ROOT,
        env={"PYTHON": sys.executable, "PACK": PACK, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


@pytest.mark.parametrize(
    ("arguments", "whole"),
    [
        (("preview", "--stack", "prod", "--policy-pack", "policy"), True),
        (("up", "--yes", "--replace", "urn:pulumi:a::b::c::d"), True),
        (("policy", "analyze", "--stack", "prod"), True),
        (("up", "--target", "urn:pulumi:a::b::c::d"), False),
        (("up", "--target=urn:pulumi:a::b::c::d"), False),
        (("up", "-yturn:pulumi:a::b::c::d"), False),
        (("preview", "-x", "**database"), False),
        (("up", "--target-replace", "urn:pulumi:a::b::c::d"), False),
        (("up", "--exclude-dependents"), False),
        (("import", "aws:rds/instance:Instance", "a", "b"), False),
    ],
)
def test_the_command_line_of_the_engine_tells(arguments: tuple[str, ...], whole: bool) -> None:
    assert said("pulumi", *arguments) == str(whole)


def test_below_another_program_it_is_not_known() -> None:
    assert said("make", "preview") == "False"
