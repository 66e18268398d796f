"""`logs`: what engine, resident process, machines, PostgreSQL, RDS and gateway have written."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from sandbox.state import State

FOLLOW_SECONDS = 0.3
SOURCES = ("engine", "sandbox", "machines", "rds", "gateway")


def log_files(state: State, source: str | None = None) -> list[Path]:
    """The logs there are now, of one source or of all.

    Args:
        state: the state folder.
        source: one of `SOURCES`; None for all.
    """
    files = {
        "engine": [state.engine_log],
        "sandbox": [state.serve_log],
        "machines": sorted(
            [*state.machines.glob("*/node.log"), *state.machines.glob("*/root/var/log/**/*")],
        ),
        "gateway": sorted(
            [
                *state.load_balancing.glob("logs/*/*.log"),
                *state.auto_scaling.glob("groups/*/instances/*/*.log"),
            ]
        ),
        "rds": sorted([*state.rds.glob("*/*.log"), *state.rds.glob("*/server/log/*.log")]),
    }
    chosen = files[source] if source else [file for group in files.values() for file in group]
    return [file for file in chosen if file.is_file()]


def last_lines(file: Path, count: int) -> list[str]:
    """The last `count` lines of a file; none when it cannot be read any more."""
    try:
        return file.read_text(errors="replace").splitlines()[-count:]
    except OSError:
        return []


def follow(state: State, source: str | None) -> Iterator[tuple[Path, str]]:
    """Lines as they are written, with the file, logs that begin later included; never ends."""
    positions = {file: file.stat().st_size for file in log_files(state, source)}
    while True:
        for file in log_files(state, source):
            try:
                with file.open("rb") as log:
                    # A log that has become shorter was begun anew.
                    position = positions.get(file, 0)
                    log.seek(position if position <= file.stat().st_size else 0)
                    for line in log:
                        yield file, line.decode(errors="replace").rstrip("\n")
                    positions[file] = log.tell()
            except OSError:
                continue
        time.sleep(FOLLOW_SECONDS)
