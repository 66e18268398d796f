"""One call of a function: a process of its own, and an end to it and to whatever it has started."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from emulator.core.child_processes import inherited_environment
from emulator.lambda_ import bootstrap
from emulator.lambda_.model import Function

# Lambda developer guide, "Lambda quotas": 6 MB and the envelope around it.
LARGEST_ANSWER_BYTES = 6_291_556


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a call ended.

    Attributes:
        payload: The handler's answer, or an object with `errorMessage` and `errorType`.
        failed: Whether the function failed.
    """

    payload: Any
    failed: bool


class Invocation:
    """One call.

    Args:
        task: Its artifact, unpacked.
        runtime: What can be imported besides.

    Attributes:
        task: Its artifact, unpacked; needed until the call has ended.
        request_id: AWS's number of the call.
        log_stream: Where the call's output goes in the function's log group.
        log: What was printed, with what Lambda's runtime prints around it; empty before the end.
    """

    def __init__(self, function: Function, task: Path, runtime: Path) -> None:
        self.function = function
        self.task = task
        self.request_id = str(uuid.uuid4())
        self.log_stream = f"{time.strftime('%Y/%m/%d', time.gmtime())}/[$LATEST]{uuid.uuid4().hex}"
        self.log: list[str] = []
        self._runtime = runtime
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, event: bytes, environment: Mapping[str, str]) -> Result:
        """Call the handler and wait for its end.

        Args:
            event: JSON.
            environment: What the sandbox adds to the function's own variables, credentials included.
        """
        # Files, not pipes: a pipe ends at 64 KiB, and stays open for as long as any child of the handler's.
        with (
            tempfile.TemporaryFile() as given,
            tempfile.TemporaryFile() as output,
            tempfile.TemporaryFile() as answer,
        ):
            given.write(event)
            given.seek(0)
            started = time.monotonic()
            process = self._start(given, output, answer, environment)
            try:
                in_time = _ends_within(process, self.function.timeout)
            finally:
                # Before the process is waited for: until then its number is nobody else's.
                self.end()
                with self._lock:
                    self._process = None
                process.wait()
            milliseconds = (time.monotonic() - started) * 1000
            result = self._result(process.returncode, _content(answer)) if in_time else self._timed_out()
            printed = _content(output).decode(errors="replace").splitlines()
        self.log = [
            f"START RequestId: {self.request_id} Version: $LATEST",
            *printed,
            *([] if in_time else [result.payload["errorMessage"]]),
            f"END RequestId: {self.request_id}",
            f"REPORT RequestId: {self.request_id}\tDuration: {milliseconds:.2f} ms",
        ]
        return result

    def end(self) -> None:
        """End the call, if it runs, with everything that it has started."""
        with self._lock:
            if self._process is not None:
                os.killpg(self._process.pid, signal.SIGKILL)

    def _start(
        self, given: IO[bytes], output: IO[bytes], answer: IO[bytes], environment: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        function = self.function
        facts = {
            "artifact": str(self.task),
            "runtime": str(self._runtime),
            "handler": function.handler,
            "answer": answer.fileno(),
            "functionName": function.name,
            "arn": function.arn,
            "memorySize": function.memory_size,
            "requestId": self.request_id,
            "logGroup": function.logging_config.log_group,
            "logStream": self.log_stream,
            "timeout": function.timeout,
        }
        variables = {
            **inherited_environment(),
            **function.environment.variables,
            "AWS_REGION": function.region,
            "AWS_DEFAULT_REGION": function.region,
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_LOG_GROUP_NAME": function.logging_config.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": self.log_stream,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_python3.{sys.version_info.minor}",
            "LAMBDA_TASK_ROOT": str(self.task),
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            **environment,
        }
        with self._lock:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-X", "utf8", bootstrap.__file__, json.dumps(facts)],
                cwd=self.task,
                env=variables,
                stdin=given,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(answer.fileno(),),
                start_new_session=True,
            )
            return self._process

    def _result(self, status: int, answer: bytes) -> Result:
        if not answer:
            words = f"RequestId: {self.request_id} Error: Runtime exited with error: {_ending(status)}"
            return _error("Runtime.ExitError", words)
        if len(answer) > LARGEST_ANSWER_BYTES:
            words = "Response payload size exceeded maximum allowed payload size"
            return _error("Function.ResponseSizeTooLarge", f"{words} ({LARGEST_ANSWER_BYTES} bytes).")
        found = json.loads(answer)
        failed = "payload" not in found
        return Result(payload=found if failed else found["payload"], failed=failed)

    def _timed_out(self) -> Result:
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        words = f"{moment} {self.request_id} Task timed out after {self.function.timeout:.2f} seconds"
        return _error("Sandbox.Timedout", words)


def _error(kind: str, words: str) -> Result:
    return Result(payload={"errorMessage": words, "errorType": kind}, failed=True)


def _ending(status: int) -> str:
    return f"signal: {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


def _content(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _ends_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether a process ends in time; it is not waited for, so its number stays taken."""
    descriptor = os.pidfd_open(process.pid)
    try:
        ended = select.poll()
        ended.register(descriptor, select.POLLIN)
        return bool(ended.poll(seconds * 1000))
    finally:
        os.close(descriptor)
