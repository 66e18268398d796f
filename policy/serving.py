"""Serves the pack on a loopback port, and prints the port's number as the first line of output."""

from __future__ import annotations

import os
import sys
from concurrent import futures

import grpc
from pulumi.runtime.proto import analyzer_pb2_grpc

from policy.analyzer import Analyzer
from policy.pack import Pack
from policy.profiles import built, rules_of
from policy.rules import RULES

_LARGEST_MESSAGE = 400 * 1024 * 1024
_THREADS = 4
VERBOSE = "PGTLS_VERBOSE"
"""The variable with which the pack names every rule that cannot be decided yet."""


def serve() -> None:
    """Serve until the process is terminated."""
    analyzer = Analyzer(Pack(rules=rules_of(built(), RULES)), names_undecided=bool(os.environ.get(VERBOSE)))
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=_THREADS),
        options=[
            ("grpc.max_receive_message_length", _LARGEST_MESSAGE),
            ("grpc.max_send_message_length", _LARGEST_MESSAGE),
        ],
    )
    analyzer_pb2_grpc.add_AnalyzerServicer_to_server(analyzer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    server.wait_for_termination()
