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


def answer(facts: dict[str, Any], event: Any) -> dict[str, Any]:
    """The handler's answer, or what it raised in Lambda's words."""
    module_name, _, function_name = facts["handler"].rpartition(".")
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        return {
            "errorMessage": f"Unable to import module '{module_name}': {error}",
            "errorType": "Runtime.ImportModuleError",
            "stackTrace": [],
        }
    handler = getattr(module, function_name, None)
    if handler is None:
        return {
            "errorMessage": f"Handler '{function_name}' missing on module '{module_name}'",
            "errorType": "Runtime.HandlerNotFound",
            "stackTrace": [],
        }
    try:
        return {"payload": json.loads(json.dumps(handler(event, Context(facts))))}
    except Exception as error:  # noqa: BLE001 - the outermost boundary: Lambda reports whatever a handler raises
        return {
            "errorMessage": str(error),
            "errorType": type(error).__name__,
            "stackTrace": traceback.format_tb(error.__traceback__),
        }


def main() -> None:
    """One call."""
    facts = json.loads(sys.argv[1])
    # The artifact comes first, as /var/task does.
    sys.path[:0] = [facts["artifact"], facts["runtime"]]
    logging.basicConfig(
        stream=sys.stdout, level=logging.WARNING, format="[%(levelname)s]\t%(asctime)s\t%(name)s\t%(message)s"
    )
    found = answer(facts, json.load(sys.stdin))
    sys.stdout.flush()
    with os.fdopen(facts["answer"], "w") as out:
        json.dump(found, out)


if __name__ == "__main__":
    main()
