from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pulumi
import pytest

from artifacts.node import NodeArtifact
from components.self_managed.server_files import server_files
from postgres.declaration import Declaration
from postgres.ident import render_ident
from tests.components.examples import (
    APPLICATION,
    DECLARATION,
    PROVIDER,
    SELF_MANAGED,
    authority,
    changed,
    machine,
    self_managed,
)
from tests.recording_monitor import ABSENT, Recording, plain, record, texts_outside_secrets

INSTANCE = "aws:ec2/instance:Instance"
IMAGE = "pulumi-python:dynamic/passwordless-postgres:KeptImage"
REPORT = "pulumi-python:dynamic/passwordless-postgres:NodeReport"
OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"


@functools.cache
def usual_server() -> Recording:
    return record(self_managed)


@functools.cache
def usual_machine() -> Recording:
    return record(machine)


def files(recording: Recording) -> dict[str, str]:
    return {
        each.inputs["key"].removeprefix("files/"): each.inputs["content"]
        for each in recording.of_type(OBJECT)
        if each.inputs["key"].startswith("files/")
    }


def test_the_instance() -> None:
    recording = usual_machine()
    instance = recording.has_properties(
        INSTANCE,
        ami="ami-0123456789abcdef0",
        instanceType="m7g.large",
        iamInstanceProfile="profile",
        primaryNetworkInterface={"networkInterfaceId": "machine-address-id"},
        metadataOptions={
            "httpEndpoint": "enabled",
            "httpTokens": "required",
            "httpPutResponseHopLimit": 1,
            "instanceMetadataTags": "disabled",
        },
        disableApiTermination=True,
        userDataReplaceOnChange=True,
        keyName=ABSENT,
        associatePublicIpAddress=ABSENT,
        subnetId=ABSENT,
        userData=ABSENT,
        ebsBlockDevices=ABSENT,
    )
    root = instance.inputs["rootBlockDevice"]
    assert (root["encrypted"], root["volumeType"]) == (True, "gp3")
    recording.has_properties(
        "aws:ec2/networkInterface:NetworkInterface", subnetId="subnet-1", securityGroups=["sg-1"]
    )


def test_data_lives_on_a_volume_of_its_own() -> None:
    recording = usual_machine()
    volume = recording.has_properties(
        "aws:ebs/volume:Volume",
        type="gp3",
        encrypted=True,
        availabilityZone="eu-central-1a",
        kmsKeyId=ABSENT,
        size=100,
        iops=3000,
        throughput=125,
        finalSnapshot=True,
    )
    assert volume.request.protect is True
    recording.has_properties(
        "aws:ec2/volumeAttachment:VolumeAttachment",
        volumeId="machine-data-id",
        instanceId="machine-instance-id",
        stopInstanceBeforeDetaching=True,
    )


def test_protection_is_a_setting() -> None:
    key = "arn:aws:kms:eu-central-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"
    recording = record(lambda: machine(volume={"deletion_protection": False, "kms_key_arn": key}))
    volume = recording.has_properties("aws:ebs/volume:Volume", kmsKeyId=key, finalSnapshot=False)
    assert volume.request.protect is False
    recording.has_properties(INSTANCE, disableApiTermination=False)


def test_a_replacement_deletes_first() -> None:
    recording = usual_machine()
    for token in (INSTANCE, "aws:ec2/volumeAttachment:VolumeAttachment"):
        assert recording.one(token).request.deleteBeforeReplace is True
    for token in ("aws:ec2/networkInterface:NetworkInterface", "aws:ebs/volume:Volume"):
        assert recording.one(token).request.deleteBeforeReplace is False


def instance_inputs(recording: Recording) -> Mapping[str, Any]:
    return recording.one(INSTANCE).inputs


