"""The instance metadata service, version 2 only.

Each instance gets a base address of its own with a secret path: on EC2 only the instance itself reaches its
169.254.169.254, on loopback every process would.
Source: EC2 User Guide, "Use the Instance Metadata Service" and "Instance metadata categories".
"""

from __future__ import annotations

import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from emulator.core.model import ResourceModel
from emulator.endpoint.credentials import ACCOUNT, AccessKey, Credentials
from emulator.endpoint.exchange import HttpRequest, HttpResponse
from emulator.endpoint.loopback_server import LoopbackServer
from emulator.endpoint.moto_backend import RoleDocuments
from emulator.iam.authoriser import trusts_service

SESSION_SECONDS = 6 * 3600
# SDKs renew what has less than 15 minutes left, so new credentials must be there by then.
_RENEWAL_SECONDS = 3600
_LONGEST_TOKEN_SECONDS = 21600


class InstanceFacts(ResourceModel):
    """What an instance can read about itself.

    Attributes:
        instance_id: `i-…`.
        image_id: `ami-…`.
        instance_type: Such as `m7g.large`.
        architecture: `arm64` or `x86_64`.
        private_ip: IPv4 address of the first interface.
        availability_zone: Such as `eu-central-1a`.
        region: Such as `eu-central-1`.
        instance_profile: Name of the instance profile, or None.
        vpc_id: Where the instance is; becomes `aws:SourceVpc` of its calls.
    """

    instance_id: str
    image_id: str
    instance_type: str
    architecture: str
    private_ip: str = ""
    availability_zone: str
    region: str
    instance_profile: str | None = None
    vpc_id: str | None = None


@dataclass
class _Instance:
    facts: InstanceFacts
    kept_out: int | None
    tokens: dict[str, float] = field(default_factory=dict)
    key: AccessKey | None = None
    key_role: str | None = None


