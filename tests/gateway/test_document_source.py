"""The document as the stack publishes it, on a loopback AWS that authenticates."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from documents.document import ObjectAddress
from emulator.endpoint.aws_endpoint import AwsEndpoint
from gateway.document_source import PublishedDocument
from gateway.errors import DocumentError

REGION = "eu-central-1"
ACCOUNT = "123456789012"
BUCKET = "gateway-documents"
KEY = "gateway.json"


class Stack:
    """Publishes documents as the stack does."""

    def __init__(self, aws: AwsEndpoint) -> None:
        self.aws = aws
        self.objects = aws.client("s3")

    def publish(self, text: bytes) -> str:
        return self.objects.put_object(Bucket=BUCKET, Key=KEY, Body=text)["VersionId"]

    def source(self, key: str = KEY, account: str = ACCOUNT) -> PublishedDocument:
        own = self.aws.operator
        return PublishedDocument(
            ObjectAddress(bucket=BUCKET, key=key),
            account=account,
            region=REGION,
            session=lambda: boto3.Session(
                aws_access_key_id=own.access_key_id,
                aws_secret_access_key=own.secret_access_key,
                aws_session_token=own.session_token,
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


def test_what_is_known_is_not_fetched_again_until_it_changes(stack: Stack) -> None:
    stack.publish(b"first")
    source = stack.source()
    first = source.fetch(None)
    assert first is not None
    assert first.text == b"first"
    assert source.fetch(first.version) is None
    stack.publish(b"second")
    second = source.fetch(first.version)
    assert second is not None
    assert second.text == b"second"


def test_who_may_write_parameters_changes_nothing(stack: Stack) -> None:
    older = stack.publish(b"older")
    stack.publish(b"current")
    for name in ("/passwordless-postgres/prod/gateway/document", f"/{BUCKET}"):
        value = json.dumps({"bucket": BUCKET, "key": KEY, "version": older})
        stack.aws.client("ssm").put_parameter(Name=name, Value=value, Type="String", Overwrite=True)
    found = stack.source().fetch(None)
    assert found is not None
    assert found.text == b"current"


def test_an_object_that_was_deleted_and_made_again_is_followed(stack: Stack) -> None:
    stack.publish(b"first")
    source = stack.source()
    first = source.fetch(None)
    assert first is not None
    stack.objects.delete_object(Bucket=BUCKET, Key=KEY)
    with pytest.raises(DocumentError, match=r"s3://gateway-documents/gateway.json cannot be fetched: NoSuch"):
        source.fetch(first.version)
    stack.publish(b"made again")
    again = source.fetch(first.version)
    assert again is not None
    assert again.text == b"made again"


def test_an_object_that_is_not_there_is_named(stack: Stack) -> None:
    with pytest.raises(DocumentError, match=r"s3://gateway-documents/elsewhere cannot be fetched: NoSuchKey"):
        stack.source("elsewhere").fetch(None)


def test_a_source_without_a_network_says_so(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    stack.publish(b"first")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:1")
    with pytest.raises(DocumentError, match=r"gateway\.json cannot be fetched: Could not connect"):
        stack.source().fetch(None)


def test_a_bucket_of_another_account_is_refused(stack: Stack) -> None:
    stack.publish(b"{}")
    with pytest.raises(DocumentError, match=r"s3://.* cannot be fetched: AccessDenied: Access Denied"):
        stack.source(account="210987654321").fetch(None)
