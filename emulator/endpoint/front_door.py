"""What happens to a request before and after moto: authentication, authorisation, limits, the journal."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from emulator.endpoint.bucket_owner import check_bucket_owner
from emulator.endpoint.credentials import Credentials, ExpiredToken, Identity, UnknownKey
from emulator.endpoint.exchange import HttpRequest, HttpResponse
from emulator.endpoint.journal import Journal
from emulator.endpoint.moto_backend import Moto, without_credentials
from emulator.endpoint.operations import Operation, UnknownOperation, name_operation, protocol_of
from emulator.endpoint.quotas import check_quotas
from emulator.endpoint.refusals import Kind, Refusal, answer
from emulator.endpoint.resources import Access
from emulator.endpoint.signature import (
    MissingSignature,
    Scope,
    WrongSignature,
    WrongTime,
    read_scope,
    verify,
)
from emulator.iam.authoriser import Authoriser, denial
from emulator.iam.policy import Decision
from emulator.iam.security_tokens import answer_security_token_service

# moto has stand-ins for these as well, which know nothing of what really runs.
ANSWER_FOR_THEMSELVES = frozenset({"autoscaling", "lambda", "rds"})
_LAMBDA_PATH = "/2015-03-31/functions/"

_KINDS: Mapping[type[Exception], Kind] = {
    MissingSignature: Kind.UNSIGNED,
    UnknownKey: Kind.UNKNOWN_KEY,
    ExpiredToken: Kind.EXPIRED,
    WrongSignature: Kind.WRONG_SIGNATURE,
    WrongTime: Kind.WRONG_TIME,
    UnknownOperation: Kind.UNKNOWN_OPERATION,
}

Listener = Callable[[Operation], None]


@dataclass(frozen=True, kw_only=True)
class ServiceCall:
    """An authorised call to a service that answers for itself, without moto and without the journal."""

    operation: Operation
    request: HttpRequest
    identity: Identity
    region: str
    request_id: str


Service = Callable[[ServiceCall], HttpResponse]


class FrontDoor:
    """Handles requests; safe for concurrent use.

    Args:
        folder: Where journal and keys lie.
    """

    def __init__(self, folder: Path) -> None:
        self.credentials = Credentials(folder)
        self.moto = Moto()
        self._authoriser = Authoriser(self.moto)
        self._journal = Journal(folder / "journal.jsonl")
        self._listeners: list[Listener] = []
        self._services: dict[str, Service] = {}

    def open(self) -> None:
        """Brings back what the journal holds.

        Raises:
            CorruptJournal: It cannot be read.
        """
        with self.moto.lock:
            self.moto.reset()
            for entry in self._journal.open():
                self.moto.call(entry.request, entry.sequence)

    def close(self) -> None:
        """Forgets everything that is in memory; the journal stays."""
        with self.moto.lock:
            self._journal.close()
            self.moto.reset()

    def on_write(self, listener: Listener) -> None:
        """Calls `listener` after each successful write, in the thread of the request; it must be quick."""
        self._listeners.append(listener)

    def serve(self, name: str, service: Service) -> None:
        """Has `service` answer the calls to the service with this signing name; it may raise `Refusal`."""
        self._services[name] = service

    def allows(self, identity: Identity, access: Access, region: str) -> bool:
        """Whether the program's own documents allow one action on one resource."""
        return self._authoriser.allows(identity, access, region)

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Answers one request, as AWS would."""
        request_id = str(uuid.uuid4())
        service = _guessed_service(request)
        try:
            scope = read_scope(request)
            service = scope.service
            token = request.header("X-Amz-Security-Token")
            identity, secret = self.credentials.recognise(scope.access_key_id, token)
            verify(request, scope, secret)
            operation = name_operation(service, request)
            self._authoriser.authorise(identity, operation, scope.region)
            check_bucket_owner(operation)
            check_quotas(operation, request.body)
            response = self._carry_out(request, scope, identity, operation, request_id)
        except (Refusal, *_KINDS) as error:
            refusal = error if isinstance(error, Refusal) else Refusal(_KINDS[type(error)], str(error))
            protocol = protocol_of(service, request)
            return answer(refusal, protocol, request_id, with_body=request.method != "HEAD")
        if response.status < 400 and operation.is_journalled:
            for listener in self._listeners:
                listener(operation)
        return response

    def _carry_out(
        self, request: HttpRequest, scope: Scope, identity: Identity, operation: Operation, request_id: str
    ) -> HttpResponse:
        if operation.service == "sts":
            return answer_security_token_service(operation, identity, self.moto, self.credentials, request_id)
        if operation.service in ANSWER_FOR_THEMSELVES:
            service = self._services.get(operation.service)
            if service is None:
                raise Refusal(Kind.UNKNOWN_OPERATION, f"nothing serves {operation.service} at the moment")
            return service(
                ServiceCall(
                    operation=operation,
                    request=request,
                    identity=identity,
                    region=scope.region,
                    request_id=request_id,
                )
            )
        plain = without_credentials(request, scope.region, scope.service)
        with self.moto.lock:
            sequence = None
            if operation.is_journalled:
                sequence = self._journal.append(operation.full_name, _subject(identity, operation), plain)
            response = self.moto.call(plain, sequence)
        if response.status == 404 and operation.name in ("GetObject", "HeadObject"):
            self._hide_absence(identity, operation, scope)
        return response

    def _hide_absence(self, identity: Identity, operation: Operation, scope: Scope) -> None:
        # S3 tells only those who may list a bucket that a key is not there.
        bucket = Access(action="s3:ListBucket", resource=f"arn:aws:s3:::{operation.parameters['Bucket']}")
        if not self._authoriser.allows(identity, bucket, scope.region):
            raise Refusal(Kind.DENIED, denial(identity.caller.arn, bucket, Decision.NO_IDENTITY_ALLOW))


def _subject(identity: Identity, operation: Operation) -> str:
    if identity.is_operator or operation.full_name != "s3:PutObject":
        return ""
    return f"{operation.parameters['Bucket']}/{operation.parameters['Key']}"


def _guessed_service(request: HttpRequest) -> str:
    """A service whose protocol fits an unsigned request."""
    if request.header("X-Amz-Target"):
        return "ssm"
    if request.path.startswith(_LAMBDA_PATH):
        return "lambda"
    is_form = (request.header("Content-Type") or "").startswith("application/x-www-form-urlencoded")
    return "sts" if is_form else "s3"
