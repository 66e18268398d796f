"""AWS STS as far as the sandbox needs it: who am I, and assuming a role."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from xml.sax.saxutils import escape

from emulator.endpoint.credentials import ACCOUNT, AccessKey, Credentials, Identity, Session
from emulator.endpoint.exchange import HttpResponse
from emulator.endpoint.moto_backend import Moto
from emulator.endpoint.operations import Operation
from emulator.endpoint.refusals import Kind, Refusal

_SESSION_NAME = re.compile(r"^[\w+=,.@-]{2,64}$")
_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


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
            inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in result.items())
        case "AssumeRole":
            inner = _assume_role(operation, moto, credentials)
        case _:
            raise Refusal(
                Kind.UNKNOWN_OPERATION,
                f"sts:{operation.name} has no stand-in in the sandbox; it has AssumeRole and "
                "GetCallerIdentity",
            )
    body = (
        f"<{operation.name}Response "
        f'xmlns="{_NAMESPACE}"><{operation.name}Result>{inner}</{operation.name}Result>'
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation.name}Response>"
    )
    return HttpResponse(status=200, headers={"Content-Type": "text/xml"}, body=body.encode())


def _assume_role(operation: Operation, moto: Moto, credentials: Credentials) -> str:
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
    session = Session(role_arn=role.arn, role_id=role.role_id, name=name, expiration=time.time() + duration)
    key = credentials.issue(session)
    return (
        f"<AssumedRoleUser><AssumedRoleId>{role.role_id}:{escape(name)}</AssumedRoleId>"
        f"<Arn>{escape(session.arn)}</Arn></AssumedRoleUser><Credentials>{_credentials_xml(key)}</Credentials>"
    )


def _credentials_xml(key: AccessKey) -> str:
    until = datetime.fromtimestamp(key.expiration or 0, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return (
        f"<AccessKeyId>{key.access_key_id}</AccessKeyId><SecretAccessKey>{escape(key.secret_access_key)}"
        f"</SecretAccessKey><SessionToken>{key.session_token}</SessionToken><Expiration>{until}</Expiration>"
    )
