"""moto in this process: one request at a time, with random numbers that can be repeated."""

from __future__ import annotations

import hashlib
import json
import os
import string
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote_to_bytes

from werkzeug.test import create_environ, run_wsgi_app

from emulator.endpoint.credentials import ACCOUNT, Session
from emulator.endpoint.exchange import HttpRequest, HttpResponse

IMAGES = Path(__file__).with_name("debian_images.json")
# Never journalled and never passed on: moto checks no signature, and a token in a file would be a secret in
# it.
_CREDENTIAL_HEADERS = frozenset({"authorization", "x-amz-security-token"})


@dataclass(frozen=True, kw_only=True)
class RoleDocuments:
    """What IAM knows about a role.

    Attributes:
        arn: With its path.
        role_id: `AROA…`.
        trust_policy: Who may assume it, as JSON.
        policies: Inline and attached documents, as JSON.
    """

    arn: str
    role_id: str
    trust_policy: str
    policies: tuple[str, ...]

    def session(self, name: str, seconds: float, facts: Mapping[str, str] = MappingProxyType({})) -> Session:
        """A session of the role that begins now, with the context keys that it carries."""
        until = time.time() + seconds
        return Session(
            role_arn=self.arn, role_id=self.role_id, name=name, expiration=until, facts=dict(facts)
        )


class Moto:
    """moto's server application. Its state belongs to the process, so there is one of these at a time."""

    def __init__(self) -> None:
        # moto reads the images while it is imported, so the import waits until the variable is set.
        os.environ["MOTO_AMIS_PATH"] = str(IMAGES)
        from moto import backends
        from moto.iam.access_control import PermissionResult
        from moto.moto_api._internal import mock_random
        from moto.moto_api._internal.models import moto_api_backend
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from moto.s3.models import FakeBucket
        from moto.secretsmanager.utils import SecretsManagerSecretIdentifier

        # moto evaluates bucket policies as well, without their conditions; the front door has decided
        # already.
        setattr(FakeBucket, "get_permission", lambda *_: PermissionResult.PERMITTED)  # noqa: B010
        # Known before the secret exists, so that previews can show the documents that name it.
        setattr(  # noqa: B010
            SecretsManagerSecretIdentifier,
            "generate",
            lambda self, *_, **__: secret_arn(self.name, self.region),
        )

        self.lock = threading.RLock()
        self._random = mock_random
        self._backends = backends
        self._reset = moto_api_backend.reset
        self._application = DomainDispatcherApplication(create_backend_app)
        self.reset()

    def reset(self) -> None:
        """Forgets everything."""
        with self.lock:
            self._random.seed(0)
            self._reset()

    def call(self, request: HttpRequest, seed: int | None) -> HttpResponse:
        """Carries out a request.

        Args:
            request: The request, as `without_credentials` leaves it.
            seed: Number that decides every random id made by it; None for requests that only read.
        """
        with self.lock:
            if seed is not None:
                self._random.seed(seed)
            body, status, headers = run_wsgi_app(self._application, _environ(request), buffered=True)
            pairs = tuple((name, value) for name, value in headers if name.lower() != "content-length")
            return HttpResponse(status=int(status.split()[0]), headers=pairs, body=b"".join(body))

    def role(self, name: str) -> RoleDocuments | None:
        """A role's documents by its name."""
        with self.lock:
            iam = self._iam()
            role = next((item for item in iam.roles.values() if item.name == name), None)
            if role is None:
                return None
            attached = [iam.managed_policies.get(arn) for arn in role.managed_policies]
            return RoleDocuments(
                arn=role.arn,
                role_id=role.id,
                trust_policy=role.assume_role_policy_document,
                policies=(
                    *(_text(document) for document in role.policies.values()),
                    *(_text(policy.document) for policy in attached if policy is not None),
                ),
            )

    def role_of_profile(self, name: str) -> RoleDocuments | None:
        """The documents of the role in an instance profile."""
        with self.lock:
            profile = next((p for p in self._iam().instance_profiles.values() if p.name == name), None)
            return self.role(profile.roles[0].name) if profile is not None and profile.roles else None

    def bucket_policy(self, name: str) -> str | None:
        """A bucket's policy."""
        with self.lock:
            bucket = self._backends.get_backend("s3")[ACCOUNT]["aws"].buckets.get(name)
            return _text(bucket.policy) if bucket is not None and bucket.policy else None

    def secret_arns(self, region: str) -> Mapping[str, str]:
        """Full ARNs of the secrets in a region, by name and by the part of the ARN after `secret:`."""
        with self.lock:
            return {
                name: secret.arn
                for secret in self._secrets(region)
                for name in (secret.name, secret.arn.rsplit(":", 1)[-1])
            }

    def secret_policy(self, arn: str) -> str | None:
        """A secret's resource policy."""
        with self.lock:
            secrets = self._secrets(arn.split(":")[3])
            return next((secret.policy for secret in secrets if secret.arn == arn and secret.policy), None)

    def _secrets(self, region: str) -> Any:
        return self._backends.get_backend("secretsmanager")[ACCOUNT][region].secrets.values()

    def _iam(self) -> Any:
        return self._backends.get_backend("iam")[ACCOUNT]["aws"]


def _text(document: str | bytes) -> str:
    return document.decode() if isinstance(document, bytes) else document


@cache
def image_architectures() -> Mapping[str, str]:
    """The machine images that EC2 has here, with their architectures."""
    return {image["ami_id"]: image["architecture"] for image in json.loads(IMAGES.read_text())}


def secret_arn(name: str, region: str) -> str:
    """The ARN that a secret of this name has here, with the six characters that AWS makes up."""
    digest = int.from_bytes(hashlib.sha256(name.encode()).digest())
    letters = string.ascii_letters
    suffix = "".join(letters[digest // len(letters) ** place % len(letters)] for place in range(6))
    return f"arn:aws:secretsmanager:{region}:{ACCOUNT}:secret:{name}-{suffix}"


def without_credentials(request: HttpRequest, region: str, service: str) -> HttpRequest:
    """The request without signature and token, but with the scope by which moto finds the service."""
    scope = (
        f"AWS4-HMAC-SHA256 Credential=SANDBOX/20260101/{region}/{service}/aws4_request, SignedHeaders=host"
    )
    kept = tuple((name, value) for name, value in request.headers if name.lower() not in _CREDENTIAL_HEADERS)
    return replace(request, headers=(*kept, ("Authorization", scope)))


def _environ(request: HttpRequest) -> dict[str, Any]:
    environ = create_environ(
        base_url=f"http://{request.header('Host') or 'localhost'}",
        method=request.method,
        headers=list(request.headers),
        data=request.body,
    )
    return {
        **environ,
        # WSGI wants the decoded bytes of the path as Latin-1 text (PEP 3333).
        "PATH_INFO": unquote_to_bytes(request.raw_path).decode("latin-1"),
        "QUERY_STRING": request.raw_query,
        "REQUEST_URI": request.target,
        "RAW_URI": request.target,
    }
