"""A network namespace with loopback alone, which ends with its processes: all that a machine can reach."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)

T = TypeVar("T")


class Namespace:
    """A new namespace.

    Args:
        addresses: IPv4 addresses that it has besides 127.0.0.1.

    Attributes:
        enter: Command that runs another one in it.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        self._descriptor = _in_thread(_unshared)
        self.enter = ("nsenter", f"--net=/proc/{os.getpid()}/fd/{self._descriptor}")
        self._ip("link", "set", "lo", "up")
        for address in addresses:
            self._ip("address", "add", f"{address}/32", "dev", "lo")

    def listen(self, address: str, port: int) -> socket.socket:
        """A socket that listens there."""
        return self._inside(lambda: socket.create_server((address, port), backlog=64))

    def connect(self, address: str, port: int) -> socket.socket:
        """A connection from inside."""
        return self._inside(lambda: socket.create_connection((address, port), 10))

    def bind(self, address: str, port: int) -> socket.socket:
        """A socket for datagrams."""

        def make() -> socket.socket:
            bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            bound.bind((address, port))
            return bound

        return self._inside(make)

    def _inside(self, make: Callable[[], T]) -> T:
        """What `make` returns in the namespace; a socket stays where it was made."""

        def entered() -> T:
            _succeed(_libc.setns(self._descriptor, _CLONE_NEWNET))
            return make()

        return _in_thread(entered)

    def _ip(self, *arguments: str) -> None:
        subprocess.run([*self.enter, "ip", *arguments], check=True)


def _unshared() -> int:
    _succeed(_libc.unshare(_CLONE_NEWNET))
    return os.open(Path("/proc/thread-self/ns/net"), os.O_RDONLY)


def _succeed(status: int) -> None:
    if status != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _in_thread(work: Callable[[], T]) -> T:
    """The result of `work` in a thread of its own: a thread is in a namespace for itself."""
    results: list[T] = []
    errors: list[OSError] = []

    def run() -> None:
        try:
            results.append(work())
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
