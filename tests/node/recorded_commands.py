"""Programs of the operating system, recorded instead of run."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from runtime.errors import FailedError

Answer = tuple[int, str]


class Recorded:
    """Commands that run nowhere; `answers` maps the beginning of a command line to its successive answers."""

    def __init__(self, answers: dict[str, list[Answer]]) -> None:
        self.answers = answers
        self.lines: list[str] = []

    def __call__(self, *command: str, accept: Sequence[int] = (0,)) -> subprocess.CompletedProcess[str]:
        line = " ".join(command)
        self.lines.append(line)
        for beginning, said in self.answers.items():
            if line.startswith(beginning):
                status, text = said.pop(0) if len(said) > 1 else said[0]
                if status not in accept:
                    raise FailedError(f"{line}: exit status {status}")
                return subprocess.CompletedProcess(command, status, text, "")
        return subprocess.CompletedProcess(command, 0, "", "")

    def ran(self, text: str) -> bool:
        return any(text in line for line in self.lines)
