"""Keys, signatures and times."""

from __future__ import annotations

import dataclasses
import time

import pytest
import requests
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from emulator.endpoint.credentials import AccessKey, Session


def refusal(client, operation, **arguments) -> str:
    with pytest.raises(ClientError) as refused:
        getattr(client, operation)(**arguments)
    return refused.value.response.get("Error", {}).get("Code", "")


CALLS = [
    ("s3", "list_buckets", {}),
    ("ssm", "get_parameter", {"Name": "/a"}),
    ("sts", "get_caller_identity", {}),
    ("ec2", "describe_images", {}),
]


@pytest.mark.parametrize(
    ("call", "wanted"),
    list(
        zip(
            CALLS,
            ["InvalidAccessKeyId", "UnrecognizedClientException", "InvalidClientTokenId", "AuthFailure"],
            strict=True,
        )
    ),
)
def test_unknown_keys_are_refused_as_each_service_does(aws, call, wanted):
    key = AccessKey(access_key_id="AKIAIOSFODNN7EXAMPLE", secret_access_key="x" * 40)
    service, operation, arguments = call
    assert refusal(aws.endpoint.client(service, key=key), operation, **arguments) == wanted


@pytest.mark.parametrize(
    ("call", "wanted"),
    list(
        zip(
            CALLS,
            ["SignatureDoesNotMatch", "InvalidSignatureException", "SignatureDoesNotMatch", "AuthFailure"],
            strict=True,
        )
    ),
)
def test_a_wrong_secret_key_is_refused(aws, call, wanted):
    key = dataclasses.replace(aws.endpoint.operator, secret_access_key="x" * 40)
    service, operation, arguments = call
    assert refusal(aws.endpoint.client(service, key=key), operation, **arguments) == wanted


@pytest.mark.parametrize(
    ("call", "wanted"),
    list(
        zip(CALLS, ["ExpiredToken", "ExpiredTokenException", "ExpiredToken", "RequestExpired"], strict=True)
    ),
)
def test_expired_sessions_are_refused(aws, call, wanted):
    arn = aws.role("r")
    session = Session(role_arn=arn, role_id="AROA", name="s", expiration=time.time() - 1)
    key = aws.endpoint._door.credentials.issue(session)
    service, operation, arguments = call
    assert refusal(aws.endpoint.client(service, key=key), operation, **arguments) == wanted


def test_a_session_needs_its_own_token(aws):
    arn = aws.role("r")
    one, other = aws.assume(arn), aws.assume(arn)
    own = one.session_token or ""
    # Another character in any case: one token in 64 begins with the letter that would replace it.
    changed = ("B" if own.startswith("A") else "A") + own[1:]
    for token in (None, other.session_token, changed):
        key = dataclasses.replace(one, session_token=token)
        assert refusal(aws.endpoint.client("sts", key=key), "get_caller_identity") == "InvalidClientTokenId"


def signed(aws, method: str, path: str, body: bytes = b"", service: str = "s3", **headers: str) -> AWSRequest:
    key = aws.endpoint.operator
    request = AWSRequest(method, aws.endpoint.url + path, headers, body)
    signer = S3SigV4Auth if service == "s3" else SigV4Auth
    signer(Credentials(key.access_key_id, key.secret_access_key), service, "eu-central-1").add_auth(request)
    return request


def send(request: AWSRequest) -> requests.Response:
    prepared = request.prepare()
    return requests.request(
        prepared.method, prepared.url, data=prepared.body, headers=dict(prepared.headers), timeout=10
    )


def test_what_was_signed_cannot_be_changed(aws):
    aws.bucket("state")
    control = signed(aws, "PUT", "/state/a%20b/c%2Bd?tagging=x%3D1", b"<Tagging/>")
    assert send(control).status_code != 403

    assert send(signed(aws, "PUT", "/state/a", b"right")).status_code == 200
    for change in ("method", "path", "query", "body", "header", "date"):
        request = signed(aws, "PUT", "/state/a", b"right", **{"x-amz-meta-a": "1"})
        match change:
            case "method":
                request.method = "DELETE"
            case "path":
                request.url = aws.endpoint.url + "/state/b"
            case "query":
                request.url = aws.endpoint.url + "/state/a?versionId=1"
            case "body":
                request.data = b"wrong"
            case "header":
                request.headers.replace_header("x-amz-meta-a", "2")
            case "date":
                request.headers.replace_header("X-Amz-Date", "20260101T000000Z")
        answer = send(request)
        assert (answer.status_code, "SignatureDoesNotMatch" in answer.text) == (403, True), change
    assert aws.endpoint.client("s3").get_object(Bucket="state", Key="a")["Body"].read() == b"right"


def test_unsigned_headers_of_aws_are_refused(aws):
    request = signed(aws, "GET", "/")
    request.headers["x-amz-copy-source"] = "state/a"
    assert "SignatureDoesNotMatch" in send(request).text


def test_unsigned_requests_are_refused(aws):
    assert requests.get(aws.endpoint.url + "/state/a", timeout=10).status_code == 403
    answer = requests.post(
        aws.endpoint.url, headers={"X-Amz-Target": "AmazonSSM.GetParameter"}, data="{}", timeout=10
    )
    assert "MissingAuthenticationToken" in answer.text
    answer = requests.post(aws.endpoint.url, data={"Action": "GetCallerIdentity"}, timeout=10)
    assert "MissingAuthenticationToken" in answer.text


def test_s3_takes_unsigned_payloads(aws):
    aws.bucket("state")
    request = signed(aws, "PUT", "/state/a", b"x", **{"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})
    assert send(request).status_code in (200, 403)


def test_old_signatures_are_refused(aws, monkeypatch):
    from datetime import UTC, datetime, timedelta

    from emulator.endpoint import signature
    from emulator.endpoint.exchange import HttpRequest

    request = signed(aws, "GET", "/").prepare()
    plain = HttpRequest(
        method="GET",
        target="/",
        headers=(
            ("Host", f"localhost:{aws.endpoint.port}"),
            *((k, _text(v)) for k, v in request.headers.items()),
        ),
        body=b"",
    )
    scope = signature.read_scope(plain)
    secret = aws.endpoint.operator.secret_access_key
    signature.verify(plain, scope, secret)
    with pytest.raises(signature.WrongTime):
        signature.verify(plain, scope, secret, now=datetime.now(UTC) + timedelta(minutes=16))


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
