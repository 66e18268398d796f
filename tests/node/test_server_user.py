from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from engine.project import CHECKOUT
from node.server_user import ServerUser
from runtime.errors import FailedError
from tests.node.conftest import SERVER_USER


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone becomes another user")
def test_a_program_is_reached_with_the_user_s_own_rights(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nid -u\n")
    program.chmod(0o755)
    user = ServerUser.named(SERVER_USER)
    with pytest.raises(FailedError, match=f"program cannot be started as user {user.name}: .*denied"):
        user.run([program])
    assert user.run(["/usr/bin/id", "-u"]).stdout.strip() == str(user.uid)


def test_no_process_with_threads_is_forked() -> None:
    # With either of these arguments subprocess forks, and fork handlers of gRPC crash the child.
    found = subprocess.run(
        ["git", "grep", "--files-with-matches", "-E", "(extra_groups|preexec_fn)=", "--", "*.py"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stdout) == (1, "")
