"""Schedules of EventBridge Scheduler: each calls a Lambda function at a rate, as the role that it names."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from botocore.exceptions import BotoCoreError, ClientError

from emulator.core.aws_type import AwsRequest, AwsType
from emulator.core.checks import matching, one_of
from emulator.core.model import ResourceModel
from emulator.core.registry import Registry
from emulator.core.resource_type import Properties, Refused
from emulator.endpoint.aws_endpoint import AwsEndpoint
from emulator.iam.authoriser import trusts_service
from emulator.lambda_.service import Functions

SECONDS_PER_MINUTE = 60.0

_MINUTES = {"minute": 1, "hour": 60, "day": 1440}
_log = logging.getLogger(__name__)


class Target(ResourceModel):
    """What is called, with which event and as which role."""

    arn: str
    role_arn: str
    input: str = "{}"


class Schedule(ResourceModel):
    """A schedule that calls its target at a rate."""

    name: str
    region: str
    schedule_expression: str
    state: str
    target: Target

    @property
    def seconds(self) -> float:
        """Time between two calls."""
        value, unit = self.schedule_expression[len("rate(") : -1].split()
        return int(value) * _MINUTES[unit.removesuffix("s")] * SECONDS_PER_MINUTE


class ScheduleType(AwsType):
    """`scheduler.Schedule`."""

    token = "aws:scheduler/schedule:Schedule"
    required = ("flexibleTimeWindow", "scheduleExpression", "target")
    defaults: ClassVar[Mapping[str, Any]] = {
        "groupName": "default", "scheduleExpressionTimezone": "UTC", "state": "ENABLED",
    }  # fmt: skip
    checks: ClassVar = {
        "name": (matching(r"[0-9a-zA-Z-_.]{1,64}", "letters, digits, - _ and . are allowed, 64 at most"),),
        "scheduleExpression": (
            matching(r"rate\([1-9][0-9]* (minute|hour|day)s?\)", "the sandbox has rate(n minutes) alone"),
        ),
        "flexibleTimeWindow.mode": (one_of("OFF", "FLEXIBLE"),),
        "state": (one_of("ENABLED", "DISABLED"),),
        "target.arn": (matching(r"arn:aws:lambda:.+", "the sandbox calls Lambda functions alone"),),
    }
    id_inputs = ("groupName", "name")
    id_separator = "/"
    arn_format = ("scheduler", "schedule/{id}")
    name_taken = "creating EventBridge Scheduler Schedule: ConflictException: Schedule {name} already exists."
    name_property = "name"
    name_maximum = 64
    replace_on = ("groupName", "name")
    taggable = False
    provision_again = True

    def __init__(self, endpoint: AwsEndpoint, registry: Registry, services: Sequence[object] = ()) -> None:
        super().__init__(endpoint, registry, services)
        self._current: dict[str, Schedule] = {}
        for record in registry.of_type(self.token) if self.running(Functions) else ():
            self._begin(record.id, Schedule.declared(record.inputs, region=record.outputs["region"]))

    def provision(self, request: AwsRequest) -> Properties:
        """Begins or changes it."""
        schedule = Schedule.declared(request.inputs, region=request.region)
        role = self.endpoint.role(schedule.target.role_arn.rsplit("/", 1)[-1])
        if role is None or not trusts_service(role.trust_policy, "scheduler.amazonaws.com"):
            raise Refused(
                f"EventBridge Scheduler Schedule ({request.id}): ValidationException: The execution role you "
                "provide must allow AWS EventBridge Scheduler to assume the role."
            )
        self._begin(request.id, schedule)
        return {"region": request.region}

    def dispose(self, request: AwsRequest) -> None:
        """Ends it."""
        self._current.pop(request.id, None)

    def _begin(self, schedule_id: str, schedule: Schedule) -> None:
        self._current[schedule_id] = schedule
        threading.Thread(target=self._run, args=(schedule_id, schedule), daemon=True).start()

    def _run(self, schedule_id: str, schedule: Schedule) -> None:
        ended = self.service(Functions).ended
        while not ended.wait(schedule.seconds) and self._current.get(schedule_id) is schedule:
            role = self.endpoint.role(schedule.target.role_arn.rsplit("/", 1)[-1])
            if role is None or schedule.state == "DISABLED":
                continue
            key = self.endpoint.credentials.issue(role.session(schedule.name, 900))
            try:
                client = self.endpoint.client("lambda", schedule.region, key)
                client.invoke(FunctionName=schedule.target.arn, Payload=schedule.target.input.encode())
            except (ClientError, BotoCoreError) as error:
                _log.warning("schedule %s: %s", schedule_id, error)
