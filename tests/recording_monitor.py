"""A mock of Pulumi's engine that records every registration and answers as providers would."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import importlib
import inspect
import keyword
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pulumi
from google.protobuf import json_format
from pulumi.runtime import mocks as pulumi_mocks
from pulumi.runtime import settings
from pulumi.runtime.stack import run_in_stack

from tests.signed_certificates import authority_pem, revocation_list_pem

SECRET_KEY = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270"
ACCOUNT_ID = "123456789012"
REGION = "eu-central-1"
ABSENT = object()
"""Marks an input that a registration must not have."""


def is_secret(value: Any) -> bool:
    """Whether a recorded input is wrapped as a secret."""
    return isinstance(value, Mapping) and value.get(SECRET_KEY) == SECRET_SIGNATURE


def plain(value: Any) -> Any:
    """A recorded value without its secret wrappers."""
    if is_secret(value):
        return plain(value["value"])
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value


def texts_outside_secrets(value: Any) -> Iterator[str]:
    """Every text in a recorded value that no secret wrapper covers."""
    if is_secret(value):
        return
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield key
            yield from texts_outside_secrets(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts_outside_secrets(each)


def pem(label: str, content: str) -> str:
    """A PEM block of that label, with no certificate in it."""
    encoded = base64.b64encode(content.encode()).decode()
    return f"-----BEGIN {label}-----\n{encoded}\n-----END {label}-----\n"


def tags_of(inputs: Mapping[str, Any]) -> dict[str, str]:
    """Tags in recorded inputs, a mapping or an auto scaling group's list."""
    tags = plain(inputs).get("tags", {})
    return {each["key"]: each["value"] for each in tags} if isinstance(tags, list) else tags


@dataclass(frozen=True, kw_only=True)
class Registration:
    """One registered resource: inputs as sent (camelCase, secrets wrapped), options in `request`."""

    urn: str
    type: str
    name: str
    parent: str
    custom: bool
    inputs: dict[str, Any]
    request: Any

    @property
    def parent_type(self) -> str:
        """Type token of the parent."""
        return self.parent.split("::")[2].split("$")[-1]

    @property
    def parent_name(self) -> str:
        """Name of the parent."""
        return self.parent.split("::")[3]


@dataclass(frozen=True, kw_only=True)
class Export:
    """One output of the stack."""

    value: Any
    secret: bool


@dataclass
class Recording:
    """What a program registered.

    Attributes:
        registrations: Every resource, in the order in which it was registered.
        reads: Type, name and id of every resource that was read instead of made.
        outputs: Outputs that each component registered, by its URN.
        events: `register` and `outputs` with the URN, in order.
        exports: Outputs of the stack, by name.
    """

    registrations: list[Registration] = field(default_factory=list)
    reads: list[tuple[str, str, str]] = field(default_factory=list)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[tuple[str, str]] = field(default_factory=list)
    exports: dict[str, Export] = field(default_factory=dict)

    def of_type(self, token: str) -> list[Registration]:
        """Registrations of one type, by name."""
        return sorted((each for each in self.registrations if each.type == token), key=lambda each: each.name)

    def one(self, token: str, name: str | None = None) -> Registration:
        """The only registration of a type, or the one with this name."""
        found = [each for each in self.of_type(token) if name in (None, each.name)]
        assert len(found) == 1, f"{len(found)} of {token} {name or ''}: {[each.name for each in found]}"
        return found[0]

    def has_properties(self, token: str, name: str | None = None, /, **expected: Any) -> Registration:
        """The registration, after asserting some of its inputs; `ABSENT` for one it must not have."""
        found = self.one(token, name)
        for key, value in expected.items():
            actual = plain(found.inputs).get(key, ABSENT)
            assert actual == value, f"{token} {found.name}: {key} is {actual!r}, not {value!r}"
        return found


