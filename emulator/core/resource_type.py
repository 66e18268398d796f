"""What a stand-in provider says about one type of resource."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

from emulator.core.properties import UNKNOWN
from emulator.core.request import Properties, Request


class Refused(Exception):
    """A refusal that the user sees as it stands, as the real provider would give it."""


class PartlyCreated(Refused):
    """Creation failed after something exists: the engine keeps id and outputs, and tries again later.

    Args:
        resource_id: Id of what exists.
    """

    def __init__(self, message: str, resource_id: str, outputs: Properties) -> None:
        super().__init__(message)
        self.resource_id = resource_id
        self.outputs = outputs


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

    Values are plain Python values: secrets are revealed (the protocol marks outputs of the same name secret
    again; wrap others in `Secret`), what a preview does not know is `UNKNOWN`, blobs are `Asset` and
    `Archive`. Raise `Refused` for what the real provider refuses. One instance serves all calls, from many
    threads.

    Attributes:
        token: Pulumi type token, such as `tls:index/privateKey:PrivateKey`.
        replace_on: Inputs whose change replaces the resource (default diff).
        delete_before_replace: Whether replacements delete first (default diff).
        secret_outputs: Outputs that are secret whatever the inputs were.
    """

    token: ClassVar[str]
    replace_on: ClassVar[Collection[str]] = ()
    delete_before_replace: ClassVar[bool] = False
    secret_outputs: ClassVar[frozenset[str]] = frozenset()

    def check(self, request: Request) -> tuple[Properties, Sequence[Failure]]:
        """Validates and completes inputs. On creation there are no `old_inputs`."""
        return request.inputs, ()

    def diff(self, request: Request) -> Diff:
        """Compares; the default compares old and new inputs and replaces when one of `replace_on` differs."""
        changes = changed(request.old_inputs, request.inputs)
        return Diff(
            changes=changes,
            replaces=[name for name in changes if name in self.replace_on],
            delete_before_replace=self.delete_before_replace,
        )

    @abstractmethod
    def create(self, request: Request) -> tuple[str, Properties]:
        """Creates and returns id and outputs. In a preview it changes nothing and returns what is known.

        An id that a preview cannot know is the empty string, an output `UNKNOWN`.
        """

    def read(self, request: Request) -> State | None:
        """What exists now, or None when it is gone; by default what state says. Imports have no inputs."""
        return State(id=request.id, inputs=request.inputs, outputs=request.outputs)

    def update(self, request: Request) -> Properties:
        """Changes in place and returns all outputs. In a preview it changes nothing."""
        return {**request.outputs, **request.inputs}

    def delete(self, request: Request) -> None:  # noqa: B027 - the default has nothing to delete
        """Deletes; what is gone already is no error."""


def changed(old: Properties, new: Properties) -> list[str]:
    """Names of the properties that differ, sorted. An unknown new value counts as different."""
    return [
        name
        for name in sorted({*old, *new})
        if not name.startswith("__") and (new.get(name) is UNKNOWN or old.get(name) != new.get(name))
    ]
