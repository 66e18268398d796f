"""What Lambda's runtime does around one call: finds the handler, calls it, hands its answer back.

Run by `python -I -S`, so that nothing but the standard library, the artifact and what Lambda's runtime
has can be imported. Standard library only. Reads the event from standard input and writes the answer
to the file descriptor that it is told; what the function prints is its log.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any


class Context:
    """What a handler gets beside the event (Lambda developer guide, "Lambda context object in Python")."""

    def __init__(self, facts: dict[str, Any]) -> None:
        """From what the parent process says."""
        self.function_name = facts["functionName"]
        self.function_version = "$LATEST"
        self.invoked_function_arn = facts["arn"]
        self.memory_limit_in_mb = facts["memorySize"]
        self.aws_request_id = facts["requestId"]
        self.log_group_name = facts["logGroup"]
        self.log_stream_name = facts["logStream"]
        self._ends = time.monotonic() + facts["timeout"]

    def get_remaining_time_in_millis(self) -> int:
        """Time until the call is ended."""
        return max(0, int((self._ends - time.monotonic()) * 1000))


class Fault(Exception):
    """What Lambda's runtime itself finds wrong, in its words (`awslambdaric`)."""

    def __init__(self, kind: str, words: str) -> None:
        """`Runtime.` and the kind is the type of the error."""
        super().__init__(words)
        self.kind = f"Runtime.{kind}"


def answer(facts: dict[str, Any], event: Any) -> dict[str, Any]:
    """The handler's answer, or what went wrong."""
    try:
        return {"payload": _marshalled(_handler(facts["handler"])(event, Context(facts)))}
    except Fault as fault:
        print(f"[ERROR] {fault.kind}: {fault}")
        return {"errorMessage": str(fault), "errorType": fault.kind, "stackTrace": []}
    except Exception as error:  # noqa: BLE001 - the outermost boundary: Lambda reports whatever its code raises
        kind, trace = type(error).__name__, traceback.format_tb(error.__traceback__)
        print(f"[ERROR] {kind}: {error}\nTraceback (most recent call last):\n{''.join(trace)}")
        return {"errorMessage": str(error), "errorType": kind, "stackTrace": trace}


def _handler(named: str) -> Callable[[Any, Context], Any]:
    module_name, dot, function_name = named.rpartition(".")
    if not dot:
        words = f"Bad handler '{named}': not enough values to unpack (expected 2, got 1)"
        raise Fault("MalformedHandlerName", words)
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise Fault("ImportModuleError", f"Unable to import module '{module_name}': {error}") from None
    except SyntaxError as error:
        raise Fault("UserCodeSyntaxError", f"Syntax error in module '{module_name}': {error}") from None
    handler = getattr(module, function_name, None)
    if handler is None:
        raise Fault("HandlerNotFound", f"Handler '{function_name}' missing on module '{module_name}'")
    return handler


def _marshalled(value: Any) -> Any:
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError) as error:
        raise Fault("MarshalError", f"Unable to marshal response: {error}") from None


def main() -> None:
    """One call."""
    facts = json.loads(sys.argv[1])
    # The artifact comes first, as /var/task does.
    sys.path[:0] = [facts["artifact"], facts["runtime"]]
    logging.basicConfig(
        stream=sys.stdout, level=logging.WARNING, format="[%(levelname)s]\t%(asctime)s\t%(name)s\t%(message)s"
    )
    found = answer(facts, json.load(sys.stdin.buffer))
    sys.stdout.flush()
    with os.fdopen(facts["answer"], "w") as out:
        json.dump(found, out)


if __name__ == "__main__":
    main()
