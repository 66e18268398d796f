"""The reports of a gateway's instances about its document, as a resource that `pulumi up` waits for."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi import dynamic

from components.gateway.document_wait import Expected, Fleet, compared, wait_for_document
from components.report_wait import UnreadableError, applied_value, read_report
from gateway.report import Report

_WAITED_FOR = ("region", "group", "bucket", "prefix", "gateway", "serial", "sha256")
IN_SERVICE = "InService"


@dataclass(frozen=True, kw_only=True)
class GatewayReportsArgs:
    """Arguments of `GatewayReports`.

    Attributes:
        region: Region of group and bucket.
        account_id: Account of the bucket; not waited for again when only this changes.
        group: Name of the auto scaling group.
        bucket: Name of the bucket with the reports.
        prefix: What their keys begin with; an instance's id follows.
        gateway: Name of the gateway, for messages.
        serial: Serial of the document.
        sha256: SHA-256 of the document.
        deadline_seconds: How long to wait. Not waited for again when only this changes.
    """

    region: pulumi.Input[str]
    account_id: pulumi.Input[str]
    group: pulumi.Input[str]
    bucket: pulumi.Input[str]
    prefix: pulumi.Input[str]
    gateway: str
    serial: pulumi.Input[int]
    sha256: pulumi.Input[str]
    deadline_seconds: int


class GatewayReportsProvider(dynamic.ResourceProvider):
    """Waits for the reports; like `NodeReportProvider` it raises nothing."""

    serialize_as_secret_always = False

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> dynamic.DiffResult:
        """Wait again when another document is expected, or when the last outcome was not `applied`."""
        changed = any(_olds.get(key) != _news.get(key) for key in _WAITED_FOR)
        return dynamic.DiffResult(changes=changed or _olds.get("outcome") != "applied")

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Wait for the first document."""
        return dynamic.CreateResult(f"{props['bucket']}/{props['prefix']}", self._wait(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> dynamic.UpdateResult:
        """Wait for the next document."""
        return dynamic.UpdateResult(self._wait(_news))

    def _wait(self, props: dict[str, Any]) -> dict[str, Any]:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError

        session = boto3.Session(region_name=props["region"])
        groups, objects = session.client("autoscaling"), session.client("s3")

        def fleet() -> Fleet:
            try:
                found = groups.describe_auto_scaling_groups(AutoScalingGroupNames=[props["group"]])
            except (BotoCoreError, ClientError) as error:
                raise UnreadableError(str(error)) from error
            if not found["AutoScalingGroups"]:
                raise UnreadableError(f"there is no auto scaling group {props['group']}")
            (group,) = found["AutoScalingGroups"]
            return Fleet(
                desired=group["DesiredCapacity"],
                in_service=tuple(
                    each["InstanceId"] for each in group["Instances"] if each["LifecycleState"] == IN_SERVICE
                ),
            )

        verdict = wait_for_document(
            expected(props),
            deadline_seconds=float(props["deadlineSeconds"]),
            fleet=fleet,
            report=lambda instance: read_own_report(props, instance, objects),
            clock=time.monotonic,
            sleep=time.sleep,
            say=lambda line: print(line, file=sys.stderr, flush=True),
        )
        kept = {key: props[key] for key in (*_WAITED_FOR, "accountId", "deadlineSeconds")}
        return {**kept, "outcome": verdict.outcome, "message": verdict.message}


class GatewayReports(dynamic.Resource, module="passwordless-postgres", name="GatewayReports"):
    """That all instances of a gateway serve one document."""

    outcome: pulumi.Output[str]
    message: pulumi.Output[str]

    def __init__(
        self, name: str, args: GatewayReportsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Wait for the reports."""
        super().__init__(
            GatewayReportsProvider(),
            name,
            {
                "region": args.region,
                "accountId": args.account_id,
                "group": args.group,
                "bucket": args.bucket,
                "prefix": args.prefix,
                "gateway": args.gateway,
                "serial": args.serial,
                "sha256": args.sha256,
                "deadlineSeconds": args.deadline_seconds,
                "outcome": None,
                "message": None,
            },
            opts,
        )

    def applied(self, value: pulumi.Input[Any]) -> pulumi.Output[Any]:
        """`value`, once all instances serve the document.

        Resolving it raises `pulumi.RunError` with the instances' own words if they do not.
        """
        return pulumi.Output.all(value=value, outcome=self.outcome, message=self.message).apply(
            lambda values: applied_value(**values)
        )


def expected(props: dict[str, Any]) -> Expected:
    """The document that these properties wait for."""
    return Expected(gateway=props["gateway"], serial=int(props["serial"]), sha256=props["sha256"])


def read_own_report(props: dict[str, Any], instance: str, objects: Any) -> Report | None:
    """The newest report of one instance.

    Raises:
        UnreadableError: AWS refuses, or it is no report.
    """
    return read_report(objects, Report, props["bucket"], f"{props['prefix']}{instance}", props["accountId"])


def served(outputs: dict[str, Any], instance: str, objects: Any) -> str:
    """What an instance says that it serves, and whether that was deployed.

    Args:
        outputs: Outputs of the `GatewayReports`.
        instance: Id of the instance.
        objects: boto3's client of S3.
    """
    try:
        return compared(expected(outputs), instance, read_own_report(outputs, instance, objects))
    except UnreadableError as error:
        return str(error)
