"""The API of Lambda as far as something calls it at run time: calling a function, and asking about one.

Source: Lambda API reference, Invoke and GetFunctionConfiguration.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from emulator.endpoint.credentials import ACCOUNT
from emulator.endpoint.exchange import HttpResponse
from emulator.endpoint.front_door import ServiceCall
from emulator.endpoint.refusals import Kind, Refusal
from emulator.lambda_.model import RUNTIME, Function
from emulator.lambda_.service import Asleep, Functions, RoleRefusal, UnknownFunction

SERVICE = "lambda"
_LARGEST_EVENT_BYTES = 6 * 1024 * 1024


def answer(functions: Functions, call: ServiceCall) -> HttpResponse:
    """Answers an authorised call, for `AwsEndpoint.serve`.

    Raises:
        Refusal: No such function, an event that is none, or an operation without stand-in.
    """
    name = str(call.operation.parameters.get("FunctionName", ""))
    if qualifier := call.operation.parameters.get("Qualifier"):
        name = f"{name}:{qualifier}"
    try:
        match call.operation.name:
            case "Invoke":
                return _invoke(functions, name, call)
            case "GetFunctionConfiguration":
                return _json(_described(functions, functions.named(name)))
            case other:
                raise Refusal(
                    Kind.UNKNOWN_OPERATION,
                    f"lambda:{other} has no stand-in in the sandbox; it has Invoke and "
                    "GetFunctionConfiguration",
                )
    except UnknownFunction:
        own = f"arn:aws:lambda:{call.region}:{ACCOUNT}:function:{name}"
        arn = name if name.startswith("arn:") else own
        raise Refusal(Kind.INVALID, f"Function not found: {arn}", "ResourceNotFoundException") from None
    except Asleep:
        words = "Lambda is initializing your function. It will be ready to invoke shortly."
        raise Refusal(Kind.INVALID, words, "CodeArtifactUserPendingException") from None
    except RoleRefusal as refusal:
        raise Refusal(Kind.INVALID, str(refusal), "InvalidParameterValueException") from None


def _invoke(functions: Functions, name: str, call: ServiceCall) -> HttpResponse:
    event = call.request.body or b"null"
    if call.request.header("X-Amz-Invocation-Type") not in (None, "RequestResponse"):
        words = "only RequestResponse has a stand-in in the sandbox"
        raise Refusal(Kind.INVALID, words, "InvalidParameterValueException")
    if len(event) > _LARGEST_EVENT_BYTES:
        most = f"Request must be smaller than {_LARGEST_EVENT_BYTES} bytes"
        words = f"{most} for the InvokeFunction operation"
        raise Refusal(Kind.INVALID, words, "RequestTooLargeException")
    try:
        json.loads(event)
    except ValueError as error:
        words = f"Could not parse request body into json: {error}"
        raise Refusal(Kind.INVALID, words, "InvalidRequestContentException") from None
    result = functions.invoke(name, event)
    headers = {"X-Amz-Executed-Version": "$LATEST"}
    if result.failed:
        headers["X-Amz-Function-Error"] = "Unhandled"
    return _json(result.payload, headers)


def _described(functions: Functions, function: Function) -> dict[str, Any]:
    """The members of a FunctionConfiguration that the sandbox has something to say about."""
    return {
        "FunctionName": function.name,
        "FunctionArn": function.arn,
        "Runtime": RUNTIME,
        "Role": function.role,
        "Handler": function.handler,
        "Timeout": function.timeout,
        "MemorySize": function.memory_size,
        "CodeSha256": function.code_sha256,
        "State": functions.state(function),
        "LastUpdateStatus": "Successful",
        "Version": "$LATEST",
    }


def _json(document: Any, headers: Mapping[str, str] = MappingProxyType({})) -> HttpResponse:
    headers = {"Content-Type": "application/json", **headers}
    return HttpResponse(status=200, headers=headers, body=json.dumps(document).encode())
