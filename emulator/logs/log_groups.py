"""CloudWatch Logs: log groups, kept on the endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from emulator.core.aws_type import AwsRequest, AwsType
from emulator.core.checks import matching, one_of
from emulator.core.resource_type import Properties
from emulator.core.service_errors import service_call

_RETENTIONS = (
    0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
)  # fmt: skip


class LogGroup(AwsType):
    """`cloudwatch.LogGroup`. Its ARN is without the `:*` that AWS puts behind it."""

    token = "aws:cloudwatch/logGroup:LogGroup"
    defaults: ClassVar[Mapping[str, Any]] = {"retentionInDays": 0, "skipDestroy": False}
    name_property = "name"
    name_maximum = 512
    name_taken = (
        "creating CloudWatch Logs Log Group ({id}): api error ResourceAlreadyExistsException: The specified "
        "log group already exists"
    )
    arn_format = ("logs", "log-group:{id}")
    checks: ClassVar = {
        "retentionInDays": (one_of(*_RETENTIONS),),
        "logGroupClass": (one_of("STANDARD", "INFREQUENT_ACCESS", "DELIVERY"),),
        "name": (matching(r"(?!aws/)[.\-_/#A-Za-z0-9]{1,512}", "a-zA-Z0-9_-/.# are allowed"),),
    }
    output_defaults: ClassVar[Mapping[str, Any]] = {"logGroupClass": "STANDARD"}
    replace_on = ("name", "namePrefix", "logGroupClass")

    def provision(self, request: AwsRequest) -> Properties:
        accept = ("ResourceAlreadyExistsException",) if request.resumed else ()
        with service_call(f"creating CloudWatch Logs Log Group ({request.id})", accept=accept):
            self.endpoint.client("logs", request.region).create_log_group(logGroupName=request.id)
        return self.renew(request)

    def renew(self, request: AwsRequest) -> Properties:
        client = self.endpoint.client("logs", request.region)
        days = int(request.inputs["retentionInDays"])
        with service_call(f"setting CloudWatch Logs Log Group ({request.id}) retention policy"):
            if days:
                client.put_retention_policy(logGroupName=request.id, retentionInDays=days)
            else:
                client.delete_retention_policy(logGroupName=request.id)
        return {}

    def observe(self, request: AwsRequest) -> Properties | None:
        groups = self.endpoint.client("logs").describe_log_groups(logGroupNamePrefix=request.id)["logGroups"]
        found = next((group for group in groups if group["logGroupName"] == request.id), None)
        return None if found is None else {"retentionInDays": found.get("retentionInDays", 0)}

    def dispose(self, request: AwsRequest) -> None:
        if request.inputs.get("skipDestroy"):
            return
        accept = ("ResourceNotFoundException",)
        with service_call(f"deleting CloudWatch Logs Log Group ({request.id})", accept=accept):
            self.endpoint.client("logs").delete_log_group(logGroupName=request.id)
