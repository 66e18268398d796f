"""`python -m gateway`: the gateway of a machine, as the instance's unit runs it: one worker per core."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import uvloop
from pydantic import ValidationError

from gateway import structured_log
from gateway.document_source import DocumentFile, DocumentSource, PublishedDocument
from gateway.errors import GatewayError
from gateway.machine import APPLICATION, MACHINE_FILE, Machine
from gateway.published_report import PublishedReport
from gateway.report import Report
from gateway.supervisor import Ports, supervise

LOCAL_PORT = 8443
LOCAL_METRICS_PORT = 9443

_log = logging.getLogger("gateway")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM.

    Returns:
        0 after SIGTERM or SIGINT, 1 when it cannot start; the log says why.
    """
    options = _parser().parse_args(arguments)
    structured_log.begin()
    try:
        run = _what_to_run(options)
        uvloop.run(
            supervise(
                run.source,
                run.ports,
                run.application,
                workers=options.workers,
                name=run.name,
                report=run.report,
            )
        )
    except GatewayError as error:
        _log.error("%s", error)
        return 1
    except OSError as error:
        _log.error("cannot listen: %s", error)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gateway",
        description="Serves an ASGI application to callers that a load balancer verified, as database roles.",
        epilog="AWS credentials are found as by the AWS CLI. The log goes to standard output, as JSON lines.",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--machine", type=Path, metavar="FILE", help=f"the instance's file, {MACHINE_FILE} on AWS"
    )
    what.add_argument("--document", type=Path, metavar="FILE", help="the gateway's document, for local use")
    parser.add_argument(
        "--application", metavar="MODULE:ATTRIBUTE", help="instead of the machine's ASGI application"
    )
    parser.add_argument(
        "--address", help="where to listen for HTTPS (default: all; with --document 127.0.0.1)"
    )
    parser.add_argument("--port", type=int, help=f"port for HTTPS (default: the machine's, or {LOCAL_PORT})")
    parser.add_argument(
        "--metrics-port",
        type=int,
        help=f"port for Prometheus on 127.0.0.1 (default: the machine's, or {LOCAL_METRICS_PORT})",
    )
    parser.add_argument(
        "--workers",
        type=_workers,
        default=len(os.sched_getaffinity(0)),
        help="how many processes serve (default: one per core, here %(default)s)",
    )
    return parser


def _workers(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


@dataclass(frozen=True, kw_only=True)
class _Run:
    """Where the document comes from, where to listen, which application, and as what it is observed."""

    source: DocumentSource
    ports: Ports
    application: str
    name: str | None = None
    report: Callable[[Report], None] | None = None


def _what_to_run(options: argparse.Namespace) -> _Run:
    if options.document:
        ports = Ports(
            address=options.address or "127.0.0.1",
            port=LOCAL_PORT if options.port is None else options.port,
            metrics_port=LOCAL_METRICS_PORT if options.metrics_port is None else options.metrics_port,
        )
        return _Run(
            source=DocumentFile(options.document), ports=ports, application=options.application or APPLICATION
        )
    machine = _machine(options.machine)
    ports = Ports(
        address=options.address or "0.0.0.0",
        port=machine.port if options.port is None else options.port,
        metrics_port=machine.metrics_port if options.metrics_port is None else options.metrics_port,
    )
    # One session for both: it reads the service's description once.
    aws: dict[str, Any] = {
        "account": machine.account,
        "region": machine.region,
        "session": cache(boto3.Session),
    }
    return _Run(
        source=PublishedDocument(machine.document, **aws),
        ports=ports,
        application=options.application or machine.application,
        name=machine.gateway,
        report=PublishedReport(machine.reports, **aws).write,
    )


def _machine(path: Path) -> Machine:
    try:
        return Machine.model_validate_json(path.read_bytes())
    except OSError as error:
        raise GatewayError(f"the machine's file {path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in each['loc']) or 'the file'}: {each['msg']}"
            for each in error.errors()
        )
        raise GatewayError(
            f"the machine's file {path} is wrong: {problems}; deploy the stack again"
        ) from None


if __name__ == "__main__":
    sys.exit(main())
