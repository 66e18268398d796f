"""AWS STS as far as the sandbox needs it: who am I, and assuming a role."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from emulator.endpoint.credentials import ACCOUNT, Credentials, Identity
from emulator.endpoint.exchange import HttpResponse
from emulator.endpoint.moto_backend import Moto
from emulator.endpoint.operations import Operation
from emulator.endpoint.query_answers import query_answer
from emulator.endpoint.refusals import Kind, Refusal

_SESSION_NAME = re.compile(r"^[\w+=,.@-]{2,64}$")


def answer_security_token_service(
    operation: Operation, identity: Identity, moto: Moto, credentials: Credentials, request_id: str
) -> HttpResponse:
    """Answers an authorised call to STS.

    Raises:
        Refusal: An operation without stand-in, or arguments that AWS refuses.
    """
    match operation.name:
        case "GetCallerIdentity":
            result = {"Arn": identity.caller.arn, "UserId": identity.user_id, "Account": ACCOUNT}
        case "AssumeRole":
            result = _assume_role(operation, moto, credentials)
        case _:
            raise Refusal(
                Kind.UNKNOWN_OPERATION,
                f"sts:{operation.name} has no stand-in in the sandbox; it has AssumeRole and "
                "GetCallerIdentity",
            )
    return query_answer(operation, result, request_id)


def _assume_role(operation: Operation, moto: Moto, credentials: Credentials) -> dict[str, Any]:
    given = operation.parameters
    name = str(given.get("RoleSessionName", ""))
    try:
        duration = int(given.get("DurationSeconds", 3600))
    except ValueError:
        duration = 0
    if not _SESSION_NAME.match(name):
        raise Refusal(
            Kind.INVALID, f"roleSessionName {name!r} must match [\\w+=,.@-]{{2,64}}", "ValidationError"
        )
    if not 900 <= duration <= 43200:
        raise Refusal(
            Kind.INVALID, f"DurationSeconds is {duration}; allowed are 900 to 43200", "ValidationError"
        )
    role = moto.role(str(given["RoleArn"]).rsplit("/", 1)[-1])
    if role is None:
        raise Refusal(Kind.DENIED, f"role {given['RoleArn']} does not exist")
    session = role.session(name, duration)
    key = credentials.issue(session)
    return {
        "AssumedRoleUser": {"AssumedRoleId": f"{role.role_id}:{name}", "Arn": session.arn},
        "Credentials": {
            "AccessKeyId": key.access_key_id,
            "SecretAccessKey": key.secret_access_key,
            "SessionToken": key.session_token,
            "Expiration": datetime.fromtimestamp(key.expiration or 0, UTC),
        },
    }
