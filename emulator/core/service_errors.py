"""Errors of the endpoint, as the provider shows them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError

from emulator.core.resource_type import Refused


def error_code(error: ClientError) -> str:
    """The service's code, such as `NoSuchBucket`."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def service_call(doing: str, *, accept: Collection[str] = ()) -> Iterator[None]:
    """Turns an error of a service into a refusal that says what was being done; codes in `accept` are passed
    over.

    Raises:
        Refused: The service refused.
    """
    try:
        yield
    except ClientError as error:
        if error_code(error) not in accept:
            message = error.response.get("Error", {}).get("Message", "")
            raise Refused(
                f"{doing}: operation error {error.operation_name}, api error {error_code(error)}: {message}"
            ) from error


def arguments(inputs: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """A call's arguments for the inputs that are given, by the names that they have for the service."""
    return {argument: inputs[name] for name, argument in names.items() if inputs.get(name) is not None}


def answer_or_none(call: Callable[..., dict[str, Any]], **arguments: Any) -> dict[str, Any] | None:
    """A service's answer about something, or None where the service refuses, as when the thing is gone."""
    try:
        return call(**arguments)
    except ClientError:
        return None
