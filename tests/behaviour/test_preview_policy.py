"""A component that becomes weaker does not get through a pull request: the preview turns red."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.sandbox


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

    @contextlib.contextmanager
    def applied(self, checkout: Path) -> Iterator[None]:
        """The program with the change, within the block."""
        source = checkout / self.file
        before = source.read_text()
        assert self.before in before
        source.write_text(before.replace(self.before, self.after))
        try:
            yield
        finally:
            source.write_text(before)


RDS_WITHOUT_FORCE_SSL = Change(
    file="postgres/rds_parameters.py",
    before='        FORCE_SSL: "1",\n',
    after='        FORCE_SSL: "0",\n',
    rule="PGTLS-N41",
)
AN_OLD_SECURITY_POLICY_OF_THE_LISTENER = Change(
    file="components/gateway/listener.py",
    before="ssl_policy=args.settings.ssl_policy,",
    after='ssl_policy="ELBSecurityPolicy-2016-08",',
    rule="PGTLS-P099",
)
# A weaker pg_hba.conf is refused before policies see it: tests/components/self_managed/test_server.py.
METADATA_FOR_WHOEVER_ASKS = Change(
    file="components/self_managed/machine.py",
    before='http_tokens="required",',
    after='http_tokens="optional",',
    rule="PGTLS-P033",
)
# The environment with all three topologies, so that one preview proves all of them.
STACK = "dev"
CHANGES = (
    RDS_WITHOUT_FORCE_SSL,
    AN_OLD_SECURITY_POLICY_OF_THE_LISTENER,
    METADATA_FOR_WHOEVER_ASKS,
)


@pytest.mark.long
def test_the_program_as_it_is_passes(checkout: Path) -> None:
    control = preview(checkout, STACK)
    assert control.returncode == 0, control.stdout
    assert "mandatory: " not in control.stdout


def test_a_change_of_a_component_turns_the_preview_red(checkout: Path) -> None:
    """Each change by a mandatory finding of its own."""
    with contextlib.ExitStack() as changes:
        for change in CHANGES:
            changes.enter_context(change.applied(checkout))
        red = preview(checkout, STACK)
    assert red.returncode == 1, red.stdout
    for change in CHANGES:
        assert re.search(rf"^mandatory: .*\[{change.rule} ", red.stdout, re.MULTILINE), red.stdout
    assert "Traceback" not in red.stdout
