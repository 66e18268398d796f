"""Log groups, kept on the endpoint; alarms, recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from emulator.core.aws_type import AwsRequest, AwsType, choice_problem, given, pattern_problem, text
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.core.service_errors import service_call

_RETENTIONS = (
    0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
)  # fmt: skip
_COMPARISONS = (
    "GreaterThanOrEqualToThreshold",
    "GreaterThanThreshold",
    "LessThanThreshold",
    "LessThanOrEqualToThreshold",
    "LessThanLowerOrGreaterThanUpperThreshold",
    "LessThanLowerThreshold",
    "GreaterThanUpperThreshold",
)


class LogGroup(AwsType):
    """`cloudwatch.LogGroup`."""

    token = "aws:cloudwatch/logGroup:LogGroup"
    defaults: ClassVar[Mapping[str, Any]] = {"retentionInDays": 0, "skipDestroy": False}
    name_property = "name"
    name_maximum = 512
    replace_on = frozenset({"name", "namePrefix", "logGroupClass", "region"})

    def resource_id(self, request: AwsRequest) -> Any:
        """The name."""
        if request.inputs.get("name") is not None:
            return request.inputs["name"]
        return text(request.inputs["namePrefix"], request.digest("name")[:26])

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Form of the name, retention periods that CloudWatch knows."""
        yield from choice_problem(inputs, "retentionInDays", _RETENTIONS)
        yield from choice_problem(inputs, "logGroupClass", ("STANDARD", "INFREQUENT_ACCESS", "DELIVERY"))
        words = "a-zA-Z0-9_-/.# are allowed"
        yield from pattern_problem(inputs, "name", r"(?!aws/)[.\-_/#A-Za-z0-9]{1,512}", words)

    def refuse(self, request: AwsRequest) -> None:
        """A name that is taken."""
        if self.taken(request):
            raise Refused(
                f"creating CloudWatch Logs Log Group ({request.id}): api error "
                "ResourceAlreadyExistsException: The "
                "specified log group already exists"
            )

    def computed(self, request: AwsRequest) -> Properties:
        """The ARN, without the `:*` that AWS puts behind it."""
        return {
            "arn": request.arn("logs", text("log-group:", request.id)),
            "logGroupClass": given(request.inputs, "logGroupClass", "STANDARD"),
            "name": request.id,
        }

    def provision(self, request: AwsRequest) -> Properties:
        """Creates it."""
        client = self.endpoint.client("logs", request.region)
        accept = ("ResourceAlreadyExistsException",) if request.resumed else ()
        with service_call(f"creating CloudWatch Logs Log Group ({request.id})", accept=accept):
            client.create_log_group(logGroupName=request.id)
        self._retain(client, request.id, request.inputs)
        return {}

    def renew(self, request: AwsRequest) -> Properties:
        """Changes the retention."""
        self._retain(self.endpoint.client("logs", request.region), request.id, request.inputs)
        return {}

    def _retain(self, client: Any, name: str, inputs: Properties) -> None:
        days = int(inputs["retentionInDays"])
        with service_call(f"setting CloudWatch Logs Log Group ({name}) retention policy"):
            if days:
                client.put_retention_policy(logGroupName=name, retentionInDays=days)
            else:
                client.delete_retention_policy(logGroupName=name)

    def observe(self, request: AwsRequest) -> Properties | None:
        """Its retention."""
        groups = self.endpoint.client("logs").describe_log_groups(logGroupNamePrefix=request.id)["logGroups"]
        found = next((group for group in groups if group["logGroupName"] == request.id), None)
        return None if found is None else {"retentionInDays": found.get("retentionInDays", 0)}

    def dispose(self, request: AwsRequest) -> None:
        """Deletes it."""
        if request.inputs.get("skipDestroy"):
            return
        with service_call(
            f"deleting CloudWatch Logs Log Group ({request.id})", accept=("ResourceNotFoundException",)
        ):
            self.endpoint.client("logs").delete_log_group(logGroupName=request.id)


class MetricAlarm(AwsType):
    """`cloudwatch.MetricAlarm`; it never goes off."""

    token = "aws:cloudwatch/metricAlarm:MetricAlarm"
    required = ("comparisonOperator", "evaluationPeriods")
    defaults: ClassVar[Mapping[str, Any]] = {"actionsEnabled": True, "treatMissingData": "missing"}
    name_property = "name"
    replace_on = frozenset({"name", "region"})

    def resource_id(self, request: AwsRequest) -> Any:
        """The name."""
        return request.inputs["name"]

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Known words, and a metric or a query."""
        yield from choice_problem(inputs, "comparisonOperator", _COMPARISONS)
        yield from choice_problem(
            inputs, "treatMissingData", ("breaching", "ignore", "missing", "notBreaching")
        )
        if (inputs.get("metricName") is None) == (inputs.get("metricQueries") is None):
            yield Failure("metricName", "one of `metric_name,metric_query` must be specified")

    def computed(self, request: AwsRequest) -> Properties:
        """ARN."""
        return {"arn": request.arn("cloudwatch", text("alarm:", request.id))}
