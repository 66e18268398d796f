"""All Lambda functions of a sandbox.

Layout below the state folder:
    functions/<name>/function.json   what was created; the registry
    functions/<name>/task/           the artifact, unpacked
    functions/<name>/function.log    what calls have printed
    functions/runtime/               what Lambda's own runtime has: links to boto3 and what it needs
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.util
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from botocore.exceptions import ClientError

from sandbox import processes
from sandbox.aws_endpoint import AwsEndpoint
from sandbox.aws_endpoint.authoriser import trusts_service
from sandbox.aws_endpoint.credentials import AccessKey, Session
from sandbox.functions import bootstrap
from sandbox.functions.function import Function
from sandbox.state import replace_file

PART = "function"
SERVICE_PRINCIPAL = "lambda.amazonaws.com"
# What Lambda's Python runtime brings, by the names that are imported.
RUNTIME_MODULES = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
_SESSION_SECONDS = 3600
_LOG_BYTES = 1_000_000
_INHERITED = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TZ", "SSL_CERT_FILE")


class UnknownFunction(Exception):
    """There is no function of that name."""


class RoleRefusal(Exception):
    """Lambda cannot assume the function's role; the text has AWS's words."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a call ended.

    Attributes:
        payload: The handler's answer, or an object with `errorMessage` and `errorType`.
        failed: Whether the function failed.
    """

    payload: Any
    failed: bool


class Functions:
    """Keeps functions and runs them.

    Args:
        state_dir: The sandbox's state folder.
        endpoint: The sandbox's AWS.
    """

    def __init__(self, state_dir: Path, endpoint: AwsEndpoint) -> None:
        """See the class."""
        self._state_dir = state_dir
        self._folder = state_dir / "functions"
        self._endpoint = endpoint
        self._lock = threading.RLock()
        self._calls: set[subprocess.Popen[bytes]] = set()

    def put(self, function: Function, artifact: bytes) -> None:
        """Creates a function, or gives it another configuration and artifact.

        Raises:
            ValueError: The artifact is no zip file.
        """
        home = self._folder / function.name
        with self._lock:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial = home / "task.partial"
            shutil.rmtree(partial, ignore_errors=True)
            try:
                with zipfile.ZipFile(io.BytesIO(artifact)) as files:
                    files.extractall(partial)
            except zipfile.BadZipFile:
                raise ValueError(
                    "Could not unzip uploaded file. Please check your file, then try to upload again."
                ) from None
            shutil.rmtree(home / "task", ignore_errors=True)
            partial.rename(home / "task")
            replace_file(home / "function.json", function.model_dump_json(by_alias=True, indent=2) + "\n")

    def named(self, name: str) -> Function:
        """A function by its name or ARN.

        Raises:
            UnknownFunction: There is none.
        """
        plain = name.rsplit(":function:", 1)[-1].split(":", 1)[0]
        try:
            return Function.model_validate_json((self._folder / plain / "function.json").read_text())
        except (FileNotFoundError, NotADirectoryError):
            raise UnknownFunction(name) from None

    def delete(self, name: str) -> None:
        """Removes a function with its log; one that is gone already is no error."""
        with self._lock:
            shutil.rmtree(self._folder / name, ignore_errors=True)

    def stop(self) -> None:
        """Ends the calls that still run."""
        with self._lock:
            running = list(self._calls)
        for process in running:
            _kill(process)

    def invoke(self, name: str, event: bytes) -> Result:
        """Calls a function and waits for its end.

        Raises:
            UnknownFunction: There is none.
            RoleRefusal: Its role does not let Lambda assume it.
        """
        function = self.named(name)
        request_id = str(uuid.uuid4())
        stream = f"{time.strftime('%Y/%m/%d')}/[$LATEST]{uuid.uuid4().hex}"
        started = time.monotonic()
        key = self._role_key(function)
        process, answer = self._start(function, request_id, stream, key.environment())
        try:
            output, _ = process.communicate(event, timeout=function.timeout)
            result = self._result(process, answer, request_id)
        except subprocess.TimeoutExpired:
            _kill(process)
            output, _ = process.communicate()
            answer.close()
            words = f"Task timed out after {function.timeout:.2f} seconds"
            moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            result = Result(
                payload={"errorMessage": f"{moment} {request_id} {words}", "errorType": "Sandbox.Timedout"},
                failed=True,
            )
            output += f"{words}\n".encode()
        finally:
            with self._lock:
                self._calls.discard(process)
        lines = [
            f"START RequestId: {request_id} Version: $LATEST",
            *output.decode(errors="replace").splitlines(),
            f"END RequestId: {request_id}",
            f"REPORT RequestId: {request_id}	Duration: {(time.monotonic() - started) * 1000:.2f} ms",
        ]
        self._log(function, stream, lines, key)
        return result

    def _role_key(self, function: Function) -> AccessKey:
        role = self._endpoint.role(function.role_name)
        if role is None or not trusts_service(role.trust_policy, SERVICE_PRINCIPAL):
            raise RoleRefusal(
                f"The role defined for the function cannot be assumed by Lambda. Role: {function.role_arn}"
            )
        return self._endpoint.credentials.issue(
            Session(
                role_arn=role.arn,
                role_id=role.role_id,
                name=function.name,
                expiration=time.time() + _SESSION_SECONDS,
                facts={"lambda:SourceFunctionArn": function.arn},
            )
        )

    def _start(
        self, function: Function, request_id: str, stream: str, credentials: dict[str, str]
    ) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
        home = self._folder / function.name
        # A file, not a pipe: an answer can be larger than a pipe holds, and nobody reads before the end.
        answer = tempfile.TemporaryFile()  # noqa: SIM115 - closed by who reads it
        facts = {
            "artifact": str(home / "task"),
            "runtime": str(self._runtime()),
            "handler": function.handler,
            "answer": answer.fileno(),
            "functionName": function.name,
            "arn": function.arn,
            "memorySize": function.memory_size,
            "requestId": request_id,
            "logGroup": function.log_group,
            "logStream": stream,
            "timeout": function.timeout,
        }
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        environment = {
            **inherited,
            **function.environment,
            "AWS_REGION": function.region,
            "AWS_DEFAULT_REGION": function.region,
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": stream,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_python3.{sys.version_info.minor}",
            "LAMBDA_TASK_ROOT": str(home / "task"),
            "HOME": str(home),
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": self._endpoint.url,
            **credentials,
        }
        with self._lock:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", bootstrap.__file__, json.dumps(facts)],
                cwd=home / "task",
                env=processes.marked_environment(self._state_dir, PART, environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(answer.fileno(),),
                start_new_session=True,
            )
            self._calls.add(process)
        return process, answer

    def _result(self, process: subprocess.Popen[bytes], answer: IO[bytes], request_id: str) -> Result:
        with answer:
            answer.seek(0)
            text = answer.read()
        if not text:
            words = (
                f"RequestId: {request_id} Error: Runtime exited with error: exit status {process.returncode}"
            )
            return Result(payload={"errorMessage": words, "errorType": "Runtime.ExitError"}, failed=True)
        found = json.loads(text)
        return (
            Result(payload=found["payload"], failed=False)
            if "payload" in found
            else Result(payload=found, failed=True)
        )

    def _runtime(self) -> Path:
        folder = self._folder / "runtime"
        with self._lock:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name, target in _runtime_files():
                link = folder / name
                if not link.is_symlink() or link.readlink() != target:
                    link.unlink(missing_ok=True)
                    link.symlink_to(target)
        return folder

    def _log(self, function: Function, stream: str, lines: list[str], key: AccessKey) -> None:
        with contextlib.suppress(FileNotFoundError):  # deleted in the meantime
            log = self._folder / function.name / "function.log"
            kept = log.read_bytes()[-_LOG_BYTES:] if log.exists() else b""
            log.write_bytes(kept + "".join(f"{line}\n" for line in lines).encode())
        now = int(time.time() * 1000)
        logs = self._endpoint.client("logs", function.region, key)
        # Lambda writes with the function's own permissions, and says nothing where they do not suffice.
        with contextlib.suppress(ClientError):
            logs.create_log_stream(logGroupName=function.log_group, logStreamName=stream)
            events = [{"timestamp": now, "message": line or " "} for line in lines]
            logs.put_log_events(logGroupName=function.log_group, logStreamName=stream, logEvents=events)


def code_sha256(artifact: bytes) -> str:
    """The hash by which Lambda names an artifact."""
    return base64.b64encode(hashlib.sha256(artifact).digest()).decode()


def _runtime_files() -> Iterator[tuple[str, Path]]:
    for module in RUNTIME_MODULES:
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:
            raise RuntimeError(f"{module} is not installed beside the sandbox; make the environment anew")
        origin = Path(spec.origin)
        target = origin.parent if origin.name == "__init__.py" else origin
        yield target.name, target


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
