"""Refusals in the shape and with the words of the service that refuses.

Source: "Common errors" of each service's API reference; wordings as the services send them.
"""

from __future__ import annotations

import json
from enum import Enum
from xml.sax.saxutils import escape

from emulator.endpoint.exchange import HttpResponse


class Refusal(Exception):
    """A call that is refused before it reaches the service.

    Args:
        kind: Why; decides code and status per protocol.
        message: The words, where they depend on the call; else the service's own are taken.
        code: Error code for `Kind.INVALID`.
    """

    def __init__(self, kind: Kind, message: str = "", code: str = "ValidationException") -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.code = code


class Kind(Enum):
    """Reasons to refuse."""

    UNSIGNED = "unsigned"
    UNKNOWN_KEY = "unknown key"
    EXPIRED = "expired"
    WRONG_SIGNATURE = "wrong signature"
    WRONG_TIME = "wrong time"
    DENIED = "denied"
    UNKNOWN_OPERATION = "unknown operation"
    INVALID = "invalid"


_INVALID = "The security token included in the request is invalid."
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
    "Access Key and signing method. Consult the service documentation for details."
)
_S3_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your key and "
    "signing method."
)
_S3_NO_SUCH_KEY = "The AWS Access Key Id you provided does not exist in our records."
_S3_SKEWED = "The difference between the request time and the current time is too large."
_EXPIRED = "The security token included in the request is expired"
_NOT_VALIDATED = "AWS was not able to validate the provided access credentials"

# Per protocol: code, HTTP status, words. `{}` is where the refusal's own message goes.
_ERRORS: dict[str, dict[Kind, tuple[str, int, str]]] = {
    "rest-xml": {
        Kind.UNSIGNED: ("AccessDenied", 403, "Access Denied"),
        Kind.UNKNOWN_KEY: ("InvalidAccessKeyId", 403, _S3_NO_SUCH_KEY),
        Kind.EXPIRED: ("ExpiredToken", 400, "The provided token has expired."),
        Kind.WRONG_SIGNATURE: ("SignatureDoesNotMatch", 403, _S3_MISMATCH),
        Kind.WRONG_TIME: ("RequestTimeTooSkewed", 403, _S3_SKEWED),
        Kind.DENIED: ("AccessDenied", 403, "{}"),
        Kind.UNKNOWN_OPERATION: ("NotImplemented", 501, "{}"),
    },
    "query": {
        Kind.UNSIGNED: ("MissingAuthenticationToken", 403, "Request is missing Authentication Token"),
        Kind.UNKNOWN_KEY: ("InvalidClientTokenId", 403, _INVALID),
        Kind.EXPIRED: ("ExpiredToken", 403, _EXPIRED),
        Kind.WRONG_SIGNATURE: ("SignatureDoesNotMatch", 403, _MISMATCH),
        Kind.WRONG_TIME: ("SignatureDoesNotMatch", 403, "Signature expired: {}"),
        Kind.DENIED: ("AccessDenied", 403, "{}"),
        Kind.UNKNOWN_OPERATION: ("InvalidAction", 400, "{}"),
    },
    "ec2": {
        Kind.UNSIGNED: ("MissingAuthenticationToken", 403, "Request is missing Authentication Token"),
        Kind.UNKNOWN_KEY: ("AuthFailure", 401, _NOT_VALIDATED),
        Kind.EXPIRED: ("RequestExpired", 400, "Request has expired."),
        Kind.WRONG_SIGNATURE: ("AuthFailure", 401, _NOT_VALIDATED),
        Kind.WRONG_TIME: ("RequestExpired", 400, "Request has expired."),
        Kind.DENIED: ("UnauthorizedOperation", 403, "You are not authorized to perform this operation. {}"),
        Kind.UNKNOWN_OPERATION: ("InvalidAction", 400, "{}"),
    },
    "json": {
        Kind.UNSIGNED: ("MissingAuthenticationTokenException", 400, "Missing Authentication Token"),
        Kind.UNKNOWN_KEY: ("UnrecognizedClientException", 400, _INVALID),
        Kind.EXPIRED: ("ExpiredTokenException", 400, _EXPIRED),
        Kind.WRONG_SIGNATURE: ("InvalidSignatureException", 400, _MISMATCH),
        Kind.WRONG_TIME: ("InvalidSignatureException", 400, "Signature expired: {}"),
        Kind.DENIED: ("AccessDeniedException", 400, "{}"),
        Kind.UNKNOWN_OPERATION: ("UnknownOperationException", 400, "{}"),
    },
}


# Protocols with the codes of JSON; those of REST have other statuses, which no client reads.
_AS_JSON = {"cbor": "json", "rest-json": "json"}


def answer(refusal: Refusal, protocol: str, request_id: str, *, with_body: bool = True) -> HttpResponse:
    """The response to a refused call; `with_body` is False for HEAD."""
    if refusal.kind is Kind.INVALID:
        code, status, words = refusal.code, 400, "{}"
    else:
        code, status, words = _ERRORS[_AS_JSON.get(protocol, protocol)][refusal.kind]
    message = words.replace("{}", refusal.message)
    headers = {"x-amzn-RequestId": request_id, "x-amz-request-id": request_id}
    match protocol:
        case "rest-xml":
            content_type = "application/xml"
            body = (
                f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code>'
                f"<Message>{escape(message)}"
                f"</Message><RequestId>{request_id}</RequestId></Error>"
            ).encode()
        case "query":
            content_type = "text/xml"
            body = (
                f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(message)}</Message>"
                f"</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
            ).encode()
        case "ec2":
            content_type = "text/xml"
            body = (
                f"<Response><Errors><Error><Code>{code}</Code><Message>{escape(message)}</Message></Error></Errors>"
                f"<RequestID>{request_id}</RequestID></Response>"
            ).encode()
        case "cbor":
            content_type = "application/cbor"
            headers |= {"smithy-protocol": "rpc-v2-cbor", "x-amzn-query-error": f"{code};Sender"}
            body = _cbor_texts({"__type": code, "message": message})
        case _:
            content_type = "application/x-amz-json-1.1"
            headers["x-amzn-ErrorType"] = code
            body = json.dumps({"__type": code, "message": message, "Message": message}).encode()
    return HttpResponse(
        status=status, headers={**headers, "Content-Type": content_type}, body=body if with_body else b""
    )


def _cbor_texts(members: dict[str, str]) -> bytes:
    # Major type 5 (map), then text strings of major type 3; RFC 8949, section 3.1.
    def text(value: str) -> bytes:
        encoded = value.encode()
        if len(encoded) < 24:
            return bytes([0x60 | len(encoded)]) + encoded
        return b"\x79" + len(encoded).to_bytes(2, "big") + encoded

    pairs = b"".join(text(name) + text(value) for name, value in members.items())
    return bytes([0xA0 | len(members)]) + pairs
