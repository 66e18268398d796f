"""The gateway's machines: what they are told, how they are replaced, what they have no way to give away."""

from __future__ import annotations

import base64
import functools
import gzip
import json
from typing import Any

from artifacts.sources import launcher_sources
from components.gateway.user_data import LAUNCHER_PATH, LOG_SERVICE, PROGRAMS, SERVICE, SERVICE_UNIT
from gateway.machine import MACHINE_FILE, Machine
from settings.quotas import USER_DATA
from tests.components import examples
from tests.recording_monitor import Recording, plain, record

TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
GROUP = "aws:autoscaling/group:Group"


def recorded(**changes: Any) -> Recording:
    return record(lambda: examples.gateway_machines(**changes)) if changes else usual()


@functools.cache
def usual() -> Recording:
    return record(examples.gateway_machines)


def cloud_config(recording: Recording) -> dict[str, Any]:
    data = gzip.decompress(base64.b64decode(plain(recording.one(TEMPLATE).inputs)["userData"]))
    first, rest = data.split(b"\n", 1)
    assert first == b"#cloud-config"
    return json.loads(rest)


def test_machines_are_told_what_to_run_and_where_the_document_is() -> None:
    config = cloud_config(recorded(application="shop.web:app", application_source="shop"))
    files = {each["path"]: each["content"] for each in config["write_files"]}
    assert Machine.model_validate_json(files[MACHINE_FILE]) == Machine.model_validate(
        {
            "region": "eu-central-1",
            "account": "123456789012",
            "gateway": "/passwordless-postgres/test/gateway",
            "document": {"bucket": "gateway-document-id", "key": "gateway.json"},
            "reports": {
                "bucket": "gateway-machines-program-id",
                "key": "reports/arn:aws:ec2:eu-central-1:123456789012:instance/",
            },
            "artifact": {
                "bucket": "gateway-machines-program-id",
                "key": "gateway.zip",
                "version": "version-gateway-machines-program",
                "sha256": "7" * 64,
            },
            "application": "shop.web:app",
            "port": 8443,
            "metricsPort": 9464,
        }
    )
    assert files[f"{LAUNCHER_PATH}/__main__.py"] == examples.LAUNCHER["__main__.py"]
    assert files[f"/etc/systemd/system/{SERVICE}"] == SERVICE_UNIT
    for commands in (config["bootcmd"], config["runcmd"]):
        assert ["systemctl", "enable", "--now", "--no-block", SERVICE, LOG_SERVICE] in commands


def test_the_log_goes_to_the_log_group_by_a_service_of_its_own() -> None:
    recording = recorded()
    files = {each["path"]: each["content"] for each in cloud_config(recording)["write_files"]}
    unit = files[f"/etc/systemd/system/{LOG_SERVICE}"]
    group = recording.one("aws:cloudwatch/logGroup:LogGroup").inputs["name"]
    assert f"--log-group {group} " in unit
    assert f"--unit {SERVICE} --region eu-central-1" in unit
    for line in ("DynamicUser=yes", "SupplementaryGroups=systemd-journal", "ProtectSystem=strict"):
        assert line in unit.splitlines()


def test_the_real_launcher_fits_into_user_data() -> None:
    recording = recorded(launcher=launcher_sources("gateway"))
    assert USER_DATA.excess(len(base64.b64decode(plain(recording.one(TEMPLATE).inputs)["userData"]))) is None
    # No arm64 machine boots in a test.
    text = json.dumps(cloud_config(recording)).lower()
    assert [each for each in ("amd64", "x86", "arm", "aarch64") if each in text.replace("alarm", "")] == []


def test_the_unit_starts_the_program_as_nobody_with_nothing() -> None:
    lines = SERVICE_UNIT.splitlines()
    assert f"ExecStartPre=+/usr/bin/python3 -I {LAUNCHER_PATH}" in lines
    assert f"ExecStart=/usr/bin/python3 -P -m gateway --machine {MACHINE_FILE}" in lines
    assert any(line.startswith(f"Environment=PYTHONPATH={PROGRAMS}/current") for line in lines)
    for line in ("DynamicUser=yes", "CapabilityBoundingSet=", "NoNewPrivileges=yes", "ProtectSystem=strict",
                 "LimitCORE=0", "Restart=always"):  # fmt: skip
        assert line in lines


def test_machines_are_private_encrypted_and_keep_their_credentials() -> None:
    recording = recorded()
    found = recording.has_properties(
        TEMPLATE,
        metadataOptions={
            "httpEndpoint": "enabled",
            "httpTokens": "required",
            "httpPutResponseHopLimit": 1,
            "instanceMetadataTags": "disabled",
        },
        networkInterfaces=[
            {
                "deviceIndex": 0,
                "associatePublicIpAddress": "false",
                "deleteOnTermination": "true",
                "securityGroups": ["sg-targets"],
            }
        ],
        imageId="ami-0123456789abcdef0",
        instanceType="t4g.small",
    )
    disk = plain(found.inputs)["blockDeviceMappings"][0]["ebs"]
    assert (disk["encrypted"], disk["volumeType"]) == ("true", "gp3")
    assert "keyName" not in found.inputs
    assert plain(found.inputs)["iamInstanceProfile"]["arn"].endswith(":gateway-machines")
    kinds = {each["resourceType"] for each in plain(found.inputs)["tagSpecifications"]}
    assert kinds == {"instance", "network-interface", "volume"}


def test_a_new_template_replaces_machines_one_after_another_with_a_new_one_first() -> None:
    group = plain(recorded().one(GROUP).inputs)
    assert group["launchTemplate"] == {"id": "gateway-machines-id", "version": "3"}
    refresh = group["instanceRefresh"]
    assert refresh["strategy"] == "Rolling"
    assert refresh["preferences"]["minHealthyPercentage"] == 100
    assert refresh["preferences"]["maxHealthyPercentage"] > 100
    assert refresh["preferences"]["autoRollback"] is True
    assert group["vpcZoneIdentifiers"] == ["subnet-eu-central-1a", "subnet-eu-central-1b"]
    assert group["healthCheckType"] == "ELB"
    assert (group["minSize"], group["maxSize"]) == (2, 4)
    assert all(each["propagateAtLaunch"] for each in group["tags"])


def test_a_single_machine_is_replaced_without_a_gap_too() -> None:
    refresh = plain(recorded(minimum_size=1).one(GROUP).inputs)["instanceRefresh"]["preferences"]
    assert (refresh["minHealthyPercentage"], refresh["maxHealthyPercentage"]) == (100, 200)


def test_load_adds_machines() -> None:
    policy = plain(recorded().one("aws:autoscaling/policy:Policy").inputs)
    assert policy["policyType"] == "TargetTrackingScaling"
    tracking = policy["targetTrackingConfiguration"]
    assert tracking["predefinedMetricSpecification"] == {"predefinedMetricType": "ASGAverageCPUUtilization"}


def test_no_machine_starts_before_it_may_read_what_it_runs() -> None:
    needed = recorded().one(GROUP).request.dependencies
    assert any("RolePolicy::gateway-machines" in urn for urn in needed)
    assert any("LaunchTemplate::gateway-machines" in urn for urn in needed)


def test_another_image_can_be_given() -> None:
    recording = recorded(image={"id": "ami-0fedcba9876543210"})
    recording.has_properties(TEMPLATE, imageId="ami-0fedcba9876543210")
    assert not [each for each in recording.registrations if "KeptImage" in each.type]
