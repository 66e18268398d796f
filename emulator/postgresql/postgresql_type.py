"""What all types of the postgresql stand-in have in common.

State is compared with configuration as bridged Terraform providers do it: they compare the outputs of the
last deployment or refresh with the new inputs, not the old inputs: so what a refresh found different is
changed back by the next update.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from emulator.core.properties import UNKNOWN, contains_unknown
from emulator.core.request import Request
from emulator.core.resource_type import (
    Diff,
    Failure,
    PartlyCreated,
    Properties,
    Refused,
    ResourceType,
    State,
)
from emulator.postgresql.connection import Server


@dataclass(frozen=True, kw_only=True)
class Argument:
    """One argument of a resource.

    Attributes:
        default: Value when it is not given.
        computed: Whether the server decides when it is not given; then its absence is no difference.
        replaces: Whether a change replaces the resource.
        unordered: Whether it is a set.
        minimum: Least number allowed.
        allowed: Texts allowed.
    """

    default: Any = None
    computed: bool = False
    replaces: bool = False
    unordered: bool = False
    minimum: int | None = None
    allowed: tuple[str, ...] = ()


class PostgresqlType(ResourceType):
    """A resource with declared arguments. `autonamed` ones get a name when they have none."""

    arguments: ClassVar[Mapping[str, Argument]]
    autonamed: ClassVar[bool] = False

    # What subclasses say. `wanted` and `state` have all arguments; what the server decides may be None.

    @abstractmethod
    def make(self, server: Server, wanted: Properties) -> tuple[str, Properties]:
        """Creates; returns the id and what is known of the resource."""

    @abstractmethod
    def find(self, server: Server, resource_id: str, state: Properties) -> Properties | None:
        """The state as the catalogue has it, None when the resource is gone."""

    def alter(self, server: Server, old: Properties, wanted: Properties) -> tuple[str, Properties]:
        """Changes what differs; returns what `make` does. Types that only replace need none."""
        raise NotImplementedError

    @abstractmethod
    def drop(self, server: Server, resource_id: str, state: Properties) -> None:
        """Deletes; what is gone already is no error."""

    def outputs(self, server: Server, resource_id: str, state: Properties) -> Properties:
        """Outputs after a creation or a change."""
        return self.find(server, resource_id, state) or state

    # What the protocol asks.

    def create(self, request: Request) -> tuple[str, Properties]:
        if request.preview:
            return "", self.planned(request.inputs)
        server = server_of(request)
        resource_id, state = self.make(server, self.given(request.inputs))
        try:
            return resource_id, self.outputs(server, resource_id, state)
        except Refused as error:
            raise PartlyCreated(str(error), resource_id, state) from error

    def read(self, request: Request) -> State | None:
        found = self.find(server_of(request), request.id, self._recorded(request))
        return None if found is None else State(id=request.id, inputs=request.inputs or found, outputs=found)

    def update(self, request: Request) -> Properties:
        if request.preview:
            return {**request.outputs, **request.inputs}
        server, wanted = server_of(request), self.given(request.inputs)
        for name, argument in self.arguments.items():
            if argument.computed and wanted[name] is None:
                wanted[name] = request.outputs.get(name)
        return self.outputs(server, *self.alter(server, request.outputs, wanted))

    def delete(self, request: Request) -> None:
        self.drop(server_of(request), request.id, self._recorded(request))

    def _recorded(self, request: Request) -> dict[str, Any]:
        return {**self.given(request.inputs), **request.outputs}

    def check(self, request: Request) -> tuple[Properties, Sequence[Failure]]:
        """Names the resource, and refuses arguments that do not exist or are out of range."""
        failures = []
        for name, value in request.inputs.items():
            if name.startswith("__") or value is UNKNOWN:
                continue
            argument = self.arguments.get(name)
            if argument is None:
                reason = f"not in this sandbox yet; it has {', '.join(sorted(self.arguments))}"
            elif argument.allowed and value not in argument.allowed:
                reason = f"expected {name} to be one of {list(argument.allowed)}, got {value!r}"
            elif argument.minimum is not None and value < argument.minimum:
                reason = f"expected {name} to be at least ({argument.minimum}), got {value}"
            else:
                continue
            failures.append(Failure(name, reason))
        return (request.autoname() if self.autonamed else request.inputs), failures

    def diff(self, request: Request) -> Diff:
        """Compares old outputs with new inputs."""
        changes = [
            name
            for name, argument in self.arguments.items()
            if self._differs(argument, request.outputs.get(name), request.inputs.get(name))
        ]
        return Diff(
            changes=changes,
            replaces=[name for name in changes if self.arguments[name].replaces],
            delete_before_replace=self.delete_before_replace,
        )

    def _differs(self, argument: Argument, old: Any, new: Any) -> bool:
        if new is None and argument.computed:
            return False
        wanted = argument.default if new is None else new
        if contains_unknown(wanted):
            return True
        if argument.unordered:
            return set(old or ()) != set(wanted or ())
        # Terraform's zero values: an absent text or list and an empty one are the same.
        return (old or None) != (wanted or None)

    def planned(self, inputs: Properties) -> dict[str, Any]:
        """All arguments with their defaults; what the server decides is `UNKNOWN`."""
        return {
            name: inputs.get(name, UNKNOWN if argument.computed else argument.default)
            for name, argument in self.arguments.items()
        }

    def given(self, inputs: Properties) -> dict[str, Any]:
        """All arguments with their defaults; what the server decides is None."""
        return {name: inputs.get(name, argument.default) for name, argument in self.arguments.items()}


def server_of(request: Request) -> Server:
    """The server of the provider instance that a call belongs to."""
    return request.configuration["server"]
