"""Types at the level of the protocol: ids, refusals, replacements, what a kill leaves behind."""

from __future__ import annotations

import base64
import gzip
import inspect
import json
import re
import sys

import pytest
from botocore.exceptions import ClientError

from emulator.aws import TYPES
from emulator.core.properties import UNKNOWN, Secret
from emulator.core.registry import Record
from tests.recording_monitor import aws_class

VPC = "aws:ec2/vpc:Vpc"
SUBNET = "aws:ec2/subnet:Subnet"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
RULE = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
INTERFACE = "aws:ec2/networkInterface:NetworkInterface"
INSTANCE = "aws:ec2/instance:Instance"
VOLUME = "aws:ebs/volume:Volume"
ATTACHMENT = "aws:ec2/volumeAttachment:VolumeAttachment"
BUCKET = "aws:s3/bucket:Bucket"
OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"
PARAMETER = "aws:ssm/parameter:Parameter"
SECRET = "aws:secretsmanager/secret:Secret"
VERSION = "aws:secretsmanager/secretVersion:SecretVersion"
ROLE = "aws:iam/role:Role"
POLICY = "aws:iam/rolePolicy:RolePolicy"
PROFILE = "aws:iam/instanceProfile:InstanceProfile"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
ARM_IMAGE = "ami-0d13a46415020002a"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
def test_tokens_and_properties_are_those_of_the_sdk(kind):
    sdk = aws_class(kind.token)
    assert sdk is not None
    source = inspect.getsource(sys.modules[sdk.__module__])
    assert f"'{kind.token}'" in source
    names = {*kind.required, *kind.defaults, *kind.replace_on, *kind.hidden, *kind.secret_outputs}
    for prop in names | ({kind.name_property} if kind.name_property else set()):
        assert f'"{prop}"' in source or f"def {prop}(" in source or prop == "region", prop


def network(engine, block="10.20.0.0/16", subnet="10.20.1.0/24"):
    vpc, *_ = engine.create(VPC, "net", {"cidrBlock": block})
    subnet_id, *_ = engine.create(
        SUBNET, "net", {"vpcId": vpc, "cidrBlock": subnet, "availabilityZone": "eu-central-1a"}
    )
    return vpc, subnet_id


def test_ids_are_the_same_in_preview_update_and_another_sandbox(engine):
    previewed, outputs, _ = engine.create(VPC, "net", {"cidrBlock": "10.20.0.0/16"}, preview=True)
    made, real, _ = engine.create(VPC, "net", {"cidrBlock": "10.20.0.0/16"})
    assert previewed == made
    assert outputs == real
    assert made.startswith("vpc-0")
    assert len(made) == len("vpc-") + 17


def test_default_tags_are_in_tags_all(engine):
    _, outputs, _ = engine.create(VPC, "net", {"cidrBlock": "10.20.0.0/16", "tags": {"a": "1"}})
    assert outputs["tagsAll"] == {"a": "1"}


