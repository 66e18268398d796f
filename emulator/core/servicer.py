"""Stand-in providers behind Pulumi's gRPC protocol, for `PULUMI_DEBUG_PROVIDERS`.

A `Provider` names a package and registers a `ResourceType` per type token and a function per invoke token; a
`ProviderServer` serves it on loopback. A type without a stand-in is refused by name, never echoed.
"""

from __future__ import annotations

from concurrent import futures

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from emulator.core.protocol import ProtocolServicer
from emulator.core.provider import Provider


class ProviderServer:
    """Serves a provider on loopback.

    Args:
        port: TCP port, 0 for any free one; see `port` after construction.

    Raises:
        OSError: The port is taken.
    """

    def __init__(self, provider: Provider, port: int = 0) -> None:
        self.provider = provider
        # The engine waits for as many calls as it has resources without mutual dependencies.
        self._server = grpc.server(
            futures.ThreadPoolExecutor(max_workers=64, thread_name_prefix=f"provider-{provider.package}"),
            options=[
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),
            ],
        )
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(ProtocolServicer(provider), self._server)
        try:
            self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        except RuntimeError as error:
            raise OSError(
                f"the {provider.package} stand-in cannot listen on 127.0.0.1:{port}; is the port taken?"
            ) from error

    def start(self) -> None:
        """Begins to serve; returns at once."""
        self._server.start()

    def stop(self, grace: float = 5.0) -> None:
        """Ends after the running calls, at most `grace` seconds."""
        self._server.stop(grace).wait()

    def __enter__(self) -> ProviderServer:
        """Starts."""
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Stops."""
        self.stop()
