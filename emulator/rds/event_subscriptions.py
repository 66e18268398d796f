"""Subscriptions to the events of RDS. Recorded: the sandbox sends no events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from emulator.core.aws_type import AwsType
from emulator.core.checks import matching, one_of
from emulator.endpoint.credentials import ACCOUNT

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
    arn_format = ("rds", "es:{id}")
    checks: ClassVar = {
        "sourceType": (one_of(*_SOURCES),),
        "snsTopic": (matching(r"arn:aws[a-z-]*:sns:.+", "the ARN of a topic"),),
    }
    output_defaults: ClassVar[Mapping[str, Any]] = {"customerAwsId": ACCOUNT}
    replace_on = ("name", "namePrefix")
