"""Subscriptions to the events of RDS. Recorded: nothing here happens that they would tell of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from emulator.core.aws_type import AwsRequest, AwsType, choice_problem, pattern_problem, text
from emulator.core.credentials import ACCOUNT
from emulator.core.resource_type import Failure, Properties

_SOURCES = (
    "blue-green-deployment", "custom-engine-version", "db-cluster", "db-cluster-snapshot", "db-instance",
    "db-parameter-group", "db-proxy", "db-security-group", "db-shard-group", "db-snapshot",
)  # fmt: skip


class EventSubscription(AwsType):
    """`rds.EventSubscription`."""

    token = "aws:rds/eventSubscription:EventSubscription"
    required = ("snsTopic",)
    defaults: ClassVar[Mapping[str, Any]] = {"enabled": True}
    name_property = "name"
    name_maximum = 255
    replace_on = frozenset({"name", "namePrefix", "region"})

    def resource_id(self, request: AwsRequest) -> Any:
        """The name."""
        return request.inputs["name"]

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Known sources, and a topic."""
        yield from choice_problem(inputs, "sourceType", _SOURCES)
        yield from pattern_problem(inputs, "snsTopic", r"arn:aws[a-z-]*:sns:.+", "the ARN of a topic")

    def computed(self, request: AwsRequest) -> Properties:
        """ARN."""
        return {"arn": request.arn("rds", text("es:", request.id)), "customerAwsId": ACCOUNT}
