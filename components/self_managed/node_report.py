"""The machine's report about its desired state, as a resource that `pulumi up` waits for."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi import dynamic

from components.major_change import major_failures
from components.report_wait import applied_value, read_report
from components.self_managed.report_wait import Expected, Verdict, wait_for_report
from node.desired_state import Report

_WAITED_FOR = ("region", "bucket", "key", "server", "serial", "manifestSha256", "instance")


@dataclass(frozen=True, kw_only=True)
class NodeReportArgs:
    """Arguments of `NodeReport`.

    Attributes:
        region: Region of the bucket.
        account_id: Account of the bucket; not waited for again when only this changes.
        bucket: Name of the desired-state bucket.
        key: Key of the report in it.
        server: Name of the server, for messages.
        serial: Serial of the desired state.
        manifest_sha256: SHA-256 of its manifest.
        instance: Id of the EC2 instance that must answer.
        deadline_seconds: How long to wait. Not waited for again when only this changes.
        major: Major release of the server; another one is refused.
    """

    region: pulumi.Input[str]
    account_id: pulumi.Input[str]
    bucket: pulumi.Input[str]
    key: str
    server: str
    serial: pulumi.Input[int]
    manifest_sha256: pulumi.Input[str]
    instance: pulumi.Input[str]
    deadline_seconds: int
    major: int


class NodeReportProvider(dynamic.ResourceProvider):
    """Waits for a report; a refusal raises nothing.

    What a dynamic provider raises is shown with the SDK's traceback, and a refused update would be
    forgotten: the outcome is an output instead, `NodeReport.applied` makes it an error of the program,
    and as long as it is not `applied` the next `up` asks again.
    """

    serialize_as_secret_always = False

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> dynamic.CheckResult:
        """Refuse another major release, which a preview shows."""
        before = _olds.get("major")
        return dynamic.CheckResult(news, list(major_failures("selfManaged", before, news["major"])))

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> dynamic.DiffResult:
        """Wait again when the expected report changes, or when the last outcome was not `applied`."""
        changed = any(_olds.get(key) != _news.get(key) for key in _WAITED_FOR)
        return dynamic.DiffResult(changes=changed or _olds.get("outcome") != "applied")

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Wait for the first report."""
        return dynamic.CreateResult(f"{props['bucket']}/{props['key']}", self._wait(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> dynamic.UpdateResult:
        """Wait for the next report."""
        return dynamic.UpdateResult(self._wait(_news))

    def _wait(self, props: dict[str, Any]) -> dict[str, Any]:
        import boto3

        s3 = boto3.client("s3", region_name=props["region"])

        def fetch() -> Report | None:
            return read_report(s3, Report, props["bucket"], props["key"], props["accountId"])

        expected = Expected(
            server=props["server"],
            serial=int(props["serial"]),
            manifest_sha256=props["manifestSha256"],
            instance=props["instance"],
        )
        verdict = wait_for_report(
            expected,
            deadline_seconds=float(props["deadlineSeconds"]),
            fetch=fetch,
            clock=time.monotonic,
            sleep=time.sleep,
            say=lambda line: print(line, file=sys.stderr, flush=True),
        )
        return {**{key: props[key] for key in (*_WAITED_FOR, "deadlineSeconds")}, **report_outputs(verdict)}


def report_outputs(verdict: Verdict) -> dict[str, Any]:
    """The resource's outputs for a verdict."""
    report = verdict.report
    return {
        "outcome": verdict.outcome,
        "message": verdict.message,
        "serverVersion": report.server_version if report else None,
        "pendingRestart": list(report.pending_restart) if report else [],
    }


class NodeReport(dynamic.Resource, module="passwordless-postgres", name="NodeReport"):
    """One instance's report about one desired state."""

    outcome: pulumi.Output[str]
    message: pulumi.Output[str]

    def __init__(self, name: str, args: NodeReportArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Wait for the report."""
        super().__init__(
            NodeReportProvider(),
            name,
            {
                "region": args.region,
                "accountId": args.account_id,
                "bucket": args.bucket,
                "key": args.key,
                "server": args.server,
                "serial": args.serial,
                "manifestSha256": args.manifest_sha256,
                "instance": args.instance,
                "deadlineSeconds": args.deadline_seconds,
                "major": args.major,
                "outcome": None,
                "message": None,
                "serverVersion": None,
                "pendingRestart": None,
            },
            opts,
        )

    def applied(self, value: pulumi.Input[Any]) -> pulumi.Output[Any]:
        """`value`, once the machine has applied its desired state.

        Resolving it raises `pulumi.RunError` with the machine's own words if it has not.
        """
        return pulumi.Output.all(value=value, outcome=self.outcome, message=self.message).apply(
            lambda values: applied_value(**values)
        )

    @property
    def pending_restart(self) -> pulumi.Output[list[str]]:
        """Settings that wait for a restart of the server."""
        return pulumi.Output.from_input(pulumi.get(self, "pendingRestart")).apply(lambda names: names or [])

    @property
    def server_version(self) -> pulumi.Output[str | None]:
        """Version of PostgreSQL that the server reports."""
        return pulumi.get(self, "serverVersion")