@pytest.mark.parametrize(
    ("token", "inputs", "prop", "words"),
    [
        (VPC, {"cidrBlock": "10.20.0.1/16"}, "cidrBlock", "did you mean"),
        (VPC, {"cidrBlock": "10.0.0.0/8"}, "cidrBlock", "/16 to /28"),
        (VPC, {"cidrBlock": "ten"}, "cidrBlock", "not a valid IPv4 CIDR"),
        (SUBNET, {"cidrBlock": "10.20.0.0/24"}, "vpcId", "Missing required argument"),
        (GROUP, {"description": "Zugang für Kunden"}, "description", "255 characters"),
        (GROUP, {"name": "sg-own"}, "name", "cannot begin with sg-"),
        (
            RULE,
            {"securityGroupId": "sg-1", "ipProtocol": "tcp", "fromPort": 1, "toPort": 1},
            "cidrIpv4",
            "one \\(and only",
        ),
        (
            RULE,
            {
                "securityGroupId": "sg-1",
                "ipProtocol": "tcp",
                "fromPort": 1,
                "toPort": 1,
                "cidrIpv4": "10.0.0.1/8",
            },
            "cidrIpv4",
            "did you mean",
        ),
        (
            RULE,
            {"securityGroupId": "sg-1", "ipProtocol": "tcp", "cidrIpv4": "10.0.0.0/8"},
            "fromPort",
            "need from_port",
        ),
        (INSTANCE, {"ami": ARM_IMAGE, "userDataBase64": "!"}, "userDataBase64", "base64"),
        (INSTANCE, {"ami": ARM_IMAGE, "metadataOptions": {"httpTokens": "x"}}, "metadataOptions", "required"),
        (
            VOLUME,
            {"availabilityZone": "eu-central-1a", "size": 1, "type": "gp2", "throughput": 125},
            "throughput",
            "gp2",
        ),
        (
            VOLUME,
            {"availabilityZone": "eu-central-1a", "size": 1, "type": "gp3", "iops": 100},
            "iops",
            "3000",
        ),
        (
            VOLUME,
            {"availabilityZone": "eu-central-1a", "size": 1, "kmsKeyId": "arn:x"},
            "kmsKeyId",
            "encrypted",
        ),
        (BUCKET, {"bucket": "State"}, "bucket", "3 to 63"),
        (OBJECT, {"bucket": "b", "content": "a", "contentBase64": "YQ=="}, "contentBase64", "conflicts"),
        (PARAMETER, {"type": "String"}, "value", "insecure_value"),
        (PARAMETER, {"type": "SecureString", "insecureValue": "x"}, "insecureValue", "SecureString"),
        (PARAMETER, {"type": "String", "value": "x", "name": "a/b"}, "name", "begins with one"),
        (ROLE, {"assumeRolePolicy": "{"}, "assumeRolePolicy", "invalid JSON"),
        (LOG_GROUP, {"retentionInDays": 42}, "retentionInDays", "42"),
        (SECRET, {"recoveryWindowInDays": 3}, "recoveryWindowInDays", "0 or in the range"),
    ],
)
def test_a_preview_refuses_wrong_inputs(engine, token, inputs, prop, words):
    _, failures = engine.check(token, "x", inputs)
    assert prop in failures, failures
    assert re.search(words, failures[prop])


def test_a_preview_takes_inputs_that_are_not_known(engine):
    for kind in TYPES:
        checked, _ = engine.check(kind.token, "x", {})
        unknown = dict.fromkeys({*kind.required, "bucket", "role", "subnetId", "vpcId", "policy"}, UNKNOWN)
        inputs = {
            name: value for name, value in {**unknown, "tags": {"a": "b"}}.items() if name not in checked
        }
        inputs, failures = engine.check(kind.token, "x", inputs)
        if not failures:
            engine.create(kind.token, "x", inputs, preview=True)


def test_ec2_refuses_what_does_not_fit_together(engine):
    vpc, subnet = network(engine)
    create, refused = engine.create, engine.refused
    outside = {"vpcId": vpc, "cidrBlock": "10.30.0.0/24"}
    assert "InvalidSubnet.Range" in refused(lambda: create(SUBNET, "a", outside))
    again = {"vpcId": vpc, "cidrBlock": "10.20.1.128/25"}
    assert "InvalidSubnet.Conflict" in refused(lambda: create(SUBNET, "a", again))
    elsewhere = {"vpcId": vpc, "cidrBlock": "10.20.2.0/24", "availabilityZone": "us-east-1a"}
    assert "eu-central-1a" in refused(lambda: create(SUBNET, "a", elsewhere))
    assert "InvalidVpcID.NotFound" in refused(lambda: create(GROUP, "a", {"vpcId": "vpc-1"}))
    group, *_ = create(GROUP, "a", {"vpcId": vpc, "name": "server"})
    assert "InvalidGroup.Duplicate" in refused(lambda: create(GROUP, "b", {"vpcId": vpc, "name": "server"}))
    rule = {
        "securityGroupId": group,
        "ipProtocol": "tcp",
        "fromPort": 1,
        "toPort": 1,
        "cidrIpv4": "10.0.0.0/8",
    }
    create(RULE, "a", rule)
    assert "InvalidPermission.Duplicate" in refused(lambda: create(RULE, "b", rule))
    assert "InvalidSubnetID.NotFound" in refused(lambda: create(INTERFACE, "a", {"subnetId": "subnet-1"}))
    interface, outputs, inputs = create(INTERFACE, "a", {"subnetId": subnet, "securityGroups": [group]})
    assert outputs["privateIp"].startswith("10.20.1.")
    other = create(INTERFACE, "b", {"subnetId": subnet})[1]
    assert other["privateIp"] != outputs["privateIp"]
    assert "DependencyViolation" in refused(lambda: engine.delete(VPC, "net", vpc, {}, {}))
    assert "DependencyViolation" in refused(lambda: engine.delete(GROUP, "a", group, {}, {}))
    engine.delete(INTERFACE, "a", interface, inputs, outputs)
    engine.delete(GROUP, "a", group, {}, {})


