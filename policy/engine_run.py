"""What the engine works on: all resources of a stack, or some of them.

The engine's protocol does not say so. A run of some resources sends the others as they are in its state, and
none of those that are new, so it proves nothing of them. Its command line tells.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_ENGINE = "pulumi"
_COMMANDS = frozenset({"preview", "pre", "update", "up", "policy"})
# --target and --exclude with what belongs to them; -t and -x, also among other letters.
_PARTIAL = re.compile(r"--(?:target|exclude).*|-[a-z]*[tx].*", re.DOTALL)


def works_on_everything() -> bool:
    """Whether the engine that started this process works on all resources.

    False where that cannot be known: outside of Linux, and where another program started the pack.
    """
    command = _command_of_engine(os.getppid())
    return not _COMMANDS.isdisjoint(command) and not any(map(_PARTIAL.fullmatch, command))


def _command_of_engine(pid: int) -> list[str]:
    """The arguments of the engine among a process and its parents; empty where there is none."""
    try:
        # The language host is between the engine and the pack.
        while pid > 1:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
            if Path(command[0]).name == _ENGINE:
                return command[1:]
            # The command's name, in brackets, may itself contain brackets and spaces.
            status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
            pid = int(status.rpartition(")")[2].split()[1])
    except OSError:
        pass
    return []
