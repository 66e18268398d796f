"""Hands connections on from one socket to another."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable

_CHUNK = 65536
_RESET = struct.pack("ii", 1, 0)


def relay(
    listener: socket.socket,
    connect: Callable[[], socket.socket],
    *,
    tls: ssl.SSLContext | None = None,
    away: Callable[[], bool] = lambda: False,
) -> None:
    """Hand on whatever comes to `listener`, for as long as this process lives.

    Args:
        tls: What clients talk; `connect`'s end gets it in plain text.
        away: While it says so, connections are reset.
    """

    def serve(client: socket.socket) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(client.close)
            if away():
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                return
            with contextlib.suppress(OSError):
                ours = client if tls is None else tls.wrap_socket(client, server_side=True)
                stack.callback(ours.close)
                server = connect()
                server.settimeout(None)
                stack.callback(server.close)
                there = threading.Thread(target=_pump, args=(ours, server), daemon=True)
                there.start()
                _pump(server, ours)
                there.join()

    def accept() -> None:
        while True:
            client, _ = listener.accept()
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
