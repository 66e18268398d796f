"""Our signature against that of the SDK."""

from __future__ import annotations

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as SdkCredentials

from gateway import launcher
from runtime.errors import FailedError
from runtime.signed_requests import AwsError, Credentials, SignedRequests, endpoint, signed_headers


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
        credentials=Credentials(access_key="AKIDEXAMPLE", secret_key="wJalrXUtnFEMI/K7MDENG", token=token),
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


def test_the_gateways_launcher_signs_the_same() -> None:
    host, path, query = (
        "program.s3.eu-central-1.amazonaws.com",
        "/a%20b/gateway.zip",
        "versionId=a%2Bb%2Fc%3D",
    )
    moment = "20261123T120000Z"
    keys = {"AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "a secret key", "Token": "session+token/="}
    ours = signed_headers(
        {"host": host, "x-amz-content-sha256": launcher.EMPTY},
        method="GET",
        path=path,
        query=query,
        body=b"",
        service="s3",
        region="eu-central-1",
        credentials=Credentials(
            access_key=keys["AccessKeyId"], secret_key=keys["SecretAccessKey"], token=keys["Token"]
        ),
        now=moment,
    )
    assert launcher.signed(f"https://{host}{path}?{query}", "eu-central-1", keys, moment) == ours


def test_endpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert endpoint("ssm", "eu-central-1") == "https://ssm.eu-central-1.amazonaws.com"
    assert endpoint("logs", "cn-north-1") == "https://logs.cn-north-1.amazonaws.com.cn"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:1/")
    assert endpoint("ssm", "eu-central-1") == "http://localhost:1"
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", "http://localhost:2")
    assert endpoint("ssm", "eu-central-1") == "http://localhost:2"


def test_errors_carry_awss_own_name(environment: None) -> None:
    requests = SignedRequests(region="eu-central-1", credentials=Credentials.find())
    with pytest.raises(AwsError, match="ParameterNotFound") as raised:
        requests.call("ssm", "AmazonSSM.GetParameter", {"Name": "/none"})
    assert raised.value.code == "ParameterNotFound"


def test_an_unreachable_endpoint_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    requests = SignedRequests(
        region="eu-central-1", credentials=Credentials(access_key="a", secret_key="secret-key")
    )
    with pytest.raises(FailedError, match=r"127\.0\.0\.1:9 cannot be reached"):
        requests.call("ssm", "AmazonSSM.GetParameter", {})
    assert "secret-key" not in repr(requests)
