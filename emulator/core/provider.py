"""A package of Pulumi and what stands in for its types and functions."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar, TypeVar

from emulator.core.request import Request
from emulator.core.resource_type import Failure, Properties, Refused, ResourceType

Function = Callable[[Request], Properties]
_T = TypeVar("_T")


class Provider:
    """A package and what stands in for its types and functions.

    Attributes:
        text_arguments: Arguments of a provider instance that are text, whatever they look like. The engine
            sends all arguments as text, those of other kinds as JSON, so "5432" is read as a number.

    Args:
        package: Name of the Pulumi package, such as `aws`.
        functions: Invokes by token, such as `aws:index/getRegion:getRegion`; they return the
            result or raise `Refused`.

    Raises:
        ValueError: Two handlers have the same token.
        importlib.metadata.PackageNotFoundError: The SDK is not installed.
    """

    text_arguments: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        package: str,
        types: Iterable[ResourceType] = (),
        functions: Mapping[str, Function] | None = None,
    ) -> None:
        self.package = package
        self.version = importlib.metadata.version(f"pulumi-{package}")
        self.functions: dict[str, Function] = dict(functions or {})
        self.types: dict[str, ResourceType] = {}
        for handler in types:
            if handler.token in self.types:
                raise ValueError(f"two stand-ins for the type {handler.token}; register one")
            self.types[handler.token] = handler

    def check_configuration(self, configuration: Properties) -> Sequence[Failure]:
        """Validates the arguments of a provider instance, in previews too. They may hold `UNKNOWN`."""
        return ()

    def configure(self, configuration: Properties) -> Properties:
        """Called once per provider instance with its arguments as Python values, known, secrets revealed.

        What it returns is `Request.configuration` of all calls of that instance.
        """
        return configuration

    def type_for(self, token: str) -> ResourceType:
        """The handler of a type.

        Raises:
            Refused: There is none.
        """
        return self._registered("resource type", token, self.types)

    def function_for(self, token: str) -> Function:
        """The function of an invoke.

        Raises:
            Refused: There is none.
        """
        return self._registered("function", token, self.functions)

    def _registered(self, kind: str, token: str, registered: Mapping[str, _T]) -> _T:
        if token not in registered:
            raise Refused(
                f"{kind} {token} has no stand-in in the sandbox's {self.package} provider; "
                f"it has {', '.join(sorted(registered)) or 'none'}"
            )
        return registered[token]
