"""What of a machine's surroundings is away at the moment: names in a file, read at every connection."""

from __future__ import annotations

from pathlib import Path

NAMES = ("apt", "aws", "dns", "imds", "time")


class Outages:
    """The outages of one machine.

    Args:
        file: Holds the names, with spaces between them; nothing is away without it.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def __contains__(self, name: str) -> bool:
        try:
            return name in self._file.read_text().split()
        except FileNotFoundError:
            return False

    def begin(self, *names: str) -> None:
        """These are away from now on, and no other ones."""
        self._file.write_text(" ".join(names))

    def end(self) -> None:
        """Everything is there again."""
        self._file.unlink(missing_ok=True)
