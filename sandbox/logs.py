"""`logs`: the logs of the engine, the resident process, machines, PostgreSQL, RDS and the gateway."""

from __future__ import annotations

import time
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from engine.session import LOG
from sandbox.state import State

FOLLOW_SECONDS = 0.3


class LogSource(StrEnum):
    """Whose log is shown."""

    ENGINE = "engine"
    SANDBOX = "sandbox"
    MACHINES = "machines"
    RDS = "rds"
    GATEWAY = "gateway"


def log_files(state: State, source: LogSource | None = None) -> list[Path]:
    """The existing log files of one source or of all.

    Args:
        state: The state folder.
        source: Whose log files; None for all.
    """
    files = {
        LogSource.ENGINE: [state.root / LOG],
        LogSource.SANDBOX: [state.serve_log],
        LogSource.MACHINES: sorted(
            [*state.machines.glob("*/node.log"), *state.machines.glob("*/root/var/log/**/*")],
        ),
        LogSource.GATEWAY: sorted(
            [
                *state.load_balancing.glob("logs/*/*.log"),
                *state.auto_scaling.glob("groups/*/instances/*/*.log"),
            ]
        ),
        LogSource.RDS: sorted([*state.rds.glob("*/*.log"), *state.rds.glob("*/server/log/*.log")]),
    }
    chosen = files[source] if source else [file for group in files.values() for file in group]
    return [file for file in chosen if file.is_file()]


def last_lines(file: Path, count: int) -> list[str]:
    """The last `count` lines of a file; none when it cannot be read."""
    try:
        return file.read_text(errors="replace").splitlines()[-count:]
    except OSError:
        return []


def follow(state: State, source: LogSource | None) -> Iterator[tuple[Path, str]]:
    """Yield new lines with their file for ever, including files that are created later."""
    positions = {file: file.stat().st_size for file in log_files(state, source)}
    while True:
        for file in log_files(state, source):
            try:
                with file.open("rb") as log:
                    # A file that has become shorter was replaced.
                    position = positions.get(file, 0)
                    log.seek(position if position <= file.stat().st_size else 0)
                    for line in log:
                        yield file, line.decode(errors="replace").rstrip("\n")
                    positions[file] = log.tell()
            except OSError:
                continue
        time.sleep(FOLLOW_SECONDS)
