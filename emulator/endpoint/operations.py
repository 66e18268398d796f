"""Which operation of which service a request is, by botocore's own service models."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from botocore.loaders import create_loader
from botocore.model import OperationModel, ServiceModel

from emulator.endpoint.exchange import HttpRequest

_QUERY = ("autoscaling", "iam", "monitoring", "rds", "sts")
_PROTOCOLS = {"ec2": "ec2", "lambda": "rest-json", "s3": "rest-xml", **dict.fromkeys(_QUERY, "query")}
# By the signing names that stand in credential scopes.
_SERVICES = sorted({*_PROTOCOLS, "logs", "secretsmanager", "ssm"})
_READING = ("Get", "List", "Describe", "Head", "Lookup", "Select", "Simulate", "BatchGet", "Filter")
# Written all the time, read by nobody after a restart: not worth a line of the journal each.
_FLEETING = frozenset({"PutLogEvents", "PutMetricData"})


class UnknownOperation(Exception):
    """No operation of the service looks like the request; the message says what was looked for."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A request, named.

    Attributes:
        name: Name in the service's model, such as `PutObject`.
        protocol: Wire protocol of the request: `rest-xml`, `rest-json`, `query`, `ec2`, `json` or `cbor`.
        parameters: Top-level members by their names in the model, as far as they are texts or JSON values.
            Bodies of S3 are not looked into.
    """

    service: str
    name: str
    protocol: str
    parameters: Mapping[str, Any]

    @property
    def full_name(self) -> str:
        """Service and operation as in IAM's actions, such as `s3:PutObject`."""
        return f"{service_name(self.service)}:{self.name}"

    @property
    def is_journalled(self) -> bool:
        """Whether it must be carried out again after a restart."""
        return not self.name.startswith(_READING) and self.name not in _FLEETING


def service_name(signing_name: str) -> str:
    """The name of a service in botocore and in IAM's actions."""
    return "cloudwatch" if signing_name == "monitoring" else signing_name


def protocol_of(service: str, request: HttpRequest) -> str:
    """The wire protocol of a request to a service, also one that is refused before it is named."""
    if request.header("smithy-protocol") == "rpc-v2-cbor":
        return "cbor"
    if request.header("X-Amz-Target"):
        return "json"
    return _PROTOCOLS.get(service, "json")


def name_operation(service: str, request: HttpRequest) -> Operation:
    """Names a request.

    Raises:
        UnknownOperation: The service has no stand-in, or no such operation.
    """
    if service not in _SERVICES:
        raise UnknownOperation(
            f"service {service} has no stand-in in the sandbox; it has {', '.join(_SERVICES)}"
        )
    protocol = protocol_of(service, request)
    model = _model(service_name(service))
    match protocol:
        case "rest-xml" | "rest-json":
            name, parameters = _by_http(model, request)
        case "json":
            name = (request.header("X-Amz-Target") or "").rsplit(".", 1)[-1]
            parameters = _json_members(request.body)
        case "cbor":
            name, parameters = request.path.rsplit("/", 1)[-1], {}
        case _:
            parameters = {**request.query, **dict(parse_qsl(request.body.decode(), keep_blank_values=True))}
            name = parameters.pop("Action", "")
    if name not in model.operation_names:
        raise UnknownOperation(f"{service} has no operation {name!r} ({request.method} {request.path})")
    return Operation(service=service, name=name, protocol=protocol, parameters=parameters)


def _json_members(body: bytes) -> dict[str, Any]:
    try:
        members = json.loads(body or b"{}")
    except ValueError:
        return {}
    return members if isinstance(members, dict) else {}


@cache
def _model(service: str) -> ServiceModel:
    # A loader of its own: botocore's clients take the bucket out of the paths in the model that they read.
    return ServiceModel(create_loader().load_service_model(service, "service-2"), service)


@dataclass(frozen=True, kw_only=True)
class _Route:
    operation: OperationModel
    path: re.Pattern[str]
    literals: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    required: frozenset[str]

    def parameters(self, request: HttpRequest) -> dict[str, str] | None:
        """Members found in the request, or None when it is another operation."""
        found = self.path.fullmatch(request.path)
        given = request.query
        if found is None or any(given.get(name) != value for name, value in self.literals.items()):
            return None
        members = found.groupdict()
        members |= {member: given[name] for name, member in self.query.items() if name in given}
        headers = {member: request.header(name) for name, member in self.headers.items()}
        members |= {member: value for member, value in headers.items() if value is not None}
        return members if self.required <= set(members) else None

    @property
    def precision(self) -> int:
        """How much of the request the route explains: the most precise one is meant."""
        return 10 * len(self.literals) + len(self.required)


@cache
def _routes(model: ServiceModel) -> Mapping[str, tuple[_Route, ...]]:
    routes: dict[str, list[_Route]] = {}
    for name in model.operation_names:
        operation = model.operation_model(name)
        http, given = operation.http, operation.input_shape
        path, _, query = http["requestUri"].partition("?")
        # "{Key+}" takes slashes, "{Bucket}" does not; botocore strips the bucket only later.
        pattern = re.sub(r"\{(\w+)\+\}", r"(?P<\1>.+)", path)
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)
        located = {member: shape.serialization for member, shape in given.members.items()} if given else {}
        route = _Route(
            operation=operation,
            path=re.compile(pattern + "/?" if not pattern.endswith("+)") else pattern),
            literals={key: value for key, value in parse_qsl(query, keep_blank_values=True) if key != "x-id"},
            query={
                at["name"]: member for member, at in located.items() if at.get("location") == "querystring"
            },
            headers={at["name"]: member for member, at in located.items() if at.get("location") == "header"},
            required=frozenset(
                member
                for member in (given.required_members if given else ())
                if located[member].get("location") in ("uri", "querystring", "header")
            ),
        )
        routes.setdefault(http["method"], []).append(route)
    return {
        method: tuple(sorted(found, key=lambda route: -route.precision)) for method, found in routes.items()
    }


def _by_http(model: ServiceModel, request: HttpRequest) -> tuple[str, dict[str, Any]]:
    for route in _routes(model).get(request.method, ()):
        parameters = route.parameters(request)
        if parameters is not None:
            return route.operation.name, parameters
    raise UnknownOperation(f"no operation of {model.service_name} is {request.method} {request.target}")
