"""What the machine's own role may do, tried with its own credentials in the running sandbox."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from typing import Any

import boto3
import psutil
import pytest
from botocore.exceptions import ClientError
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from tests.behaviour.conftest import RunningSandbox

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def machine(changing_sandbox: RunningSandbox) -> dict[str, Any]:
    """What user-data says about the machine."""
    (path,) = changing_sandbox.state.glob("machines/*/root/etc/passwordless-postgres/machine.json")
    return json.loads(path.read_text())


@retry(retry=retry_if_result(lambda found: found is None), stop=stop_after_delay(60), wait=wait_fixed(0.02))
def metadata_address(sandbox: RunningSandbox) -> str | None:
    """Where the machine's launcher is told to find its metadata; nobody else can guess that address."""
    (root,) = sandbox.state.glob("machines/*/root")
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            environment = process.environ()
            if environment.get("PASSWORDLESS_POSTGRES_ROOT") == str(root):
                return environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "").rstrip("/") or None
    return None


@pytest.fixture(scope="module")
def as_machine(changing_sandbox: RunningSandbox) -> boto3.Session:
    """A session with the machine's credentials, from its metadata service."""
    address = metadata_address(changing_sandbox)
    ask = urllib.request.Request(  # noqa: S310  a loopback address that the sandbox just gave
        f"{address}/latest/api/token", method="PUT", headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    )
    with urllib.request.urlopen(ask) as answer:  # noqa: S310
        token = answer.read().decode()

    def metadata(path: str) -> str:
        request = urllib.request.Request(  # noqa: S310
            f"{address}/latest/meta-data/{path}", headers={"X-aws-ec2-metadata-token": token}
        )
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            return answer.read().decode()

    role = metadata("iam/security-credentials/").strip()
    credentials = json.loads(metadata(f"iam/security-credentials/{role}"))
    return boto3.Session(
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["Token"],
        region_name="eu-central-1",
    )


@pytest.fixture(scope="module")
def as_operator(changing_sandbox: RunningSandbox) -> boto3.Session:
    """A session of whoever deployed."""
    environment = changing_sandbox.context["environment"]
    return boto3.Session(
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name="eu-central-1",
    )


def client(session: Any, sandbox: RunningSandbox, service: str) -> Any:
    return session.client(service, endpoint_url=sandbox.context["environment"]["AWS_ENDPOINT_URL"])


def denied(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as failure:
        call(**arguments)
    error: dict[str, Any] = dict(failure.value.response.get("Error", {}))
    assert error["Code"] in {"AccessDeniedException", "AccessDenied"}
    return error["Message"]


def secret_arns(sandbox: RunningSandbox) -> dict[str, str]:
    """ARNs of all identity secrets by the logical name of their resource."""
    return {
        each["urn"].rsplit("::", 1)[1]: each["outputs"]["arn"]
        for each in sandbox.exported_state()["deployment"]["resources"]
        if each["type"] == "aws:secretsmanager/secret:Secret"
    }


def test_it_reads_its_own_identity_and_nobody_elses(
    changing_sandbox: RunningSandbox, as_machine: boto3.Session
) -> None:
    secrets = client(as_machine, changing_sandbox, "secretsmanager")
    arns = secret_arns(changing_sandbox)
    (own,) = [arn for name, arn in arns.items() if "-role-" not in name]
    others = [arn for name, arn in arns.items() if "-role-" in name]
    assert "privateKey" in json.loads(secrets.get_secret_value(SecretId=own)["SecretString"])
    assert len(others) >= 3
    for arn in others:
        assert "secretsmanager:GetSecretValue" in denied(secrets.get_secret_value, SecretId=arn)
    assert "secretsmanager:PutSecretValue" in denied(
        secrets.put_secret_value, SecretId=own, SecretString="{}"
    )


def test_it_reads_its_desired_state_and_cannot_write_it(
    changing_sandbox: RunningSandbox, as_machine: boto3.Session, machine: dict[str, Any]
) -> None:
    objects = client(as_machine, changing_sandbox, "s3")
    manifest = objects.get_object(Bucket=machine["bucket"], Key="manifest.json")["Body"].read()
    denied(objects.put_object, Bucket=machine["bucket"], Key="manifest.json", Body=manifest)
    denied(objects.delete_object, Bucket=machine["bucket"], Key="manifest.json")
    files = json.loads(manifest)["files"]
    for file in files.values():
        assert objects.get_object(Bucket=machine["bucket"], Key=file["key"], VersionId=file["version"])[
            "Body"
        ].read()
        denied(
            objects.put_object,
            Bucket=machine["bucket"],
            Key=file["key"],
            Body=b"host all all 0.0.0.0/0 trust",
        )
        denied(objects.delete_object, Bucket=machine["bucket"], Key=file["key"])


def test_it_reads_no_manifest_but_the_current_one_whoever_names_another(
    changing_sandbox: RunningSandbox,
    as_operator: boto3.Session,
    as_machine: boto3.Session,
    machine: dict[str, Any],
) -> None:
    """An older manifest would bring back an older node."""
    operator = client(as_operator, changing_sandbox, "s3")
    location = {"Bucket": machine["bucket"], "Key": "manifest.json"}
    manifest = operator.get_object(**location)["Body"].read()
    another = operator.put_object(**location, Body=manifest)["VersionId"]
    objects = client(as_machine, changing_sandbox, "s3")
    try:
        assert "s3:GetObjectVersion" in denied(objects.get_object, **location, VersionId=another)
    finally:
        operator.delete_object(**location, VersionId=another)


def test_it_writes_its_own_report_and_nothing_beside_it(
    changing_sandbox: RunningSandbox,
    as_operator: boto3.Session,
    as_machine: boto3.Session,
    machine: dict[str, Any],
) -> None:
    location = {"Bucket": machine["bucket"], "Key": machine["reportKey"]}
    report = client(as_operator, changing_sandbox, "s3").get_object(**location)["Body"].read()
    objects = client(as_machine, changing_sandbox, "s3")
    objects.put_object(**location, Body=report)
    denied(objects.put_object, Bucket=machine["bucket"], Key=f"{location['Key']}.other", Body=report)


def test_it_cannot_make_itself_mightier(changing_sandbox: RunningSandbox, as_machine: boto3.Session) -> None:
    caller = client(as_machine, changing_sandbox, "sts").get_caller_identity()["Arn"]
    role = caller.split("/")[1]
    roles = client(as_machine, changing_sandbox, "iam")
    denied(roles.put_role_policy, RoleName=role, PolicyName="more", PolicyDocument='{"Statement": []}')
    denied(roles.list_roles)
