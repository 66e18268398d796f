"""The error for a file of PostgreSQL that cannot be read."""

from __future__ import annotations

from collections.abc import Sequence


class FileSyntaxError(ValueError):
    """A file that cannot be read; `problems` has every fault with its line number."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)