def test_a_newer_image_and_a_newer_node_change_no_instance() -> None:
    """PinnedImage answers as before (its diff is tested by itself), and user-data names no node."""
    before = usual_server()
    newer = NodeArtifact(content=b"a newer node", sha256="8" * 64)
    after = record(lambda: self_managed(node=newer))
    assert instance_inputs(before) == instance_inputs(after)
    image = {key: value for key, value in before.one(IMAGE).inputs.items() if key != "__provider"}
    assert image == {
        "region": "eu-central-1",
        "release": "debian-13",
        "architecture": "arm64",
        "revision": 1,
    }


def test_nothing_of_a_server_s_life_changes_the_instance() -> None:
    before = usual_server()
    after = record(
        lambda: self_managed(
            allowed_clients={"networks": ["10.31.0.0/16"]},
            databases={},
            roles={},
            server_settings={"work_mem": "8MB"},
            minor_floor=12,
            minimum_protocol="TLSv1.2",
            restart="automatic",
            major=16,
        )
    )
    assert instance_inputs(before) == instance_inputs(after)


def test_an_image_of_one_s_own_is_not_looked_up() -> None:
    recording = record(lambda: machine(image={"id": "ami-0fedcba9876543210"}))
    assert recording.of_type(IMAGE) == []
    recording.has_properties(INSTANCE, ami="ami-0fedcba9876543210")


def test_another_revision_asks_again() -> None:
    recording = record(lambda: machine(image={"revision": 2}))
    assert recording.one(IMAGE).inputs["revision"] == 2


def test_the_first_boot_finds_its_permissions_and_its_way_out() -> None:
    recording = usual_server()
    needed = set(recording.one(INSTANCE).request.dependencies)
    for token, name in (
        ("aws:iam/rolePolicy:RolePolicy", "main-machine"),
        ("aws:ec2/route:Route", "net-private-1-nat"),
        ("aws:ec2/vpcEndpoint:VpcEndpoint", "net-s3"),
        ("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule", "main-server-https"),
        ("aws:cloudwatch/logGroup:LogGroup", "main-log"),
    ):
        assert recording.one(token, name).urn in needed, name


def test_the_server_has_a_private_name_that_its_certificate_carries() -> None:
    recording = usual_server()
    zone = recording.has_properties("aws:route53/zone:Zone", name="db.internal")
    assert [each["vpcId"] for each in zone.inputs["vpcs"]] == ["net-id"]
    recording.has_properties(
        "aws:route53/record:Record", name="postgres.db.internal", type="A", records=["10.20.0.10"]
    )
    recording.has_properties(
        "tls:index/certRequest:CertRequest", "main-server-request", dnsNames=["postgres.db.internal"]
    )


def test_a_record_alone_goes_to_an_existing_zone() -> None:
    dns = {"zone": "db.internal", "hosted_zone_id": "Z0123456789ABC"}
    recording = record(lambda: self_managed(private_dns=dns))
    assert recording.of_type("aws:route53/zone:Zone") == []
    recording.has_properties("aws:route53/record:Record", "main-host", zoneId="Z0123456789ABC", type="A")
    made = {each.name for each in usual_server().registrations} - {
        each.name for each in recording.registrations
    }
    assert made == {"main-zone"}


def test_there_is_no_way_in_but_to_postgresql() -> None:
    recording = usual_server()
    for each in recording.registrations:
        text = json.dumps(plain(each.inputs))
        assert "associatePublicIpAddress" not in text
        assert "keyName" not in text
        if "IngressRule" in each.type:
            assert "0.0.0.0/0" not in text
            assert "::/0" not in text
            assert each.inputs["fromPort"] == each.inputs["toPort"] == 5432
    for token in ("aws:ec2/keyPair:KeyPair", "aws:ec2/eipAssociation:EipAssociation"):
        assert recording.of_type(token) == []


