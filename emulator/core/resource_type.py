"""What a stand-in provider says about one type of resource."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from emulator.core.autonaming import Autonaming, keep_or_make_name
from emulator.core.properties import UNKNOWN

Properties = Mapping[str, Any]


class Refused(Exception):
    """A refusal that the user sees as it stands, as the real provider would give it."""


class PartlyCreated(Refused):
    """Creation failed after something exists: the engine keeps id and outputs, and tries again later.

    Args:
        message: What went wrong.
        resource_id: Id of what exists.
        outputs: Its properties.
    """

    def __init__(self, message: str, resource_id: str, outputs: Properties) -> None:
        """See the class."""
        super().__init__(message)
        self.resource_id = resource_id
        self.outputs = outputs


@dataclass(frozen=True, kw_only=True)
class Call:
    """Circumstances of one call.

    Attributes:
        urn: URN of the resource; empty for invokes.
        type_token: Type token, or the function's token for invokes.
        name: Logical name of the resource.
        configuration: Configuration of the provider instance that this call belongs to, secrets revealed.
        preview: True while nothing may be changed.
        random_seed: Seed for `autoname`; only in `check`.
        autonaming: The engine's proposal; only in `check`.
    """

    urn: str = ""
    type_token: str = ""
    name: str = ""
    configuration: Properties = field(default_factory=dict, repr=False)
    preview: bool = False
    random_seed: bytes = field(default=b"", repr=False)
    autonaming: Autonaming | None = None

    def autoname(
        self, inputs: Properties, olds: Properties, property_name: str = "name", maximum: int = 63
    ) -> dict[str, Any]:
        """`inputs` with a name, in `check`: the given, else the old one, else one from the engine's seed."""
        return keep_or_make_name(
            inputs,
            olds,
            self.name,
            self.random_seed,
            property_name=property_name,
            autonaming=self.autonaming,
            maximum=maximum,
        )


@dataclass(frozen=True)
class Failure:
    """An input that is refused in a preview already: the engine prints the property and the reason."""

    property: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Diff:
    """Difference between what exists and what is wanted.

    Attributes:
        changes: Names of the properties that differ; empty means unchanged.
        replaces: Those of them that need a replacement.
        delete_before_replace: Whether the old one must go first.
    """

    changes: Sequence[str] = ()
    replaces: Sequence[str] = ()
    delete_before_replace: bool = False


@dataclass(frozen=True, kw_only=True)
class State:
    """A resource as `read` finds it: `inputs` as a program would write them, and all `outputs`."""

    id: str
    inputs: Properties
    outputs: Properties


class ResourceType(ABC):
    """One type of resource. Subclasses set `token` and implement `create`; the rest has defaults.

    All values are plain Python values with camelCase names as on the wire: secrets are revealed (the servicer
    marks same-named outputs secret again; wrap others in `Secret`), what a preview does not know is
    `UNKNOWN`, blobs are `Asset` and `Archive`. Raise `Refused` for what the real provider refuses. One
    instance serves all calls, from many threads.

    Attributes:
        token: Pulumi type token, such as `tls:index/privateKey:PrivateKey`.
        replace_on: Inputs whose change replaces the resource (default diff).
        delete_before_replace: Whether replacements delete first (default diff).
        secret_outputs: Outputs that are secret whatever the inputs were.
    """

    token: ClassVar[str]
    replace_on: ClassVar[frozenset[str]] = frozenset()
    delete_before_replace: ClassVar[bool] = False
    secret_outputs: ClassVar[frozenset[str]] = frozenset()

    def check(self, call: Call, inputs: Properties, olds: Properties) -> tuple[Properties, Sequence[Failure]]:
        """Validates and completes inputs. `olds` are the inputs of the last deployment, empty on creation."""
        del call, olds
        return inputs, ()

    def diff(
        self,
        call: Call,
        resource_id: str,
        old_inputs: Properties,
        old_outputs: Properties,
        inputs: Properties,
    ) -> Diff:
        """Compares; the default compares old and new inputs and replaces when one of `replace_on` differs."""
        del call, resource_id, old_outputs
        changes = changed(old_inputs, inputs)
        return Diff(
            changes=changes,
            replaces=[name for name in changes if name in self.replace_on],
            delete_before_replace=self.delete_before_replace,
        )

    @abstractmethod
    def create(self, call: Call, inputs: Properties) -> tuple[str, Properties]:
        """Creates and returns id and outputs. With `call.preview` it changes nothing, returns what is known.

        An id that a preview cannot know is the empty string, an output `UNKNOWN`.
        """

    def read(self, call: Call, resource_id: str, inputs: Properties, outputs: Properties) -> State | None:
        """What exists now, or None when it is gone; by default what state says. Imports have no inputs."""
        del call
        return State(id=resource_id, inputs=inputs, outputs=outputs)

    def update(
        self,
        call: Call,
        resource_id: str,
        old_inputs: Properties,
        old_outputs: Properties,
        inputs: Properties,
    ) -> Properties:
        """Changes in place and returns all outputs. With `call.preview` it changes nothing."""
        del call, resource_id, old_inputs
        return {**old_outputs, **inputs}

    def delete(self, call: Call, resource_id: str, inputs: Properties, outputs: Properties) -> None:
        """Deletes; what is gone already is no error. The default has nothing to delete."""
        del call, resource_id, inputs, outputs


def changed(old: Properties, new: Properties) -> list[str]:
    """Names of the properties that differ, sorted. An unknown new value counts as different."""
    return [
        name
        for name in sorted({*old, *new})
        if not name.startswith("__") and (new.get(name) is UNKNOWN or old.get(name) != new.get(name))
    ]
