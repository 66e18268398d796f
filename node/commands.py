"""Programs of the operating system, run as root."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from typing import Protocol

from runtime.errors import FailedError

# The first installation downloads tens of megabytes.
TIMEOUT_SECONDS = 900


class Commands(Protocol):
    """Runs programs; tests record them instead."""

    def __call__(self, *command: str, accept: Sequence[int] = (0,)) -> subprocess.CompletedProcess[str]:
        """Run a program; FailedError with its output if the exit status is not in `accept`."""
        ...


def run(*command: str, accept: Sequence[int] = (0,)) -> subprocess.CompletedProcess[str]:
    """Run a program and capture its output.

    Raises:
        FailedError: it cannot be started, takes too long or ends with a status outside `accept`.
    """
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C",
        "HOME": "/root",
        "DEBIAN_FRONTEND": "noninteractive",
        **{name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")},
    }
    shown = " ".join(command)
    try:
        answer = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            # Packages create folders that every user must be able to enter; node's own umask is 077.
            umask=0o022,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FailedError(f"{shown}: {error}") from error
    if answer.returncode not in accept:
        output = (answer.stderr.strip() or answer.stdout.strip())[-2000:]
        raise FailedError(f"{shown}: exit status {answer.returncode}: {output}")
    return answer
