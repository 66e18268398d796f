"""Launch templates and auto scaling groups at the level of the protocol, up to requests."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from pathlib import Path
from typing import Any

import pytest

from emulator.acm.service import HOST
from emulator.autoscaling.model import LaunchTemplate
from emulator.core.properties import UNKNOWN
from tests.emulator.autoscaling.conftest import SECONDS, artifact, machine_of, user_data
from tests.emulator.aws.gateway_parts import LISTENER, PREFIX, SUBNET, Parts
from tests.emulator.rds.conftest import free_port

TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
GROUP = "aws:autoscaling/group:Group"
POLICY = "aws:autoscaling/policy:Policy"
ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
PROFILE = "aws:iam/instanceProfile:InstanceProfile"
IMAGE = "ami-0d13a46415020002a"
SCALES = {"minSize": 1, "maxSize": 2, "launchTemplate": {"id": "lt-1"}, "vpcZoneIdentifiers": ["subnet-1"]}
TRACKS = {
    "autoscalingGroupName": "gateways",
    "policyType": "TargetTrackingScaling",
    "targetTrackingConfiguration": {
        "targetValue": 50,
        "predefinedMetricSpecification": {"predefinedMetricType": "ASGAverageCPUUtilization"},
    },
}


@pytest.fixture
def parts(engine) -> Parts:
    return Parts(engine)


def profile(parts: Parts) -> str:
    """The ARN of a profile whose role reads every object."""
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role, *_ = parts.engine.create(ROLE, "gateway", {"assumeRolePolicy": document, "name": "gateway"})
    reads = {"Effect": "Allow", "Action": ["s3:GetObjectVersion"], "Resource": "arn:aws:s3:::*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [reads]})
    parts.engine.create(ROLE_POLICY, "gateway", {"role": role, "policy": document})
    return parts.engine.create(PROFILE, "gateway", {"role": role, "name": "gateway"})[1]["arn"]


def program(parts: Parts, bucket: str, version: str) -> str:
    """User-data of a program that answers with its version."""
    content = artifact(parts.engine.folder, version)
    put = parts.engine.endpoint.client("s3").put_object(Bucket=bucket, Key="gateway.zip", Body=content)
    return user_data(machine_of(bucket, put["VersionId"], content))


def template(parts: Parts, data: str = "") -> dict[str, Any]:
    return {
        "imageId": IMAGE,
        "instanceType": "t4g.small",
        "iamInstanceProfile": {"arn": profile(parts)},
        "userData": data or base64.b64encode(b"#cloud-config\n{}").decode(),
        "updateDefaultVersion": True,
    }


def ask(folder: Path, port: int, identity: str) -> dict[str, Any]:
    context = ssl.create_default_context(cafile=folder / "public-ca-bundle.pem")
    (folder / "client.pem").write_text(identity)
    context.load_cert_chain(folder / "client.pem")
    connection = http.client.HTTPSConnection(HOST, port, timeout=10, context=context)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        assert answer.status == 200, answer.status
        return json.loads(answer.read())
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("token", "inputs", "prop", "words"),
    [
        (GROUP, {**SCALES, "minSize": 3}, "desiredCapacity", "must not decrease"),
        (GROUP, {**SCALES, "desiredCapacity": 5}, "desiredCapacity", "must not decrease"),
        (GROUP, {**SCALES, "launchTemplate": None}, "launchTemplate", "must be specified"),
        (GROUP, {**SCALES, "launchTemplate": {"version": "1"}}, "launchTemplate", "one of `id,name`"),
        (GROUP, {**SCALES, "vpcZoneIdentifiers": []}, "vpcZoneIdentifiers", "must name subnets"),
        (GROUP, {**SCALES, "healthCheckType": "TCP"}, "healthCheckType", "to be one of"),
        (GROUP, {**SCALES, "waitForCapacityTimeout": "soon"}, "waitForCapacityTimeout", "duration"),
        (GROUP, {**SCALES, "instanceRefresh": {"strategy": "Fast"}}, "instanceRefresh", "to be one of"),
        (POLICY, {**TRACKS, "targetTrackingConfiguration": None}, "targetTrackingConfiguration", "required"),
        (POLICY, {**TRACKS, "policyType": "StepScaling"}, "targetTrackingConfiguration", "only supported"),
        (
            POLICY,
            {
                **TRACKS,
                "targetTrackingConfiguration": {
                    "targetValue": 5,
                    "predefinedMetricSpecification": {"predefinedMetricType": "ALBRequestCountPerTarget"},
                },
            },
            "targetTrackingConfiguration",
            "resource_label is required",
        ),
        (TEMPLATE, {"userData": "#cloud-config"}, "userData", "base64"),
        (TEMPLATE, {"metadataOptions": {"httpTokens": "no"}}, "metadataOptions", "to be one of"),
        (TEMPLATE, {"metadataOptions": {"httpPutResponseHopLimit": 65}}, "metadataOptions", "range"),
        (TEMPLATE, {"name": "a b"}, "name", "3 to 125"),
        (
            TEMPLATE,
            {"blockDeviceMappings": [{"ebs": {"volumeType": "gp9"}}]},
            "blockDeviceMappings",
            "to be one of",
        ),
    ],
)
def test_a_preview_refuses_what_does_not_fit(engine, token, inputs, prop, words):
    _, failures = engine.check(token, "thing", inputs)
    assert words in failures[prop]


def test_a_preview_takes_inputs_that_are_not_known(engine):
    template_id, outputs, _ = engine.create(
        TEMPLATE, "t", {"userData": UNKNOWN, "imageId": UNKNOWN}, preview=True
    )
    assert template_id.startswith("lt-")
    assert outputs["latestVersion"] == 1
    inputs = {
        **SCALES,
        "launchTemplate": {"id": template_id, "version": UNKNOWN},
        "targetGroupArns": [UNKNOWN],
    }
    group, outputs, _ = engine.create(GROUP, "g", inputs, preview=True)
    assert group.startswith("g-")
    assert outputs["desiredCapacity"] == 1


def test_ec2_refuses_a_template_of_another_architecture_and_an_unknown_profile(engine, parts):
    good = template(parts)
    assert engine.create(TEMPLATE, "good", good)
    for change, words in (
        ({"instanceType": "m7i.large"}, "does not match the architecture"),
        ({"imageId": "ami-0"}, "InvalidAMIID.NotFound"),
        ({"iamInstanceProfile": {"name": "nobody"}}, "Invalid IAM Instance Profile name"),
        ({"vpcSecurityGroupIds": ["sg-0"]}, "InvalidGroup.NotFound"),
        ({"userData": base64.b64encode(b"x" * 16385).decode()}, "limited to 16384"),
    ):
        assert words in engine.refused(
            lambda change=change: engine.create(TEMPLATE, "bad", {**good, **change})
        )


def test_a_change_of_a_template_is_a_new_version_and_one_of_its_tags_is_not(engine, parts):
    made, outputs, inputs = engine.create(TEMPLATE, "t", template(parts))
    tagged = engine.update(TEMPLATE, "t", made, inputs, outputs, {**inputs, "tags": {"a": "b"}})
    assert (tagged["latestVersion"], tagged["defaultVersion"]) == (1, 1)
    changed = {**inputs, "instanceType": "t4g.medium"}
    previewed = engine.update(TEMPLATE, "t", made, inputs, outputs, changed, preview=True)
    assert previewed["latestVersion"] is UNKNOWN
    after = engine.update(TEMPLATE, "t", made, inputs, outputs, changed)
    assert (after["latestVersion"], after["defaultVersion"]) == (2, 2)
    assert isinstance(engine.groups.template(made, 1), LaunchTemplate)
    assert engine.groups.template(made, 2).instance_type == "t4g.medium"


def test_a_group_refuses_unknown_subnets_templates_and_versions(engine, parts):
    _, subnets = parts.network()
    made, *_ = engine.create(TEMPLATE, "t", template(parts))
    for change, words in (
        ({"vpcZoneIdentifiers": ["subnet-0"]}, "does not exist"),
        ({"launchTemplate": {"id": "lt-0"}}, "does not exist"),
        ({"launchTemplate": {"id": made, "version": "7"}}, "has no version 7"),
        ({"targetGroupArns": ["arn:aws:x"]}, "Target Groups may not be valid"),
    ):
        inputs = {**SCALES, "launchTemplate": {"id": made}, "vpcZoneIdentifiers": subnets, **change}
        assert words in engine.refused(lambda inputs=inputs: engine.create(GROUP, "g", inputs))


def test_a_group_whose_instances_do_not_serve_is_refused_with_the_end_of_their_log(engine, parts):
    _, subnets = parts.network()
    bucket = parts.bucket("program")
    made, *_ = engine.create(TEMPLATE, "t", template(parts, program(parts, bucket, "broken")))
    inputs = {
        **SCALES,
        "launchTemplate": {"id": made},
        "vpcZoneIdentifiers": subnets,
        "waitForCapacityTimeout": "6s",
    }
    assert "this artifact is broken" in engine.refused(lambda: engine.create(GROUP, "g", inputs))
    assert not engine.groups.all


def test_requests_reach_the_instances_of_a_group_and_lose_nothing_when_these_are_replaced(engine, parts):
    port = free_port()
    listens = parts.listener(port)
    engine.create(LISTENER, "https", listens)
    bucket = parts.bucket("program")
    subnets = [record.id for record in engine.provider.registry.of_type(SUBNET)]
    first = template(parts, program(parts, bucket, "v1"))
    made, outputs, first = engine.create(TEMPLATE, "t", first)
    inputs = {
        **SCALES,
        "name": "gateways",
        "launchTemplate": {"id": made, "version": "1"},
        "vpcZoneIdentifiers": subnets,
        "targetGroupArns": [listens["defaultActions"][0]["targetGroupArn"]],
        "instanceRefresh": {"strategy": "Rolling"},
    }
    group, group_outputs, inputs = engine.create(GROUP, "g", inputs)
    engine.create(POLICY, "load", {**TRACKS, "autoscalingGroupName": group})
    client = parts.authority.client(serial=0x03A5B1)
    told = ask(engine.folder, port, client)
    assert told["version"] == "v1"
    headers = {name.lower(): value for name, value in told["headers"]}
    assert headers[listens[f"{PREFIX}LeafHeaderName"]].startswith("-----BEGIN%20CERTIFICATE-----")
    assert headers["x-amzn-mtls-clientcert-serial-number"] == "03A5B1"

    second = {**first, "userData": program(parts, bucket, "v2")}
    engine.update(TEMPLATE, "t", made, first, outputs, second)
    after = {**inputs, "launchTemplate": {"id": made, "version": "2"}}
    engine.update(GROUP, "g", group, inputs, group_outputs, after)
    answers = [ask(engine.folder, port, client)["version"]]
    running = engine.groups.named(group)
    while not running.steady_within(0.05):
        answers.append(ask(engine.folder, port, client)["version"])
    answers.append(ask(engine.folder, port, client)["version"])
    assert set(answers) <= {"v1", "v2"}
    assert answers[-1] == "v2"

    # The successor of this process finds the gateway running, and requests reach it.
    engine.restart()
    assert engine.groups.named(group).steady_within(SECONDS)
    assert ask(engine.folder, port, client)["version"] == "v2"
    engine.delete(GROUP, "g", group, after, {})
    assert not list((engine.folder / "auto-scaling" / "groups").glob("*"))
