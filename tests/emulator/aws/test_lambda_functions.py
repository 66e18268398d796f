"""Lambda functions at the level of the protocol: what the provider and AWS refuse."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any

import pytest

from emulator.core.properties import UNKNOWN
from tests.emulator.lambda_.conftest import zipped

FUNCTION = "aws:lambda/function:Function"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
ROLE = "aws:iam/role:Role"
POLICY = "aws:iam/rolePolicy:RolePolicy"
BUCKET = "aws:s3/bucket:Bucket"
OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"
ARTIFACT = zipped(handler="def handle(event, context):\n    return event\n")


def role(engine, name: str = "task", service: str = "lambda.amazonaws.com", *actions: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    role_id, outputs, _ = engine.create(ROLE, name, {"assumeRolePolicy": trust, "name": name})
    if actions:
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        engine.create(POLICY, name, {"role": role_id, "name": name, "policy": document})
    return outputs["arn"]


def code(engine, content: bytes = ARTIFACT) -> dict[str, Any]:
    bucket, *_ = engine.create(BUCKET, "code", {})
    engine.create(
        OBJECT,
        "code",
        {"bucket": bucket, "key": "code.zip", "contentBase64": base64.b64encode(content).decode()},
    )
    return {"s3Bucket": bucket, "s3Key": "code.zip"}


def good(engine, **changes: Any) -> dict[str, Any]:
    inputs = {"runtime": "python3.13", "handler": "handler.handle", **code(engine), "role": role(engine)}
    return {name: value for name, value in {**inputs, **changes}.items() if value is not None}


def test_a_function_is_made_and_runs(engine) -> None:
    function, outputs, _ = engine.create(FUNCTION, "task", good(engine, timeout=10))
    assert outputs["arn"] == f"arn:aws:lambda:eu-central-1:123456789012:function:{function}"
    assert outputs["loggingConfig"]["logGroup"] == f"/aws/lambda/{function}"
    assert engine.functions.invoke(function, b"[1]").payload == [1]
    engine.restart()
    assert engine.functions.invoke(function, b"[2]").payload == [2]


def test_a_preview_knows_its_arn(engine) -> None:
    inputs = good(engine)
    previewed, before, _ = engine.create(FUNCTION, "task", inputs, preview=True)
    made, after, _ = engine.create(FUNCTION, "task", inputs)
    for name in ("arn", "qualifiedArn", "invokeArn", "qualifiedInvokeArn", "version", "loggingConfig"):
        assert before[name] == after[name]
    assert previewed == made
    assert before["lastModified"] is before["sourceCodeSize"] is UNKNOWN
    assert after["sourceCodeSize"] == len(ARTIFACT)
    assert datetime.fromisoformat(after["lastModified"]).tzinfo is not None


def test_a_preview_of_other_code_knows_that_it_changes_the_size(engine) -> None:
    function, outputs, checked = engine.create(FUNCTION, "task", good(engine))
    for changes, unknown in (({"timeout": 9}, False), ({"sourceCodeHash": "x"}, True)):
        previewed = engine.update(
            FUNCTION, "task", function, checked, outputs, {**checked, **changes}, preview=True
        )
        assert previewed["lastModified"] is UNKNOWN
        assert (previewed["sourceCodeSize"] is UNKNOWN) == unknown


def test_new_code_is_run_from_then_on(engine) -> None:
    inputs = good(engine)
    function, outputs, checked = engine.create(FUNCTION, "task", inputs)
    other = zipped(handler="def handle(event, context):\n    return 'new'\n")
    engine.create(
        OBJECT,
        "newer",
        {"bucket": inputs["s3Bucket"], "key": "new.zip", "contentBase64": base64.b64encode(other).decode()},
    )
    engine.update(FUNCTION, "task", function, checked, outputs, {**checked, "s3Key": "new.zip"})
    assert engine.functions.invoke(function, b"null").payload == "new"


def test_a_deleted_function_is_gone(engine) -> None:
    function, outputs, checked = engine.create(FUNCTION, "task", good(engine))
    engine.delete(FUNCTION, "task", function, checked, outputs)
    assert not engine.read(FUNCTION, "task", function).id


@pytest.mark.parametrize(
    ("changes", "name", "words"),
    [
        ({"memorySize": 127}, "memorySize", "range (128 - 10240), got 127"),
        ({"timeout": 901}, "timeout", "range (1 - 900), got 901"),
        ({"runtime": "python2.7"}, "runtime", "python2.7"),
        ({"runtime": None}, "runtime", "handler and runtime must be set"),
        ({"handler": "a b"}, "handler", "no spaces"),
        ({"name": "a/b"}, "name", "letters, digits"),
        ({"s3Bucket": None}, "code", "must be specified"),
        ({"s3Key": None}, "s3Key", "required"),
        ({"imageUri": "image"}, "code", "must be specified"),
        ({"environment": {"variables": {"AWS_REGION": "x"}}}, "environment", "reserved keys"),
        ({"environment": {"variables": {"A": "x" * 4100}}}, "environment", "exceed the limit of 4096"),
    ],
)
def test_the_provider_refuses_before_anything_is_made(engine, changes, name, words) -> None:
    _, failures = engine.check(FUNCTION, "task", good(engine, **changes))
    assert words in failures[name]


def test_aws_refuses_a_role_that_lambda_cannot_assume(engine) -> None:
    inputs = good(engine, role=role(engine, "machines", "ec2.amazonaws.com"))
    said = engine.refused(lambda: engine.create(FUNCTION, "task", inputs))
    assert "cannot be assumed by Lambda" in said


def test_aws_refuses_code_that_is_not_there(engine) -> None:
    said = engine.refused(lambda: engine.create(FUNCTION, "task", good(engine, s3Key="other.zip")))
    assert "NoSuchKey" in said


def test_aws_refuses_code_that_is_no_zip_file(engine) -> None:
    inputs = {**good(engine), "s3Key": "text"}
    engine.create(OBJECT, "text", {"bucket": inputs["s3Bucket"], "key": "text", "content": "text"})
    assert "Could not unzip" in engine.refused(lambda: engine.create(FUNCTION, "task", inputs))


def network_of(engine) -> dict[str, list[str]]:
    vpc, *_ = engine.create("aws:ec2/vpc:Vpc", "net", {"cidrBlock": "10.20.0.0/16"})
    place = {"vpcId": vpc, "cidrBlock": "10.20.1.0/24", "availabilityZone": "eu-central-1a"}
    subnet, *_ = engine.create("aws:ec2/subnet:Subnet", "net", place)
    group, *_ = engine.create(GROUP, "net", {"vpcId": vpc})
    return {"subnetIds": [subnet], "securityGroupIds": [group]}


@pytest.mark.parametrize("gone", ["policy", "role", None])
def test_a_security_group_outlives_the_network_interfaces_of_its_function(engine, gone: str | None) -> None:
    """Lambda takes them away as the function's role, which has to be there until then."""
    network = network_of(engine)
    interfaces = ("ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface")
    arn = role(engine, "task", "lambda.amazonaws.com", *interfaces)
    made = engine.create(FUNCTION, "task", good(engine, role=arn, vpcConfig=network))
    group = network["securityGroupIds"][0]

    def delete_group() -> None:
        engine.delete(GROUP, "net", group, {}, {})

    assert "has a dependent object" in engine.refused(delete_group)
    engine.delete(FUNCTION, "task", *(made[index] for index in (0, 2, 1)))
    if gone is None:
        delete_group()
        return
    engine.delete(POLICY, "task", "task:task", {"role": "task", "name": "task"}, {})
    if gone == "role":
        engine.delete(ROLE, "task", "task", {"name": "task"}, {})
    assert "has a dependent object" in engine.refused(delete_group)


def test_aws_refuses_a_vpc_function_whose_role_may_not_connect_it(engine) -> None:
    network = network_of(engine)
    inputs = good(engine, vpcConfig=network)
    said = engine.refused(lambda: engine.create(FUNCTION, "task", inputs))
    assert "does not have permissions to call CreateNetworkInterface" in said
    allowed = role(engine, "connected", "lambda.amazonaws.com", "ec2:CreateNetworkInterface")
    engine.create(FUNCTION, "control", {**inputs, "role": allowed})
    unknown = {**inputs, "role": allowed, "vpcConfig": {**network, "subnetIds": ["subnet-0123456789abcdef0"]}}
    said = engine.refused(lambda: engine.create(FUNCTION, "task", unknown))
    assert "subnet-0123456789abcdef0" in said
