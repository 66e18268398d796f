"""How many requests are in the application, by caller and of all, over all workers of a machine.

The counts lie in memory that the workers share. Each worker writes a row of its own and adds up a column of
all rows, so there is nothing to lock: who counts itself first and looks then lets none beyond a limit in.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable
from typing import final

Identity = tuple[str, str]
"""Kind and value of an entry of the allow-list."""

COLUMNS = 1 << 21
"""More than a document has callers; memory that nobody touches takes no room."""

_BYTES = 4


def shared_memory(workers: int) -> int:
    """A descriptor of memory for the counts of so many workers."""
    descriptor = os.memfd_create("in-flight", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, workers * COLUMNS * _BYTES)
    return descriptor


@final
class InFlight:
    """The counts as one worker sees and changes them."""

    def __init__(self, descriptor: int, worker: int) -> None:
        """Map the memory.

        Args:
            descriptor: of `shared_memory`.
            worker: whose row it is, from 0.
        """
        self._counts = memoryview(mmap.mmap(descriptor, 0)).cast("I")
        self._rows = range(0, len(self._counts), COLUMNS)
        self._own = self._rows[worker]
        self._columns: dict[Identity, int] = {}

    def number(self, callers: Iterable[Identity]) -> None:
        """Give each caller a column by its place, which has to be the same in all workers."""
        self._columns = {caller: column for column, caller in enumerate(callers, 1)}

    def column(self, caller: Identity) -> int:
        """Where a caller's requests are counted."""
        return self._columns[caller]

    def enter(self, column: int) -> tuple[int, int]:
        """Count a request in; how many its caller and all callers have now, in all workers."""
        counts = self._counts
        counts[self._own + column] += 1
        counts[self._own] += 1
        return sum(counts[row + column] for row in self._rows), sum(counts[row] for row in self._rows)

    def leave(self, column: int) -> None:
        """Count a request out."""
        self._counts[self._own + column] -= 1
        self._counts[self._own] -= 1

    def clear(self) -> None:
        """Forget what a worker counted that has ended with requests in flight."""
        used = 1 + len(self._columns)
        self._counts[self._own : self._own + used] = memoryview(bytes(used * _BYTES)).cast("I")