class MetadataService:
    """Serves the metadata of all instances.

    Args:
        credentials: Issues the sessions.
        role_of_profile: The current role of an instance profile, with its documents.
        port: TCP port, 0 for any free one.
    """

    def __init__(
        self, credentials: Credentials, role_of_profile: Callable[[str], RoleDocuments | None], port: int = 0
    ) -> None:
        self._credentials = credentials
        self._role_of_profile = role_of_profile
        self._instances: dict[str, _Instance] = {}
        self._lock = threading.Lock()
        self._server = LoopbackServer("metadata", self.handle, port)

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._server.stop()

    def register(self, facts: InstanceFacts, path: str | None = None, *, kept_out: int | None = None) -> str:
        """The base address for AWS_EC2_METADATA_SERVICE_ENDPOINT of an instance, the same for this process.

        Args:
            facts: What the instance reads there.
            path: A secret from `new_path` that the caller keeps, for a program that outlives this process.
            kept_out: Id of a user of the instance who has no route to the service.
        """
        with self._lock:
            for known, instance in self._instances.items():
                if instance.facts.instance_id == facts.instance_id:
                    path, instance.facts = known, facts
            path = path or new_path()
            self._instances.setdefault(path, _Instance(facts, kept_out))
            return f"{self._server.url}/{path}"

    def forget(self, instance_id: str) -> None:
        """Stops serving a terminated instance."""
        with self._lock:
            gone = [path for path, item in self._instances.items() if item.facts.instance_id == instance_id]
            for path in gone:
                del self._instances[path]

    def handle(self, request: HttpRequest) -> HttpResponse:
        prefix, _, path = request.path.lstrip("/").partition("/")
        with self._lock:
            instance = self._instances.get(prefix)
            if instance is None:
                return _plain(404, "Not Found")
            if not self._has_route(instance, request):
                return _plain(403, "Forbidden")
            if request.method == "PUT" and path == "latest/api/token":
                return _new_token(instance, request)
            if request.method != "GET":
                return _plain(405, "Method Not Allowed")
            if not _has_token(instance, request):
                return _plain(401, "Unauthorized")
            return self._read(instance, path.strip("/"))

    def _has_route(self, instance: _Instance, request: HttpRequest) -> bool:
        ends = [f"0100007F:{port:04X}" for port in (request.client_port, self._server.port)]
        connections = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
        users = {int(fields[7]) for fields in connections if fields[1:3] == ends}
        return instance.kept_out is None or not users <= {instance.kept_out}

    def _read(self, instance: _Instance, path: str) -> HttpResponse:
        facts = instance.facts
        profile_root = "latest/meta-data/iam/security-credentials"
        if path == profile_root or path.startswith(profile_root + "/"):
            return self._security_credentials(instance, path.removeprefix(profile_root).strip("/"))
        identity = facts.model_dump(by_alias=True, exclude={"instance_profile", "vpc_id"})
        identity |= {"accountId": ACCOUNT, "version": "2017-09-30"}
        texts = {
            "latest/meta-data/instance-id": facts.instance_id,
            "latest/meta-data/ami-id": facts.image_id,
            "latest/meta-data/instance-type": facts.instance_type,
            "latest/meta-data/local-ipv4": facts.private_ip,
            "latest/meta-data/placement/region": facts.region,
            "latest/meta-data/placement/availability-zone": facts.availability_zone,
            "latest/meta-data/services/domain": "amazonaws.com",
            "latest/meta-data/services/partition": "aws",
            "latest/dynamic/instance-identity/document": json.dumps(identity, indent=2),
        }
        return _plain(200, texts[path]) if path in texts else _plain(404, "Not Found")

    def _security_credentials(self, instance: _Instance, wanted: str) -> HttpResponse:
        profile = instance.facts.instance_profile
        role = self._role_of_profile(profile) if profile else None
        if role is None:
            return _plain(404, "Not Found")
        name = role.arn.rsplit("/", 1)[-1]
        if not wanted:
            return _plain(200, name)
        if wanted != name:
            return _plain(404, "Not Found")
        if not trusts_service(role.trust_policy, "ec2.amazonaws.com"):
            answer = {
                "Code": "AssumeRoleUnauthorizedAccess",
                "Message": (
                    "EC2 cannot assume the role. Please see documentation at https://docs.aws.amazon.com/IAM."
                ),
            }
        else:
            key = self._key(instance, role)
            answer = {
                "Code": "Success",
                "Type": "AWS-HMAC",
                "AccessKeyId": key.access_key_id,
                "SecretAccessKey": key.secret_access_key,
                "Token": key.session_token,
                "Expiration": _time(key.expiration or 0),
            }
        return _plain(200, json.dumps({**answer, "LastUpdated": _time(time.time())}))

    def _key(self, instance: _Instance, role: RoleDocuments) -> AccessKey:
        key = instance.key
        left = 0.0 if key is None else (key.expiration or 0) - time.time()
        if key is None or instance.key_role != role.role_id or left < _RENEWAL_SECONDS:
            facts = instance.facts
            context = {
                "ec2:SourceInstanceARN": f"arn:aws:ec2:{facts.region}:{ACCOUNT}:instance/{facts.instance_id}",
                "aws:EC2InstanceSourcePrivateIPv4": facts.private_ip,
            }
            if facts.vpc_id:
                context |= {"aws:SourceVpc": facts.vpc_id, "aws:EC2InstanceSourceVPC": facts.vpc_id}
            key = self._credentials.issue(role.session(facts.instance_id, SESSION_SECONDS, context))
            instance.key, instance.key_role = key, role.role_id
        return key


def new_path() -> str:
    """A random path, which serves as a secret."""
    return secrets.token_urlsafe(24)


def _new_token(instance: _Instance, request: HttpRequest) -> HttpResponse:
    # The real service answers no token request that came through a proxy.
    if request.header("X-Forwarded-For") is not None:
        return _plain(403, "Forbidden")
    lifetime = request.header("X-aws-ec2-metadata-token-ttl-seconds") or ""
    if not lifetime.isdigit() or not 1 <= int(lifetime) <= _LONGEST_TOKEN_SECONDS:
        return _plain(400, "Bad Request")
    now = time.monotonic()
    instance.tokens = {token: until for token, until in instance.tokens.items() if until > now}
    token = secrets.token_urlsafe(42)
    instance.tokens[token] = now + int(lifetime)
    return _plain(200, token, {"X-aws-ec2-metadata-token-ttl-seconds": lifetime})


def _has_token(instance: _Instance, request: HttpRequest) -> bool:
    given = request.header("X-aws-ec2-metadata-token") or ""
    now = time.monotonic()
    return any(
        until > now and hmac.compare_digest(token.encode(), given.encode())
        for token, until in instance.tokens.items()
    )


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _plain(status: int, text: str, headers: Mapping[str, str] = MappingProxyType({})) -> HttpResponse:
    return HttpResponse(status=status, headers={"Content-Type": "text/plain", **headers}, body=text.encode())
