"""The function's answer to an event, as a resource that `pulumi up` waits for."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pulumi
from pulumi import dynamic

from components.major_change import major_failures
from components.report_wait import POLL_SECONDS, SIGN_OF_LIFE_SECONDS
from documents.shown_text import shown

SCHEMA_VERSION = 2
FUNCTION_SECONDS = 300

ASLEEP = ("CodeArtifactUserPendingException", "ResourceConflictException", "ResourceNotReadyException")
"""Errors of a function that Lambda has to make active first.

After 14 days without a call Lambda takes a function's network interface away. The next call fails, and makes
it active again, which takes a minute or two (Lambda developer guide, "Lambda function states").
"""
AWAKE_SECONDS = 600
"""How long a function may take to become active."""

_CONNECT_SECONDS = 10
# Lambda ends the function after its own timeout; the answer arrives a little later.
_READ_SECONDS = FUNCTION_SECONDS + 30
_WAITED_FOR = (
    "region", "function", "server", "logGroup", "artifactSha256", "resourceId", "configuration", "event",
)  # fmt: skip

Outcome = Literal["applied", "refused", "failed", "no-answer"]


@dataclass(frozen=True, kw_only=True)
class FunctionRunArgs:
    """Arguments of `FunctionRun`.

    Attributes:
        region: Region of the function.
        function: Name of the function.
        server: Name of the server that it works on, for messages.
        log_group: Where the function's log is, for messages.
        artifact_sha256: What the function is; another one is run again.
        resource_id: The instance; another one with the same name, as after a restore, is run again.
        configuration: Its configuration, as JSON; another one is run again.
        event: What it is asked, as JSON.
        major: Major release of the server; another one is refused.
    """

    region: pulumi.Input[str]
    function: pulumi.Input[str]
    server: str
    log_group: str
    artifact_sha256: pulumi.Input[str]
    resource_id: pulumi.Input[str]
    configuration: pulumi.Input[str]
    event: pulumi.Input[str]
    major: int


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How a run ended: outcome and message."""

    outcome: Outcome
    message: str


class NoAnswer(Exception):
    """Lambda has not run the function; the text is the error of AWS."""


class Asleep(Exception):
    """Lambda has not run the function, and makes it active."""


def invoke_awake(
    invoke: Callable[[], Mapping[str, Any]],
    configuration: Callable[[], Mapping[str, Any]],
    *,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    say: Callable[[str], None],
) -> Mapping[str, Any]:
    """Lambda's answer, of a function that may have to become active first.

    Args:
        invoke: Lambda's answer; raises `Asleep` or `NoAnswer`.
        configuration: What Lambda says about the function, with its `State`.
        clock: Seconds of a monotonic clock.
        sleep: Waits so many seconds.
        say: Shows one line of progress.

    Raises:
        NoAnswer: It cannot become active, or has not in `AWAKE_SECONDS`.
    """
    active, start = True, clock()
    while True:
        if active:
            try:
                return invoke()
            except Asleep:
                say("Lambda makes its roles function active, which slept")
        found = configuration()
        active = found.get("State") == "Active" and found.get("LastUpdateStatus") != "InProgress"
        said = f"Lambda says {found.get('State')}: {found.get('StateReason', 'no reason')}"
        if found.get("State") == "Failed":
            raise NoAnswer(said)
        if clock() - start >= AWAKE_SECONDS:
            raise NoAnswer(f"in {AWAKE_SECONDS} s it did not become active; {said}")
        sleep(POLL_SECONDS)


def run_function(
    server: str,
    log_group: str,
    *,
    invoke: Callable[[], Mapping[str, Any]],
    clock: Callable[[], float],
    say: Callable[[str], None],
    sign_of_life_seconds: float = SIGN_OF_LIFE_SECONDS,
) -> Verdict:
    """Invoke a function, and show progress while it runs.

    Args:
        server: Name of the server, for messages.
        log_group: The function's log group, for messages.
        invoke: Lambda's answer, with `FunctionError` where it has one and the `Payload` as bytes; raises
            `NoAnswer`.
        clock: Seconds of a monotonic clock.
        say: Shows one line of progress.
        sign_of_life_seconds: How often progress is shown, in seconds.
    """
    say(f"{server}: its roles function is at work")
    start = clock()
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        answer = threads.submit(invoke)
        while not concurrent.futures.wait([answer], timeout=sign_of_life_seconds).done:
            say(f"{server}: its roles function is at work ({clock() - start:.0f} s)")
        try:
            found = verdict(server, log_group, answer.result())
        except NoAnswer as error:
            found = Verdict(outcome="no-answer", message=f"{server}: its roles function did not run: {error}")
    return dataclasses.replace(found, message=shown(found.message))


