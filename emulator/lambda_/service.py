"""All Lambda functions of a sandbox.

Layout below the state folder:
    functions/<name>/function.json   what was created; the registry; changed when last called
    functions/<name>/code/<hash>/    an artifact, unpacked
    functions/<name>/function.log    what calls have printed
    functions/.runtime/              what Lambda's own runtime has: links to boto3 and what it needs
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.util
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from zipfile import BadZipFile

from botocore.exceptions import ClientError

from emulator.core.archives import unpack
from emulator.core.child_processes import open_log
from emulator.endpoint.aws_endpoint import AwsEndpoint
from emulator.endpoint.credentials import AccessKey
from emulator.endpoint.resources import Access
from emulator.iam.authoriser import trusts_service
from emulator.lambda_.invocation import Invocation, Result
from emulator.lambda_.model import Function
from engine import processes

PART = "function"
SERVICE_PRINCIPAL = "lambda.amazonaws.com"
# What Lambda's Python runtime brings, by the names that are imported.
RUNTIME_MODULES = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
_CODE = "code"
_QUALIFIER = "$LATEST"
_SESSION_SECONDS = 3600
_LOG_BYTES = 1_000_000
_IDLE_SECONDS = 14 * 24 * 3600


class UnknownFunction(Exception):
    """There is no function of that name, or no version or alias of it."""


class Asleep(Exception):
    """The function sleeps, and this call has awakened it."""


class RoleRefusal(Exception):
    """Lambda cannot assume the function's role; the text has AWS's words."""


class Functions:
    """Keeps functions and runs them.

    Attributes:
        interfaces: Role by security group, of functions that are gone and whose network interfaces are not.
        ended: Set at the end.
    """

    def __init__(self, state_dir: Path, endpoint: AwsEndpoint) -> None:
        self._state_dir = state_dir
        self._folder = state_dir / "functions"
        self._endpoint = endpoint
        self._lock = threading.RLock()
        self._calls: set[Invocation] = set()
        self._waking: set[str] = set()
        self.interfaces: dict[str, str] = {}
        self.ended = threading.Event()

    def put(self, function: Function, artifact: bytes) -> None:
        """Creates a function, or gives it another configuration and artifact.

        Calls that run go on with the artifact that they began with.

        Raises:
            ValueError: The artifact is not a zip file.
        """
        home = self._folder / function.name
        with self._lock:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            task = self._task(function)
            if not task.exists():
                task.parent.mkdir(mode=0o700, exist_ok=True)
                try:
                    unpack(artifact, task)
                except BadZipFile:
                    raise ValueError(
                        "Could not unzip uploaded file. Please check your file, then try to upload again."
                    ) from None
            # A kill before this leaves the function as it was.
            function.save(self._file(function))
            needed = {task, *(call.task for call in self._calls)}
            for folder in (home / _CODE).iterdir():
                if folder not in needed:
                    shutil.rmtree(folder)

    def named(self, name: str) -> Function:
        """A function by its name or ARN, with or without the qualifier of the version that all have.

        Raises:
            UnknownFunction: There is none.
        """
        plain, _, qualifier = name.rsplit(":function:", 1)[-1].partition(":")
        if qualifier not in ("", _QUALIFIER):
            raise UnknownFunction(name)
        try:
            return Function.load(self._folder / plain / "function.json")
        except (FileNotFoundError, NotADirectoryError):
            raise UnknownFunction(name) from None

    def state(self, function: Function) -> str:
        """Inactive after 14 days without a call; after the call that wakes it Pending, once, then Active."""
        with self._lock:
            if function.name in self._waking:
                self._waking.discard(function.name)
                return "Pending"
            idle = time.time() - self._file(function).stat().st_mtime > _IDLE_SECONDS
            return "Inactive" if idle else "Active"

    def delete(self, name: str) -> None:
        """Removes a function with its log; one that is gone already is no error."""
        with self._lock:
            shutil.rmtree(self._folder / name, ignore_errors=True)

    def stop(self) -> None:
        """Ends the calls that still run."""
        self.ended.set()
        with self._lock:
            running = list(self._calls)
        for call in running:
            call.end()

    def invoke(self, name: str, event: bytes) -> Result:
        """Calls a function and waits for its end.

        Raises:
            UnknownFunction: There is none.
            Asleep: It has to become active first.
            RoleRefusal: Its role does not let Lambda assume it.
        """
        with self._lock:
            function = self.named(name)
            state = self.state(function)
            self._file(function).touch()
            if state == "Inactive":
                self._waking.add(function.name)
            if state != "Active":
                raise Asleep
            call = Invocation(function, self._task(function), self._runtime())
            self._calls.add(call)
        try:
            key = self._role_key(function)
            result = call.run(event, self._environment(function, key))
        finally:
            with self._lock:
                self._calls.discard(call)
        self._keep_log(call, key)
        return result

    def _file(self, function: Function) -> Path:
        return self._folder / function.name / "function.json"

    def _task(self, function: Function) -> Path:
        return self._folder / function.name / _CODE / base64.b64decode(function.code_sha256).hex()

    def _environment(self, function: Function, key: AccessKey) -> dict[str, str]:
        own = {
            "HOME": str(self._folder / function.name),
            "AWS_ENDPOINT_URL": self._endpoint.url,
            **key.environment(),
        }
        return processes.marked_environment(self._state_dir, PART, own)

    def _role_key(self, function: Function) -> AccessKey:
        role = self._endpoint.role(function.role_name)
        if role is None or not trusts_service(role.trust_policy, SERVICE_PRINCIPAL):
            raise RoleRefusal(
                f"The role defined for the function cannot be assumed by Lambda. Role: {function.role}"
            )
        facts = {"lambda:SourceFunctionArn": function.arn}
        return self._endpoint.credentials.issue(role.session(function.name, _SESSION_SECONDS, facts))

    def _runtime(self) -> Path:
        folder = self._folder / ".runtime"
        with self._lock:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name, target in _runtime_files():
                link = folder / name
                if not link.is_symlink() or link.readlink() != target:
                    link.unlink(missing_ok=True)
                    link.symlink_to(target)
        return folder

    def _keep_log(self, call: Invocation, key: AccessKey) -> None:
        function, group = call.function, call.function.logging_config.log_group
        file = self._folder / function.name / "function.log"
        # The function may be deleted in the meantime.
        with self._lock, contextlib.suppress(FileNotFoundError), open_log(file, _LOG_BYTES) as log:
            log.writelines(f"{line}\n".encode() for line in call.log)
        now = int(time.time() * 1000)
        logs = self._endpoint.client("logs", function.region, key)
        # Lambda writes with the function's own permissions, and says nothing where they do not suffice.
        with contextlib.suppress(ClientError):
            logs.create_log_stream(logGroupName=group, logStreamName=call.log_stream)
            events = [{"timestamp": now, "message": line or " "} for line in call.log]
            logs.put_log_events(logGroupName=group, logStreamName=call.log_stream, logEvents=events)


def may_as_role(endpoint: AwsEndpoint, arn: str, action: str) -> bool:
    """Whether Lambda itself, as a function's role, may do something to the function's network."""
    role = endpoint.role(arn.rsplit("/", 1)[-1])
    itself = None if role is None else role.session("lambda", 60).identity
    return itself is not None and endpoint.allows(itself, Access(action=action, resource="*"))


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
