"""Log groups, kept on the endpoint; alarms, recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from emulator.core.aws_type import AwsType, Resource, choice_problem, given, pattern_problem, text
from emulator.core.registry import Record
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

    def resource_id(self, resource: Resource, inputs: Properties) -> Any:
        """The name."""
        if inputs.get("name") is not None:
            return inputs["name"]
        return text(inputs["namePrefix"], resource.digest("name")[:26])

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Form of the name, retention periods that CloudWatch knows."""
        yield from choice_problem(inputs, "retentionInDays", _RETENTIONS)
        yield from choice_problem(inputs, "logGroupClass", ("STANDARD", "INFREQUENT_ACCESS", "DELIVERY"))
        words = "a-zA-Z0-9_-/.# are allowed"
        yield from pattern_problem(inputs, "name", r"(?!aws/)[.\-_/#A-Za-z0-9]{1,512}", words)

    def refuse(self, resource: Resource, resource_id: str, inputs: Properties) -> None:
        """A name that is taken."""
        del inputs
        if self.taken(resource, resource_id):
            raise Refused(
                f"creating CloudWatch Logs Log Group ({resource_id}): api error "
                "ResourceAlreadyExistsException: The "
                "specified log group already exists"
            )

    def computed(self, resource: Resource, resource_id: Any, inputs: Properties) -> Properties:
        """The ARN, without the `:*` that AWS puts behind it."""
        return {
            "arn": resource.arn("logs", text("log-group:", resource_id)),
            "logGroupClass": given(inputs, "logGroupClass", "STANDARD"),
            "name": resource_id,
        }

    def provision(self, resource: Resource, resource_id: str, inputs: Properties) -> Properties:
        """Creates it."""
        client = self.endpoint.client("logs", resource.region)
        accept = ("ResourceAlreadyExistsException",) if resource.resumed else ()
        with service_call(f"creating CloudWatch Logs Log Group ({resource_id})", accept=accept):
            client.create_log_group(logGroupName=resource_id)
        self._retain(client, resource_id, inputs)
        return {}

    def renew(
        self,
        resource: Resource,
        resource_id: str,
        old_inputs: Properties,
        inputs: Properties,
        outputs: Properties,
    ) -> Properties:
        """Changes the retention."""
        del old_inputs, outputs
        self._retain(self.endpoint.client("logs", resource.region), resource_id, inputs)
        return {}

    def _retain(self, client: Any, name: str, inputs: Properties) -> None:
        days = int(inputs["retentionInDays"])
        with service_call(f"setting CloudWatch Logs Log Group ({name}) retention policy"):
            if days:
                client.put_retention_policy(logGroupName=name, retentionInDays=days)
            else:
                client.delete_retention_policy(logGroupName=name)

    def observe(self, resource_id: str, record: Record) -> Properties | None:
        """Its retention."""
        del record
        groups = self.endpoint.client("logs").describe_log_groups(logGroupNamePrefix=resource_id)["logGroups"]
        found = next((group for group in groups if group["logGroupName"] == resource_id), None)
        return None if found is None else {"retentionInDays": found.get("retentionInDays", 0)}

    def dispose(self, resource_id: str, inputs: Properties, outputs: Properties) -> None:
        """Deletes it."""
        del outputs
        if inputs.get("skipDestroy"):
            return
        with service_call(
            f"deleting CloudWatch Logs Log Group ({resource_id})", accept=("ResourceNotFoundException",)
        ):
            self.endpoint.client("logs").delete_log_group(logGroupName=resource_id)


class MetricAlarm(AwsType):
    """`cloudwatch.MetricAlarm`; it never goes off."""

    token = "aws:cloudwatch/metricAlarm:MetricAlarm"
    required = ("comparisonOperator", "evaluationPeriods")
    defaults: ClassVar[Mapping[str, Any]] = {"actionsEnabled": True, "treatMissingData": "missing"}
    name_property = "name"
    replace_on = frozenset({"name", "region"})

    def resource_id(self, resource: Resource, inputs: Properties) -> Any:
        """The name."""
        del resource
        return inputs["name"]

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Known words, and a metric or a query."""
        yield from choice_problem(inputs, "comparisonOperator", _COMPARISONS)
        yield from choice_problem(
            inputs, "treatMissingData", ("breaching", "ignore", "missing", "notBreaching")
        )
        if (inputs.get("metricName") is None) == (inputs.get("metricQueries") is None):
            yield Failure("metricName", "one of `metric_name,metric_query` must be specified")

    def computed(self, resource: Resource, resource_id: Any, inputs: Properties) -> Properties:
        """ARN."""
        del inputs
        return {"arn": resource.arn("cloudwatch", text("alarm:", resource_id))}
