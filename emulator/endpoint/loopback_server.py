"""A threaded HTTP server on loopback around one function from request to response."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.types import StartResponse

from werkzeug.datastructures import Headers
from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.serving import WSGIRequestHandler, make_server

from emulator.endpoint.exchange import HttpRequest, HttpResponse

Handler = Callable[[HttpRequest], HttpResponse]


class _RequestHandler(WSGIRequestHandler):
    """Keeps header names as they came.

    It writes no access log: paths may hold names that only one client knows.
    """

    def make_environ(self) -> dict[str, Any]:
        """The WSGI environment, with the headers as they came over the wire."""
        environ = super().make_environ()
        environ["sandbox.headers"] = tuple((name, value) for name, value in self.headers.items())
        return environ

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Writes nothing."""


class LoopbackServer:
    """Serves on 127.0.0.1.

    Args:
        handler: Answers requests; called from several threads.
        port: TCP port, 0 for any free one; see `port` after construction.

    Raises:
        OSError: The port is taken.
    """

    def __init__(self, name: str, handler: Handler, port: int = 0) -> None:
        self._handler = handler
        self._server = make_server(
            "127.0.0.1", port, self._application, threaded=True, request_handler=_RequestHandler
        )
        self.port = self._server.port
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name=name, daemon=True
        )

    @property
    def url(self) -> str:
        """Base address, without a slash at its end."""
        return f"http://localhost:{self.port}"

    def start(self) -> None:
        """Begins to serve; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Ends and frees the port."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def _application(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        request = HttpRequest(
            method=environ["REQUEST_METHOD"],
            target=environ["RAW_URI"],
            headers=environ["sandbox.headers"],
            body=environ["wsgi.input"].read(length),
            client_port=int(environ["REMOTE_PORT"]),
        )
        response = self._handler(request)
        headers = Headers(response.headers)
        headers.setdefault("Content-Length", str(len(response.body)))
        reason = HTTP_STATUS_CODES.get(response.status, "Unknown")
        start_response(f"{response.status} {reason}", headers.to_wsgi_list())
        return [] if request.method == "HEAD" else [response.body]