def instance_inputs(engine, **changes):
    interface, *_ = engine.create(INTERFACE, "server", {"subnetId": network(engine)[1]})
    return {
        "ami": ARM_IMAGE,
        "instanceType": "m7g.large",
        "primaryNetworkInterface": {"networkInterfaceId": interface},
        "userDataBase64": base64.b64encode(gzip.compress(b"#cloud-config\n{}\n")).decode(),
        "userDataReplaceOnChange": True,
        "rootBlockDevice": {"encrypted": True},
        **changes,
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ami": "ami-0123"}, "InvalidAMIID.NotFound"),
        ({"instanceType": "m7i.large"}, "does not match the architecture 'arm64'"),
        ({"iamInstanceProfile": "absent"}, "Invalid IAM Instance Profile name"),
        ({"primaryNetworkInterface": {"networkInterfaceId": "eni-1"}}, "InvalidNetworkInterfaceID.NotFound"),
        ({"userDataBase64": base64.b64encode(b"x" * 16385).decode()}, "limited to 16384 bytes"),
        ({"userDataBase64": base64.b64encode(b"#cloud-config\n[").decode()}, "not YAML"),
    ],
)
def test_an_instance_needs_what_it_names(engine, change, words):
    inputs = instance_inputs(engine, **change)
    assert words in engine.refused(lambda: engine.create(INSTANCE, "server", inputs))
    assert engine.provider.registry.of_type(INSTANCE) == []


def test_an_instance_lives_in_its_machine(engine):
    inputs = instance_inputs(engine)
    instance, outputs, checked = engine.create(INSTANCE, "server", inputs)
    assert (engine.folder / "machines" / instance / "root" / "etc").is_dir()
    assert outputs["availabilityZone"] == "eu-central-1a"
    assert "in use" in engine.refused(lambda: engine.create(INSTANCE, "other", inputs))
    protected = {**checked, "disableApiTermination": True}
    refusal = engine.refused(lambda: engine.delete(INSTANCE, "server", instance, protected, outputs))
    assert "OperationNotPermitted" in refusal

    volume, *_ = engine.create(
        VOLUME, "data", {"availabilityZone": "eu-central-1a", "size": 10, "encrypted": True}
    )
    far, *_ = engine.create(VOLUME, "far", {"availabilityZone": "eu-central-1b", "size": 10})
    where = {"deviceName": "/dev/sdf", "instanceId": instance}
    refusal = engine.refused(lambda: engine.create(ATTACHMENT, "far", {**where, "volumeId": far}))
    assert "ZoneMismatch" in refusal
    attachment, _, attached = engine.create(ATTACHMENT, "data", {**where, "volumeId": volume})
    (engine.folder / "volumes" / volume / "kept").touch()
    assert (engine.folder / "machines" / instance / "root/var/lib/postgresql/kept").exists()
    assert "VolumeInUse" in engine.refused(lambda: engine.delete(VOLUME, "data", volume, {}, {}))
    engine.delete(ATTACHMENT, "data", attachment, attached, {})
    engine.delete(INSTANCE, "server", instance, {**protected, "forceDestroy": True}, outputs)
    assert not (engine.folder / "machines" / instance).exists()
    assert (engine.folder / "volumes" / volume / "kept").exists()

    replacement, *_ = engine.create(INSTANCE, "server", inputs)
    assert replacement != instance


