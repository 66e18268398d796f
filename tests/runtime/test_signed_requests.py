"""Our signature against that of the SDK."""

from __future__ import annotations

import http.client
from typing import Any

import boto3
import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as SdkCredentials

from runtime.bootstrap import endpoint, object_url, signed_headers
from runtime.errors import FailedError
from runtime.signed_requests import AwsError, Credentials, SignedRequests
from tests.runtime.instance import ACCOUNT


@pytest.mark.parametrize("token", [None, "session+token/="])
@pytest.mark.parametrize("service", ["ssm", "logs"])
def test_signature_is_the_sdks_own(token: str | None, service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    body = '{"Name": "/päth", "n": 1}'.encode()
    host = f"{service}.eu-central-1.amazonaws.com"
    ours = signed_headers(
        {
            "content-type": "application/x-amz-json-1.1",
            "host": host,
            "x-amz-target": "AmazonSSM.GetParameter",
        },
        method="POST",
        path="/",
        body=body,
        service=service,
        region="eu-central-1",
        identity=Credentials(
            access_key="AKIDEXAMPLE", secret_key="wJalrXUtnFEMI/K7MDENG", token=token
        ).identity(),
        now="20261123T120000Z",
    )
    request = AWSRequest(
        method="POST",
        url=f"https://{host}/",
        data=body,
        headers={"content-type": "application/x-amz-json-1.1", "x-amz-target": "AmazonSSM.GetParameter"},
    )
    auth = SigV4Auth(SdkCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG", token), service, "eu-central-1")
    request.context["timestamp"] = "20261123T120000Z"
    request.headers["X-Amz-Date"] = "20261123T120000Z"
    if token:
        request.headers["X-Amz-Security-Token"] = token
    canonical = auth.canonical_request(request)
    signature = auth.signature(auth.string_to_sign(request, canonical), request)
    assert ours["authorization"].endswith(f"Signature={signature}")
    assert f"SignedHeaders={auth.signed_headers(auth.headers_to_sign(request))}," in ours["authorization"]


def test_endpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert endpoint("ssm", "eu-central-1") == "https://ssm.eu-central-1.amazonaws.com"
    assert endpoint("logs", "cn-north-1") == "https://logs.cn-north-1.amazonaws.com.cn"
    assert object_url("cn-north-1", "b", "k") == "https://b.s3.cn-north-1.amazonaws.com.cn/k"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:1/")
    assert endpoint("ssm", "eu-central-1") == "http://localhost:1"
    assert object_url("eu-central-1", "b", "k/l") == "http://localhost:1/b/k/l"
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", "http://localhost:2")
    assert endpoint("ssm", "eu-central-1") == "http://localhost:2"


def test_errors_carry_awss_own_name(environment: None) -> None:
    requests = SignedRequests(region="eu-central-1", credentials=Credentials.find())
    with pytest.raises(AwsError, match="ParameterNotFound") as raised:
        requests.call("ssm", "AmazonSSM.GetParameter", {"Name": "/none"})
    assert raised.value.code == "ParameterNotFound"


def test_the_newest_version_of_an_object_is_read(environment: None) -> None:
    s3 = boto3.client("s3", region_name="eu-central-1")
    s3.create_bucket(Bucket="desired", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    requests = SignedRequests(region="eu-central-1", credentials=Credentials.find())
    for content in (b"first", b"second"):
        s3.put_object(Bucket="desired", Key="a b/manifest.json", Body=content)
        assert requests.object("desired", "a b/manifest.json", ACCOUNT) == content
    with pytest.raises(AwsError, match=r"s3://desired/none: NoSuchKey") as raised:
        requests.object("desired", "none", ACCOUNT)
    assert raised.value.code == "NoSuchKey"


def test_a_read_of_s3_expects_the_owner_under_the_sdks_own_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []

    def refuse(connection: Any, method: str, path: str, body: Any, headers: dict[str, str]) -> None:
        sent.append((method, f"https://{connection.host}{path}", body, dict(headers)))
        raise OSError("not sent")

    monkeypatch.setattr(http.client.HTTPSConnection, "request", refuse)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    keys = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG", "session+token/=")
    requests = SignedRequests(
        region="eu-central-1",
        credentials=Credentials(access_key=keys[0], secret_key=keys[1], token=keys[2]),
    )
    with pytest.raises(FailedError, match=r"desired\.s3\.eu-central-1\.amazonaws\.com cannot be reached"):
        requests.object("desired", "a b/ä.json", ACCOUNT)
    ((method, url, body, headers),) = sent
    assert (method, body) == ("GET", None)
    assert url == "https://desired.s3.eu-central-1.amazonaws.com/a%20b/%C3%A4.json"
    assert headers["x-amz-expected-bucket-owner"] == ACCOUNT
    authorization = headers.pop("authorization")
    request = AWSRequest(method="GET", url=url, headers=headers)
    request.context["timestamp"] = headers["x-amz-date"]
    auth = S3SigV4Auth(SdkCredentials(*keys), "s3", "eu-central-1")
    signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    assert authorization.endswith(f"Signature={signature}")
    assert "x-amz-expected-bucket-owner" in authorization


def test_an_unreachable_endpoint_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    requests = SignedRequests(
        region="eu-central-1", credentials=Credentials(access_key="a", secret_key="secret-key")
    )
    with pytest.raises(FailedError, match=r"127\.0\.0\.1:9 cannot be reached"):
        requests.call("ssm", "AmazonSSM.GetParameter", {})
    assert "secret-key" not in repr(requests)