class ProviderAnswers(pulumi_mocks.Mocks):
    """Outputs as the real providers compute them; every resource has an id, an ARN and versions."""

    def __init__(self, overrides: Mapping[str, Mapping[str, Any]], marker: str) -> None:
        self._overrides = overrides
        self._marker = marker

    def call(self, args: pulumi_mocks.MockCallArgs) -> Any:
        """Answers of invokes."""
        return {
            "aws:index/getCallerIdentity:getCallerIdentity": {
                "accountId": ACCOUNT_ID, "arn": f"arn:aws:iam::{ACCOUNT_ID}:user/operator", "id": ACCOUNT_ID,
                "userId": "AIDAOPERATOR",
            },
            "aws:index/getPartition:getPartition": {
                "partition": "aws", "dnsSuffix": "amazonaws.com", "id": "aws",
                "reverseDnsPrefix": "com.amazonaws",
            },
            "aws:index/getRegion:getRegion": {
                "region": REGION, "name": REGION, "id": REGION, "description": "", "endpoint": "",
            },
            "aws:index/getAvailabilityZones:getAvailabilityZones": {
                "names": [f"{REGION}c", f"{REGION}a", f"{REGION}b"], "zoneIds": [], "groupNames": [],
                "id": REGION,
            },
        }[args.token]  # fmt: skip

    def new_resource(self, args: pulumi_mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        """Outputs of a resource."""
        if not args.custom and not args.resource_id:
            return "", dict(args.inputs)
        resource_id = args.resource_id or f"{args.name}-id"
        overrides = {**self._overrides.get(args.typ, {}), **self._overrides.get(args.name, {})}
        state = {**args.inputs, **self._computed(args, resource_id), **overrides}
        return resource_id, state

    def _computed(self, args: pulumi_mocks.MockResourceArgs, resource_id: str) -> dict[str, Any]:
        name = plain(args.inputs.get("name")) or f"{args.name}-physical"
        arn = f"arn:aws:{args.typ.split(':')[1].split('/')[0]}:{REGION}:{ACCOUNT_ID}:{args.name}"
        short = args.name.replace("-", "")
        authority = "tls:index/selfSignedCert:SelfSignedCert"
        revocation_list = "pulumi-python:dynamic/passwordless-postgres:RevocationList"
        by_type: dict[str, dict[str, Any]] = {
            "tls:index/privateKey:PrivateKey": {
                "privateKeyPem": f"{self._marker} sec1 {args.name}",
                "privateKeyOpenssh": f"{self._marker} openssh {args.name}",
                "privateKeyPemPkcs8": f"{self._marker} pkcs8 {args.name}",
                "publicKeyPem": f"public {args.name}",
            },
            "tls:index/certRequest:CertRequest": {"certRequestPem": f"request {args.name}"},
            authority: {"certPem": authority_pem(args.name) if args.typ == authority else ""},
            "tls:index/locallySignedCert:LocallySignedCert": {
                "certPem": f"leaf {args.name}\n",
                "validityEndTime": "2027-02-01T12:00:00+02:00",
            },
            "aws:ec2/networkInterface:NetworkInterface": {"privateIp": "10.20.0.10"},
            "aws:ec2/subnet:Subnet": {
                "availabilityZone": plain(args.inputs.get("availabilityZone"))
                # One that is read: `…-1`, `…-2` and `…-3` are in three zones.
                or REGION + {"2": "b", "3": "c"}.get(args.name[-1:], "a"),
                "vpcId": plain(args.inputs.get("vpcId")) or "vpc-0123456789abcdef0",
            },
            "aws:iam/role:Role": {"arn": f"arn:aws:iam::{ACCOUNT_ID}:role/{name}"},
            "aws:s3/bucket:Bucket": {"arn": f"arn:aws:s3:::{resource_id}", "bucket": resource_id},
            "aws:s3/bucketObjectv2:BucketObjectv2": {"versionId": f"version-{args.name}"},
            "aws:ssm/parameter:Parameter": {
                "arn": f"arn:aws:ssm:{REGION}:{ACCOUNT_ID}:parameter{name}", "version": 7,
            },
            "aws:secretsmanager/secret:Secret": {
                "arn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT_ID}:secret:{args.name}-AbCdEf",
            },
            "aws:secretsmanager/secretVersion:SecretVersion": {"versionId": f"version-{args.name}"},
            "aws:cloudwatch/logGroup:LogGroup": {
                "arn": f"arn:aws:logs:{REGION}:{ACCOUNT_ID}:log-group:{name}",
            },
            "aws:route53/zone:Zone": {"zoneId": "Z0123456789"},
            "aws:rds/instance:Instance": {
                "address": "main.abcdefghijkl.eu-central-1.rds.amazonaws.com",
                "resourceId": "db-ABCDEFGHIJKLMNOPQRSTUVWXYZ",
                "masterUserSecrets": [
                    {
                        "secretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT_ID}:secret:rds!db-1-AbCdEf",
                        "kmsKeyId": "key",
                        "secretStatus": "active",
                    }
                ],
            },
            "aws:lb/loadBalancer:LoadBalancer": {
                "dnsName": f"internal-{args.name}.{REGION}.elb.amazonaws.com", "zoneId": "Z215JYRZR1TBD5",
                "arnSuffix": f"app/{short}/1",
            },
            "aws:lb/targetGroup:TargetGroup": {"arnSuffix": f"targetgroup/{short}/1"},
            "aws:ec2/launchTemplate:LaunchTemplate": {"latestVersion": 3},
            "aws:acm/certificate:Certificate": {
                "domainValidationOptions": [
                    {
                        "domainName": plain(args.inputs.get("domainName")),
                        "resourceRecordName": f"_1.{plain(args.inputs.get('domainName'))}.",
                        "resourceRecordType": "CNAME", "resourceRecordValue": "_2.acm-validations.aws.",
                    }
                ],
            },
            "aws:route53/record:Record": {"fqdn": plain(args.inputs.get("name"))},
            revocation_list: {
                "pem": (
                    revocation_list_pem(plain(args.inputs["certificatePem"]))
                    if args.typ == revocation_list else ""
                ),
                "number": 1, "nextUpdate": "2027-02-01T12:00:00Z",
                "revokedSince": {}, "problem": "",
            },
            "pulumi-python:dynamic/passwordless-postgres:KeptImage": {
                "imageId": "ami-0123456789abcdef0", "imageName": "debian-13-arm64-20261101-2000",
                "problem": "",
            },
            "pulumi-python:dynamic/passwordless-postgres:NodeReport": {
                "outcome": "applied", "message": "serving", "serverVersion": "17.12", "pendingRestart": [],
            },
            "pulumi-python:dynamic/passwordless-postgres:GatewayReports": {
                "outcome": "applied", "message": "document 1 is served by 2 of 2 instances",
            },
            "pulumi-python:dynamic/passwordless-postgres:FunctionRun": {
                "outcome": "applied", "message": "applied", "steps": 12,
            },
            "pulumi-python:dynamic/passwordless-postgres:Serial": {"serial": 1_796_058_502.0},
        }  # fmt: skip
        return {"arn": arn, "name": name, **by_type.get(args.typ, {})}


class RecordingMonitor(pulumi_mocks.MockMonitor):
    """Keeps each request, refuses a URN seen twice, and wraps what a resource declares as secret."""

    def __init__(self, answers: ProviderAnswers, recording: Recording) -> None:
        super().__init__(_Wrapping(answers, self))
        self.recording = recording
        self.on_this_thread = threading.local()

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        """Record a registration."""
        urn = self.make_urn(request.parent, request.type, request.name)
        if urn in self.resources:
            raise AssertionError(f"registered twice: {urn}")
        self.on_this_thread.secret_outputs = list(request.additionalSecretOutputs)
        answer = super().RegisterResource(request)
        if request.type != "pulumi:pulumi:Stack":
            self.recording.registrations.append(
                Registration(
                    urn=urn,
                    type=request.type,
                    name=request.name,
                    parent=request.parent,
                    custom=request.custom,
                    inputs=json_format.MessageToDict(request.object),
                    request=request,
                )
            )
            self.recording.events.append(("register", urn))
        return answer

    def ReadResource(self, request: Any) -> Any:  # noqa: N802
        """Record a read."""
        self.on_this_thread.secret_outputs = []
        self.recording.reads.append((request.type, request.name, request.id))
        return super().ReadResource(request)

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        """Record outputs of a component or the stack."""
        outputs = json_format.MessageToDict(request.outputs)
        self.recording.outputs[request.urn] = outputs
        self.recording.events.append(("outputs", request.urn))
        return super().RegisterResourceOutputs(request)


class _Wrapping(pulumi_mocks.Mocks):
    def __init__(self, answers: ProviderAnswers, monitor: RecordingMonitor) -> None:
        self._answers = answers
        self._monitor = monitor

    def call(self, args: pulumi_mocks.MockCallArgs) -> Any:
        return self._answers.call(args)

    def new_resource(self, args: pulumi_mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        resource_id, state = self._answers.new_resource(args)
        for key in self._monitor.on_this_thread.secret_outputs:
            if key in state and not is_secret(state[key]):
                state[key] = pulumi.Output.secret(state[key])
        return resource_id, state


async def _exports_of(program: Callable[[], Any]) -> dict[str, Export]:
    await run_in_stack(program)
    stack = settings.get_root_resource()
    outputs: Mapping[str, Any] = getattr(stack, "outputs", {})
    exports = {}
    for name, value in outputs.items():
        output = pulumi.Output.from_input(value)
        exports[name] = Export(value=await output.future(), secret=await output.is_secret())
    return exports


def _forget() -> None:
    """Drop what an earlier program left in the SDK's global state."""
    sdk: Any = settings.SETTINGS
    sdk.rpc_manager.clear()
    sdk.outputs.clear()
    settings.set_root_resource(None)  # type: ignore[arg-type]


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    # Collections among the SDK's many objects take half of the time of a program that ends in a second.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def record(
    program: Callable[[], Any],
    *,
    stack: str = "sandbox",
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    marker: str = "PRIVATE-KEY-MARKER",
    preview: bool = False,
) -> Recording:
    """Run a program against the mock and return what it registered, once everything has settled.

    Args:
        program: Makes resources and exports.
        stack: Name of the stack.
        overrides: Outputs per type token or name that replace the usual ones.
        marker: Text that is part of every private key.
        preview: Whether `pulumi.runtime.is_dry_run()` is to be true.
    """
    recording = Recording()
    monitor = RecordingMonitor(ProviderAnswers(overrides or {}, marker), recording)
    # The SDK reads the whole stack at each registration, and below pytest it is deep: a new thread has none.
    with _without_garbage_collection(), ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(_run, program, monitor, stack, preview).result()
    return recording


def _run(program: Callable[[], Any], monitor: RecordingMonitor, stack: str, preview: bool) -> None:
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        asyncio.set_event_loop(loop)
        _forget()
        pulumi_mocks.set_mocks(
            monitor.mocks, project="passwordless-postgres", stack=stack, preview=preview, monitor=monitor
        )
        # The mocks make a stack, where the engine lets the program make it.
        settings.set_root_resource(None)  # type: ignore[arg-type]
        try:
            monitor.recording.exports = loop.run_until_complete(_exports_of(program))
        finally:
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.run_until_complete(asyncio.gather(*asyncio.all_tasks(loop), return_exceptions=True))
            _forget()
            asyncio.set_event_loop(None)


def aws_class(token: str) -> type | None:
    """The SDK's class of an AWS type token, None for other packages' tokens."""
    package, path, name = token.split(":")
    if package != "aws":
        return None
    module = path.split("/")[0]
    module += "_" if keyword.iskeyword(module) else ""
    return getattr(importlib.import_module(f"pulumi_aws.{module}"), name)


def is_taggable(token: str) -> bool:
    """Whether the SDK's class takes tags."""
    found: Any = aws_class(token)
    return found is not None and "tags" in inspect.signature(found._internal_init).parameters