def test_what_replaces_an_instance_and_what_does_not(engine):
    inputs = instance_inputs(engine)
    instance, _, old = engine.create(INSTANCE, "server", inputs)

    def replaces(**change) -> list[str]:
        return list(engine.diff(INSTANCE, "server", instance, old, {**old, **change}).replaces)

    assert replaces(tags={"a": "b"}) == []
    assert replaces(instanceType="m7g.xlarge") == []
    assert replaces(iamInstanceProfile="other") == []
    assert replaces(ami="ami-2") == ["ami"]
    assert replaces(userDataBase64="eA==") == ["userDataBase64"]
    assert replaces(userDataBase64="eA==", userDataReplaceOnChange=False) == []
    assert replaces(rootBlockDevice={"encrypted": True, "volumeSize": 20}) == []
    assert replaces(rootBlockDevice={"encrypted": False}) == ["rootBlockDevice"]


def test_a_rule_is_replaced_when_its_kind_of_source_changes(engine):
    old = {"securityGroupId": "sg-1", "ipProtocol": "tcp", "cidrIpv4": "10.0.0.0/8"}
    same_kind = engine.diff(RULE, "r", "sgr-1", old, {**old, "cidrIpv4": "10.1.0.0/16"})
    assert (list(same_kind.diffs), list(same_kind.replaces)) == (["cidrIpv4"], [])
    new = {"securityGroupId": "sg-1", "ipProtocol": "tcp", "referencedSecurityGroupId": "sg-2"}
    assert list(engine.diff(RULE, "r", "sgr-1", old, new).replaces) == [
        "cidrIpv4",
        "referencedSecurityGroupId",
    ]


def test_chosen_names_are_deleted_first_and_automatic_ones_last(engine):
    group, _, chosen = engine.create(GROUP, "a", {"name": "server", "description": "one"})
    assert engine.diff(GROUP, "a", group, chosen, {**chosen, "description": "two"}).deleteBeforeReplace
    group, _, automatic = engine.create(GROUP, "b", {"description": "one"})
    changed, _ = engine.check(GROUP, "b", {"description": "two"}, automatic)
    assert changed["name"] == automatic["name"]
    assert not engine.diff(GROUP, "b", group, automatic, changed).deleteBeforeReplace
    fresh, _ = engine.check(GROUP, "b", {"description": "two"})
    assert fresh["name"] != automatic["name"]


def test_objects_have_versions(engine):
    bucket, *_ = engine.create(BUCKET, "state", {"forceDestroy": True})
    configuration = {"bucket": bucket, "versioningConfiguration": {"status": "Enabled"}}
    engine.create("aws:s3/bucketVersioning:BucketVersioning", "state", configuration)
    inputs = {"bucket": bucket, "key": "manifest.json", "content": "one"}
    assert engine.create(OBJECT, "m", inputs, preview=True)[1]["versionId"] is UNKNOWN
    resource_id, outputs, checked = engine.create(OBJECT, "m", inputs)
    new = {**checked, "content": "two"}
    previewed = engine.update(OBJECT, "m", resource_id, checked, outputs, new, preview=True)
    assert previewed["versionId"] is UNKNOWN
    updated = engine.update(OBJECT, "m", resource_id, checked, outputs, new)
    assert updated["versionId"] != outputs["versionId"]
    tagged = {**new, "tags": {"a": "b"}}
    assert engine.update(OBJECT, "m", resource_id, new, updated, tagged)["versionId"] == updated["versionId"]

    s3 = engine.endpoint.client("s3")
    body = s3.get_object(Bucket=bucket, Key="manifest.json", VersionId=outputs["versionId"])["Body"].read()
    assert body == b"one"
    refusal = engine.refused(lambda: engine.delete(BUCKET, "state", bucket, {"forceDestroy": False}, {}))
    assert "BucketNotEmpty" in refusal
    engine.delete(OBJECT, "m", resource_id, tagged, updated)
    assert "Versions" not in s3.list_object_versions(Bucket=bucket)


