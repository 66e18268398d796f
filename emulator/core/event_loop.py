"""asyncio in a thread of its own, beside the threads that serve the engine and AWS's API."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
_OPEN_FILES = 65_536


class EventLoop:
    """Runs coroutines for other threads."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)

    def start(self) -> None:
        """Begins; connections need two files each, of which a process may often have only 1024."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        self._thread.start()

    def stop(self) -> None:
        """Cancels everything that still runs, and ends."""
        if not self._thread.is_alive():
            return
        self.run(_cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Its result, waited for from another thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
