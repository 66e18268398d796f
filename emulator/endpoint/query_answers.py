"""Answers of services that speak the query protocol, written by botocore's models of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emulator.endpoint.exchange import HttpResponse
from emulator.endpoint.operations import Operation, service_name


def query_answer(operation: Operation, result: Mapping[str, Any], request_id: str) -> HttpResponse:
    """The answer to a call, with a result in the form that botocore's clients return."""
    # Later than when `Moto` sets what moto reads while it is imported.
    from moto.core.serialize import QuerySerializer, SerializationContext
    from moto.core.utils import get_service_model

    model = get_service_model(service_name(operation.service)).operation_model(operation.name)
    answer = QuerySerializer(model, SerializationContext(request_id)).serialize(result)
    body = answer["body"]
    return HttpResponse(
        status=answer["status_code"],
        headers=dict(answer["headers"]),
        body=body if isinstance(body, bytes) else body.encode(),
    )