def test_parameters_count_their_versions(engine):
    inputs = {"name": "/a", "type": "String", "insecureValue": "one"}
    name, outputs, checked = engine.create(PARAMETER, "p", inputs)
    assert "ParameterAlreadyExists" in engine.refused(lambda: engine.create(PARAMETER, "q", inputs))
    new = {**checked, "insecureValue": "two"}
    updated = engine.update(PARAMETER, "p", name, checked, outputs, new)
    assert (outputs["version"], updated["version"]) == (1, 2)
    tagged = {**new, "tags": {"a": "b"}}
    assert engine.update(PARAMETER, "p", name, new, updated, tagged)["version"] == 2
    too_long = {**new, "insecureValue": "x" * 5000}
    refusal = engine.refused(lambda: engine.update(PARAMETER, "p", name, new, updated, too_long))
    assert "4096 characters" in refusal


def test_secret_values_stay_secret_and_out_of_the_registry(engine):
    arn, previewed, _ = engine.create(SECRET, "identity", {}, preview=True)
    made, outputs, _ = engine.create(SECRET, "identity", {})
    assert (arn, previewed) == (made, outputs)
    inputs = {"secretId": arn, "secretString": Secret("geheim")}
    resource_id, outputs, _ = engine.create(VERSION, "identity", inputs)
    assert outputs["secretString"] == Secret("geheim")
    assert resource_id == f"{arn}|{outputs['versionId']}"
    client = engine.endpoint.client("secretsmanager")
    assert client.get_secret_value(SecretId=arn, VersionId=outputs["versionId"])["SecretString"] == "geheim"
    for path in (engine.folder / "aws").glob("resources*"):
        assert b"geheim" not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0 or path.parent.stat().st_mode & 0o077 == 0


def test_a_new_value_is_a_new_version_and_the_old_one_loses_its_labels(engine):
    arn, *_ = engine.create(SECRET, "identity", {})
    first, outputs, old = engine.create(VERSION, "identity", {"secretId": arn, "secretString": "one"})
    new = {**old, "secretString": "two"}
    assert list(engine.diff(VERSION, "identity", first, old, new).replaces) == ["secretString"]
    second, *_ = engine.create(VERSION, "identity", new)
    assert second != first
    engine.delete(VERSION, "identity", first, old, outputs)
    found = engine.endpoint.client("secretsmanager").describe_secret(SecretId=arn)["VersionIdsToStages"]
    assert found[second.rpartition("|")[2]] == ["AWSCURRENT"]
    assert not found.get(first.rpartition("|")[2])


def test_iam_keeps_things_that_hang_together(engine):
    role, outputs, checked = engine.create(ROLE, "machine", {"assumeRolePolicy": TRUST})
    assert outputs["uniqueId"].startswith("AROA")
    document = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}],
        }
    )
    policy, _, policy_inputs = engine.create(POLICY, "machine", {"role": role, "policy": document})
    profile, _, profile_inputs = engine.create(PROFILE, "machine", {"role": role})
    assert "DeleteConflict" in engine.refused(lambda: engine.delete(ROLE, "machine", role, checked, {}))
    engine.delete(PROFILE, "machine", profile, profile_inputs, {})
    engine.delete(POLICY, "machine", policy, policy_inputs, {})
    engine.delete(ROLE, "machine", role, checked, {})
    with pytest.raises(ClientError, match="NoSuchEntity"):
        engine.endpoint.client("iam").get_role(RoleName=role)


CREATIONS = {
    VPC: {"cidrBlock": "10.20.0.0/16"},
    BUCKET: {},
    PARAMETER: {"name": "/a", "type": "String", "insecureValue": "x"},
    SECRET: {},
    ROLE: {"assumeRolePolicy": TRUST},
    PROFILE: {},
    LOG_GROUP: {"name": "/a"},
    GROUP: {"name": "server"},
}