def test_the_files_are_those_of_the_postgres_package() -> None:
    texts = files(record(lambda: self_managed(server_settings={"work_mem": "8MB"})))
    assert set(texts) == {"postgresql.conf", "pg_hba.conf", "pg_ident.conf", "roles.json", "client-ca.crt"}
    assert texts["roles.json"] == DECLARATION.to_json()
    assert "work_mem" in texts["postgresql.conf"]
    lines = [line.split() for line in texts["pg_hba.conf"].splitlines() if line and not line.startswith("#")]
    assert [line[-2:] for line in lines[:2]] == [["peer", "map=machine"]] * 2
    assert any(line[0] == "hostssl" and "app_user" in line[2] and line[3] == "10.30.0.0/24" for line in lines)
    assert not any("pgpl_admin" in line[2] for line in lines if line[0] != "local")
    assert texts["client-ca.crt"].count("BEGIN CERTIFICATE") == 3


@pytest.mark.parametrize(
    ("networks", "said"),
    [
        # Each passes alone; only the file shows what they are together.
        ((["0.0.0.0/2"], ["64.0.0.0/2"]), "its lines together let clients in from half of the internet"),
        ((["2000::/5", "10.30.0.0/24"], ["2800::/5"]), "half of the internet"),
        ((["0.0.0.0/3", "32.0.0.0/3"], ["64.0.0.0/2", "10.30.0.0/24"]), "half of the internet"),
    ],
)
def test_files_that_the_machine_would_refuse_are_not_made(
    networks: tuple[list[str], list[str]], said: str
) -> None:
    roles = {
        name: {"database": "app", "networks": given}
        for name, given in zip(("app_user", "reporting"), networks, strict=True)
    }
    settings = changed(SELF_MANAGED, {"roles": roles})
    with pytest.raises(ValueError, match=said):
        server_files(settings)
    assert server_files(SELF_MANAGED)


NAMED = {
    "app_user": {"database": "app", "networks": ["10.30.0.0/24"], "common_name": "billing.example.org"},
    "reporting": {"database": "app", "networks": ["10.30.0.0/24"]},
}


def test_a_role_logs_in_with_a_certificate_of_its_common_name() -> None:
    recording = record(lambda: pulumi.export("connection", self_managed(roles=NAMED).connection))
    request = "tls:index/certRequest:CertRequest"
    recording.has_properties(
        request,
        "main-role-app_user-request",
        subject={"commonName": "billing.example.org"},
        uris=["spiffe://test-main/role/app_user"],
    )
    recording.has_properties(request, "main-role-reporting-request", subject={"commonName": "reporting"})
    texts = files(recording)
    assert [line for line in texts["pg_ident.conf"].splitlines() if line and not line.startswith("#")] == [
        "common-name app_user app_user",
        "common-name billing.example.org app_user",
    ]
    lines = [line for line in texts["pg_hba.conf"].splitlines() if line.startswith("hostssl app ")]
    assert lines == [
        "hostssl app app_user 10.30.0.0/24 cert map=common-name",
        "hostssl app reporting 10.30.0.0/24 cert",
    ]
    assert json.loads(texts["roles.json"])["commonNames"] == [["app_user", "billing.example.org"]]
    roles = recording.exports["connection"].value["roles"]
    assert roles["app_user"]["commonName"] == "billing.example.org"
    assert "commonName" not in roles["reporting"]


def test_without_common_names_there_is_no_map() -> None:
    texts = server_files(SELF_MANAGED)
    assert (render_ident([], SELF_MANAGED.major), False) == (
        texts["pg_ident.conf"],
        "commonNames" in texts["roles.json"],
    )
    assert "common-name" not in texts["pg_hba.conf"]


def test_pulumi_postgresql_leaves_the_map_to_the_node() -> None:
    roles = {**PROVIDER, "administrator_networks": ["10.40.0.0/24"]}
    texts = server_files(changed(SELF_MANAGED, {"roles": NAMED, "database_roles": roles}))
    assert json.loads(texts["roles.json"])["roles"] == []
    assert json.loads(texts["roles.json"])["commonNames"] == [["app_user", "billing.example.org"]]


