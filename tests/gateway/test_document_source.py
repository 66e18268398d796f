"""The document as the stack publishes it, on a loopback AWS that authenticates."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

import gateway.document_source
from emulator.endpoint.aws_endpoint import AwsEndpoint
from gateway.document_source import PublishedDocument
from gateway.errors import DocumentError

REGION = "eu-central-1"
BUCKET = "gateway-documents"
KEY = "document.json"
PARAMETER = "/gateway/document"


class Stack:
    """Publishes documents as the stack does."""

    def __init__(self, aws: AwsEndpoint) -> None:
        self.aws = aws
        self.objects = aws.client("s3")
        self.parameters = aws.client("ssm")

    def put(self, text: bytes) -> str:
        return self.objects.put_object(Bucket=BUCKET, Key=KEY, Body=text)["VersionId"]

    def point(self, **pointer: Any) -> None:
        self.parameters.put_parameter(
            Name=PARAMETER,
            Value=json.dumps({"bucket": BUCKET, "key": KEY, **pointer}),
            Type="String",
            Overwrite=True,
        )

    def publish(self, text: bytes) -> str:
        version = self.put(text)
        self.point(version=version, sha256=hashlib.sha256(text).hexdigest())
        return version

    def source(self, parameter: str = PARAMETER) -> PublishedDocument:
        key = self.aws.operator
        return PublishedDocument(
            parameter=parameter,
            region=REGION,
            session=lambda: boto3.Session(
                aws_access_key_id=key.access_key_id,
                aws_secret_access_key=key.secret_access_key,
                aws_session_token=key.session_token,
            ),
        )


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsEndpoint]:
    folder: Path = tmp_path_factory.mktemp("aws")
    running = AwsEndpoint(folder)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def stack(aws: AwsEndpoint, monkeypatch: pytest.MonkeyPatch) -> Stack:
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
    # If it were asked, the fetch would fail.
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    found = Stack(aws)
    if BUCKET not in {each["Name"] for each in found.objects.list_buckets()["Buckets"]}:
        found.objects.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        found.objects.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return found


def test_the_version_that_the_parameter_names_is_fetched_and_no_other(stack):
    version = stack.publish(b"first")
    stack.put(b"second, which nobody points to")
    found = stack.source().fetch(None)
    assert found is not None
    assert found.text == b"first"
    assert version in found.version


def test_what_is_known_is_not_fetched_again_until_the_parameter_changes(stack):
    stack.publish(b"first")
    source = stack.source()
    known = source.fetch(None).version
    assert source.fetch(known) is None
    stack.publish(b"second")
    assert source.fetch(known).text == b"second"


def test_a_document_that_is_not_what_the_stack_published_is_refused(stack):
    version = stack.put(b"changed")
    stack.point(version=version, sha256=hashlib.sha256(b"published").hexdigest())
    with pytest.raises(DocumentError, match="it is not what the stack published"):
        stack.source().fetch(None)
    stack.point(version=version, sha256=hashlib.sha256(b"changed").hexdigest())
    assert stack.source().fetch(None).text == b"changed"


def test_a_version_that_is_gone_is_said_to_be(stack):
    stack.point(version="0" * 32, sha256="0" * 64)
    with pytest.raises(DocumentError, match=r"s3://gateway-documents/document.json cannot be fetched: "):
        stack.source().fetch(None)


def test_a_parameter_that_is_not_there_is_named(stack):
    with pytest.raises(DocumentError, match="'/elsewhere' in eu-central-1 cannot be read: ParameterNotFound"):
        stack.source("/elsewhere").fetch(None)


@pytest.mark.parametrize(
    "value", ["nothing", "{}", '{"bucket": "b", "key": "k", "version": "v", "sha256": "x"}']
)
def test_a_parameter_that_is_no_pointer_is_named(stack, value):
    stack.parameters.put_parameter(Name=PARAMETER, Value=value, Type="String", Overwrite=True)
    with pytest.raises(DocumentError, match="is not a pointer"):
        stack.source().fetch(None)


def test_a_source_without_a_network_says_so(stack, monkeypatch):
    stack.publish(b"first")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:1")
    with pytest.raises(
        DocumentError, match="'/gateway/document' in eu-central-1 cannot be read: Could not connect"
    ):
        stack.source().fetch(None)


def test_a_bucket_of_another_account_is_refused(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    stack.publish(b"{}")
    monkeypatch.setattr(gateway.document_source, "account_of", lambda _: "210987654321")
    with pytest.raises(DocumentError, match=r"of s3://.* cannot be fetched: AccessDenied: Access Denied"):
        stack.source().fetch(None)