@pytest.mark.parametrize("token", CREATIONS, ids=lambda token: token.rpartition(":")[2])
def test_what_a_kill_left_behind_is_taken_over_by_its_owner_alone(engine, token):
    inputs = CREATIONS[token]
    first = engine.create(token, "a", inputs)
    engine.restart()
    again = engine.create(token, "a", inputs)
    for outputs in (first[1], again[1]):
        # Times are those of the replay.
        outputs.pop("createDate", None)
    assert again == first
    assert len(engine.provider.registry.of_type(token)) == 1
    name = engine.provider.type_for(token).name_property
    if name is not None:
        taken = {**inputs, name: first[2][name]}
        assert "lready" in engine.refused(lambda: engine.create(token, "b", taken))
        engine.diff(token, "a", first[0], first[2], first[2])
        assert "lready" in engine.refused(lambda: engine.create(token, "a", taken))


def test_a_write_that_was_begun_and_not_done_is_done_again(engine):
    _, outputs, inputs = engine.create(SECRET, "a", {}, preview=True)
    engine.provider.registry.put(
        Record(
            type=SECRET,
            id=outputs["arn"],
            urn=f"urn:pulumi:sandbox::passwordless-postgres::{SECRET}::a",
            generation=0,
            confirmed=False,
            inputs={"name": inputs["name"]},
            outputs={},
        )
    )
    arn, *_ = engine.create(SECRET, "a", {})
    assert arn == outputs["arn"]
    assert engine.endpoint.client("secretsmanager").describe_secret(SecretId=arn)


def test_what_the_engine_knows_is_replaced_by_something_new(engine):
    first, _, inputs = engine.create(VPC, "net", {"cidrBlock": "10.20.0.0/16"})
    engine.diff(VPC, "net", first, inputs, {**inputs, "cidrBlock": "10.30.0.0/16"})
    previewed, *_ = engine.create(VPC, "net", {"cidrBlock": "10.30.0.0/16"}, preview=True)
    second, *_ = engine.create(VPC, "net", {"cidrBlock": "10.30.0.0/16"})
    assert first != second == previewed
    engine.delete(VPC, "net", first, inputs, {})
    assert [record.id for record in engine.provider.registry.of_type(VPC)] == [second]


def test_refresh_sees_what_is_gone_and_what_changed(engine):
    vpc, _, inputs = engine.create(VPC, "net", {"cidrBlock": "10.20.0.0/16"})
    assert engine.read(VPC, "net", vpc, inputs).id == vpc
    assert engine.read(VPC, "other", vpc).id == vpc
    assert engine.read(VPC, "net", "vpc-1", inputs).id == ""
    name, _, inputs = engine.create(PARAMETER, "p", CREATIONS[PARAMETER])
    ssm = engine.endpoint.client("ssm")
    ssm.put_parameter(Name=name, Value="drift", Type="String", Overwrite=True)
    assert engine.read(PARAMETER, "p", name, inputs).properties["insecureValue"] == "drift"
    ssm.delete_parameter(Name=name)
    assert engine.read(PARAMETER, "p", name, inputs).id == ""


def test_unknown_types_and_functions_are_named(engine):
    assert "aws:rds/proxy:Proxy has no stand-in" in engine.refused(
        lambda: engine.check("aws:rds/proxy:Proxy", "x", {})
    )
    assert "getAmi has no stand-in" in engine.refused(lambda: engine.invoke("aws:ec2/getAmi:getAmi"))


def test_invokes(engine):
    assert engine.invoke("aws:index/getCallerIdentity:getCallerIdentity")["accountId"] == "123456789012"
    assert engine.invoke("aws:index/getPartition:getPartition")["partition"] == "aws"
    assert engine.invoke("aws:index/getRegion:getRegion")["region"] == "eu-central-1"
    zones = engine.invoke("aws:index/getAvailabilityZones:getAvailabilityZones", {"state": "available"})
    assert zones["names"] == ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