def test_pulumi_postgresql_gets_in_where_it_is_the_executor() -> None:
    roles = {**PROVIDER, "administrator_networks": ["10.40.0.0/24"]}
    recording = record(lambda: self_managed(database_roles=roles))
    texts = files(recording)
    assert Declaration.from_json(texts["roles.json"]) == Declaration(administrator="pgpl_admin")
    lines = [line.split() for line in texts["pg_hba.conf"].splitlines() if line and not line.startswith("#")]
    remote = [line for line in lines if line[0] == "hostssl" and "pgpl_admin" in line[2]]
    assert [(line[3], line[4]) for line in remote] == [("10.40.0.0/24", "cert")]
    recording.has_properties(
        "tls:index/certRequest:CertRequest",
        "main-administrator-request",
        subject={"commonName": "pgpl_admin"},
    )


def test_each_identity_has_its_own_readers() -> None:
    recording = usual_server()
    readers: dict[str, list[str]] = {}
    for each in recording.of_type("aws:secretsmanager/secretPolicy:SecretPolicy"):
        statements = json.loads(each.inputs["policy"])["Statement"]
        allowed = [s for s in statements if s["Effect"] == "Allow"]
        readers[each.name] = [arn for s in allowed for arn in s["Principal"]["AWS"]]
    assert readers == {
        "main-role-app_user-policy": [APPLICATION],
        "main-role-reporting-policy": [],
        "main-server-policy": ["arn:aws:iam::123456789012:role/main-machine-physical"],
    }
    policy = json.loads(recording.one("aws:iam/rolePolicy:RolePolicy", "main-machine").inputs["policy"])
    secrets = [s["Resource"] for s in policy["Statement"] if s["Action"] == "secretsmanager:GetSecretValue"]
    assert secrets == ["arn:aws:secretsmanager:eu-central-1:123456789012:secret:main-server-AbCdEf"]


def test_the_report_waits_for_everything_the_machine_needs() -> None:
    recording = usual_server()
    report = recording.has_properties(
        REPORT,
        bucket="main-state-id",
        key="report.json",
        server="main",
        serial=1_796_058_502,
        instance="main-machine-instance-id",
        deadlineSeconds=900,
        region="eu-central-1",
    )
    for token, name in (
        ("aws:ec2/volumeAttachment:VolumeAttachment", "main-machine-data"),
        ("aws:s3/bucketObjectv2:BucketObjectv2", "main-state-manifest"),
        ("aws:secretsmanager/secretPolicy:SecretPolicy", "main-server-policy"),
        ("aws:route53/record:Record", "main-host"),
    ):
        assert recording.one(token, name).urn in report.request.dependencies


def exported(**changes: Any) -> Recording:
    def program() -> None:
        made = self_managed(**changes)
        pulumi.export("host", made.host)
        pulumi.export("connection", made.connection)

    overrides = {REPORT: changes.pop("report")} if "report" in changes else None
    return record(program, overrides=overrides)


def test_drift_the_ends_of_certificates_and_silence_raise_alarms() -> None:
    topic = "arn:aws:sns:eu-central-1:123456789012:databases"
    alarms = alarms_of(lambda: self_managed(alarm_topics=[topic]))
    assert set(alarms) == {"drift", "certificate", "client-certificate", "hold", "silence"}
    log_group = "/passwordless-postgres/test/main/postgresql"
    for each in alarms.values():
        assert each["namespace"] == "PasswordlessPostgres"
        assert each["dimensions"] == {"Server": log_group}
        assert each["alarmActions"] == [topic]
    assert alarms["silence"]["treatMissingData"] == "breaching"
    assert alarms["silence"]["statistic"] == "SampleCount"
    assert alarms["drift"]["threshold"] == 0
    assert alarms["certificate"]["metricName"] == "ServerCertificateDaysLeft"
    roles = alarms["client-certificate"]
    assert roles["metricName"] == "ClientCertificateDaysLeft"
    assert (roles["statistic"], roles["comparisonOperator"]) == ("Minimum", "LessThanThreshold")
    # Without roles there is no metric, and nothing to alarm for.
    assert roles["treatMissingData"] == "notBreaching"
    assert roles["alarmDescription"] == "main: A role's certificate ends in less than 15 days: run pulumi up"