def verdict(server: str, log_group: str, answer: Mapping[str, Any]) -> Verdict:
    """The verdict of Lambda's answer."""
    log = f"its log is in {log_group}"
    try:
        payload = json.loads(answer["Payload"])
    except ValueError:
        payload = None
    report = payload if isinstance(payload, dict) else {}
    if answer.get("FunctionError"):
        error = (
            f"{report.get('errorType', answer['FunctionError'])}: {report.get('errorMessage', 'no message')}"
        )
        return Verdict(outcome="failed", message=f"{server}: its roles function broke down: {error} ({log})")
    outcome, message = report.get("outcome"), str(report.get("message"))
    if report.get("schemaVersion") == SCHEMA_VERSION:
        if outcome == "applied":
            return Verdict(outcome="applied", message=message)
        if outcome == "refused":
            return Verdict(
                outcome="refused", message=f"{server}: its roles function refused: {message} ({log})"
            )
        if outcome == "failed":
            return Verdict(
                outcome="failed", message=f"{server}: its roles function failed: {message} ({log})"
            )
    return Verdict(
        outcome="failed", message=f"{server}: its roles function answers something else: {payload!r} ({log})"
    )


class FunctionRunProvider(dynamic.ResourceProvider):
    """Runs a function; a refusal raises nothing.

    What a dynamic provider raises is shown with the SDK's traceback, and a refused run would be
    forgotten: the outcome is an output instead, `FunctionRun.applied` makes it an error of the program,
    and as long as it is not `applied` the next `up` runs the function again.
    """

    serialize_as_secret_always = False

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> dynamic.CheckResult:
        """Refuse another major release, which a preview shows."""
        before = _olds.get("major") or _configured_major(_olds)
        return dynamic.CheckResult(news, list(major_failures("rds", before, news["major"])))

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> dynamic.DiffResult:
        """Run again when the request changes, or when the last outcome was not `applied`."""
        changed = any(_olds.get(key) != _news.get(key) for key in _WAITED_FOR)
        return dynamic.DiffResult(changes=changed or _olds.get("outcome") != "applied")

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Run it for the first time."""
        return dynamic.CreateResult(f"{props['function']}/{props['server']}", self._run(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> dynamic.UpdateResult:
        """Run it again."""
        return dynamic.UpdateResult(self._run(_news))

    def _run(self, props: dict[str, Any]) -> dict[str, Any]:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        def say(line: str) -> None:
            print(line, file=sys.stderr, flush=True)

        def invoke() -> Mapping[str, Any]:
            try:
                client = boto3.client(
                    "lambda",
                    region_name=props["region"],
                    config=Config(
                        connect_timeout=_CONNECT_SECONDS,
                        read_timeout=_READ_SECONDS,
                        # A retry would run beside the invocation that is still running.
                        retries={"total_max_attempts": 1, "mode": "standard"},
                        tcp_keepalive=True,
                    ),
                )
                return invoke_awake(
                    lambda: call(client),
                    lambda: client.get_function_configuration(FunctionName=props["function"]),
                    clock=time.monotonic,
                    sleep=time.sleep,
                    say=lambda words: say(f"{props['server']}: {words}"),
                )
            except (BotoCoreError, ClientError) as error:
                raise NoAnswer(str(error)) from error

        def call(client: Any) -> Mapping[str, Any]:
            try:
                answer = client.invoke(FunctionName=props["function"], Payload=props["event"].encode())
                return {"FunctionError": answer.get("FunctionError"), "Payload": answer["Payload"].read()}
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in ASLEEP:
                    raise Asleep from error
                raise

        found = run_function(props["server"], props["logGroup"], invoke=invoke, clock=time.monotonic, say=say)
        return {
            **{key: props[key] for key in _WAITED_FOR},
            "outcome": found.outcome,
            "message": found.message,
        }


def _configured_major(inputs: Mapping[str, Any]) -> Any:
    """The major release in the configuration, of a run from before it was an input."""
    return json.loads(inputs.get("configuration") or "{}").get("major")


class FunctionRun(dynamic.Resource, module="passwordless-postgres", name="FunctionRun"):
    """One function's answer to one event."""

    outcome: pulumi.Output[str]
    message: pulumi.Output[str]

    def __init__(self, name: str, args: FunctionRunArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Run the function."""
        super().__init__(
            FunctionRunProvider(),
            name,
            {
                "region": args.region,
                "function": args.function,
                "server": args.server,
                "logGroup": args.log_group,
                "artifactSha256": args.artifact_sha256,
                "resourceId": args.resource_id,
                "configuration": args.configuration,
                "event": args.event,
                "major": args.major,
                "outcome": None,
                "message": None,
            },
            opts,
        )

    def applied(self, value: pulumi.Input[Any]) -> pulumi.Output[Any]:
        """`value`, once the function has applied the event.

        Resolving it raises `pulumi.RunError` with the function's own words if it has not.
        """
        return pulumi.Output.all(value=value, outcome=self.outcome, message=self.message).apply(
            lambda values: applied_value(**values)
        )


def applied_value(value: Any, outcome: str | None, message: str | None) -> Any:
    """`value` where the outcome is `applied`.

    Raises:
        pulumi.RunError: The function has not brought it about; the text is the message.
    """
    if outcome != "applied" and not pulumi.runtime.is_dry_run():
        raise pulumi.RunError(message or f"no answer: outcome {outcome!r}")
    return value