@pytest.mark.parametrize(("renewed", "days"), [(30, 15), (2, 1), (1, 0.5)])
def test_a_certificate_that_was_not_renewed_alarms_before_it_ends(renewed: int, days: float) -> None:
    def program() -> None:
        made = {purpose: authority(purpose) for purpose in ("server", "client")}
        for each in made.values():
            each.issuer = replace(each.issuer, renew_before_days=renewed)
        self_managed(server_authority=made["server"], client_authority=made["client"])

    alarms = alarms_of(program)
    assert (alarms["certificate"]["threshold"], alarms["client-certificate"]["threshold"]) == (days, days)


def alarms_of(program: Callable[[], Any]) -> dict[str, Any]:
    return {
        each.name.removeprefix("main-alarms-"): plain(each.inputs)
        for each in record(program).of_type("aws:cloudwatch/metricAlarm:MetricAlarm")
    }


@pytest.mark.parametrize(
    ("changes", "end"),
    [
        ({}, "2027-02-01T01:30:00Z"),
        # The administrator's is renewed by the `pulumi up` that uses it, and lies in no secret.
        ({"database_roles": PROVIDER}, "2027-02-01T01:30:00Z"),
        ({"roles": {}}, None),
    ],
)
def test_the_machine_is_told_when_the_first_certificate_of_a_role_ends(
    changes: dict[str, Any], end: str | None
) -> None:
    ends = {
        "main-role-reporting-certificate": {"validityEndTime": "2027-01-31T23:30:00-02:00"},
        "main-administrator-certificate": {"validityEndTime": "2027-01-01T00:00:00Z"},
        "main-server-certificate": {"validityEndTime": "2027-01-01T00:00:00Z"},
    }
    recording = record(lambda: self_managed(**changes), overrides=ends)
    manifest = json.loads(recording.one(OBJECT, "main-state-manifest").inputs["content"])
    assert manifest["clientCertificatesNotAfter"] == end


def test_a_refused_desired_state_ends_the_program_with_the_machine_s_words() -> None:
    words = "main refused desired state 7: pg_hba.conf line 9: trust (it goes on serving desired state 6)"
    with pytest.raises(pulumi.RunError, match="line 9: trust"):
        exported(report={"outcome": "refused", "message": words})


def test_the_connection_is_plain() -> None:
    recording = exported()
    connection = recording.exports["connection"]
    assert connection.secret is False
    assert recording.exports["host"].value == "postgres.db.internal"
    assert "PRIVATE-KEY-MARKER" not in json.dumps(connection.value)
    role = connection.value["roles"]["reporting"]
    assert (role["database"], role["connectionLimit"]) == ("app", 20)
    assert role["secretArn"].endswith(":secret:main-role-reporting-AbCdEf")
    assert connection.value["logGroup"] == "/passwordless-postgres/test/main/postgresql"


def test_user_data_holds_no_secret() -> None:
    for each in usual_server().registrations:
        if each.type == INSTANCE:
            assert isinstance(each.inputs["userDataBase64"], str)
            assert not any("MARKER" in text for text in texts_outside_secrets(each.inputs))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"databases": {}}, "role 'app_user': may connect to database 'app', which is not declared"),
        ({"administrators": []}, "administrators: empty"),
        ({"server_settings": {"fsync": "off"}}, "fsync"),
    ],
)
def test_refused_arguments(changes: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, pulumi.RunError), match=message):
        record(lambda: self_managed(**changes))


def test_authorities_have_their_purposes() -> None:
    def program() -> None:
        client = authority("client")
        self_managed(server_authority=client, client_authority=client)

    with pytest.raises(ValueError, match="server_authority: its purpose is 'client'; must be 'server'"):
        record(program)


def test_a_role_name_of_any_spelling_makes_names_that_aws_takes() -> None:
    roles = {"crème brûlée": {"database": "app", "networks": ["10.0.0.0/8"]}}
    recording = record(lambda: self_managed(roles=roles))
    secrets = [each.name for each in recording.of_type("aws:secretsmanager/secret:Secret")]
    assert all(name.isascii() and " " not in name for name in secrets)
