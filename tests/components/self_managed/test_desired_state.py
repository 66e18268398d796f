from __future__ import annotations

import base64
import functools
import hashlib
import json
from dataclasses import replace
from typing import Any

import pulumi
import pytest

from components.pki.identity_secret import IdentitySecretArgs
from components.private_bucket import PrivateBucketArgs
from components.self_managed.desired_state import FILES, DesiredStateArgs
from node.desired_state import Manifest
from tests.components.examples import NODE, OPERATOR, SELF_MANAGED, bucket, desired_state, identity_secret
from tests.recording_monitor import ABSENT, Recording, is_secret, plain, record, texts_outside_secrets

OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"
SERIAL = "pulumi-python:dynamic/passwordless-postgres:Serial"


@functools.cache
def usual() -> Recording:
    return record(desired_state)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_manifest_names_files_and_node() -> None:
    recording = usual()
    objects = {each.inputs["key"]: each for each in recording.of_type(OBJECT)}
    assert sorted(objects) == sorted([*(f"files/{name}" for name in FILES), "manifest.json", "node/node.zip"])
    manifest_text = objects["manifest.json"].inputs["content"]
    manifest = Manifest.model_validate_json(manifest_text)
    assert (manifest.server, manifest.major, manifest.minor_floor, manifest.restart) == (
        "main",
        17,
        11,
        "pending",
    )
    assert list(manifest.files) == list(FILES)
    for name, version in manifest.files.items():
        assert version.key == f"files/{name}"
        assert version.version == f"version-state-{name}"
        assert version.sha256 == sha256(objects[version.key].inputs["content"])
    assert manifest.node.sha256 == NODE.sha256
    assert base64.b64decode(objects["node/node.zip"].inputs["contentBase64"]) == NODE.content
    assert manifest.server_identity.version == "version-1"


def test_the_serial_is_in_the_manifest_and_follows_all_of_it_but_itself() -> None:
    def program() -> None:
        made = desired_state()
        pulumi.export("serial", made.serial)
        pulumi.export("sha256", made.manifest_sha256)

    recording = record(program)
    text = recording.one(OBJECT, "state-manifest").inputs["content"]
    assert recording.exports["sha256"].value == sha256(text)
    manifest = Manifest.model_validate_json(text)
    assert recording.exports["serial"].value == manifest.serial == 1_796_058_502
    unnumbered = manifest.model_copy(update={"serial": 1}).to_json()
    recording.has_properties(SERIAL, "state-serial", contentSha256=sha256(unnumbered))


def test_another_node_restart_identity_or_end_of_a_certificate_asks_for_a_new_serial() -> None:
    another: list[dict[str, Any]] = [
        {},
        {"node": replace(NODE, sha256="8" * 64)},
        {"restart": "automatic"},
        {"identity_version": "version-2"},
        {"client_certificates_not_after": "2027-02-01T10:00:00Z"},
    ]
    recordings = [record(functools.partial(desired_state, None, **changes)) for changes in another]
    assert len({each.one(SERIAL).inputs["contentSha256"] for each in recordings}) == len(another)


def test_a_text_of_the_program_is_readable_in_a_preview() -> None:
    """It has no property that depends on another resource but the bucket."""
    recording = usual()
    for each in recording.of_type(OBJECT):
        if each.inputs["key"].startswith("files/"):
            assert not each.request.propertyDependencies["content"].urns


def test_objects_wait_for_versioning() -> None:
    recording = usual()
    versioning = recording.one("aws:s3/bucketVersioning:BucketVersioning")
    for each in recording.of_type(OBJECT):
        assert versioning.urn in each.request.dependencies


def test_a_changed_file_changes_serial_and_manifest_only() -> None:
    files = {name: f"text of {name}\n" for name in FILES}
    before = usual()
    after = record(lambda: desired_state(files={**files, "pg_hba.conf": "another text\n"}))
    changed = {
        each.name
        for each, other in zip(
            sorted(before.registrations, key=lambda r: r.urn),
            sorted(after.registrations, key=lambda r: r.urn),
            strict=True,
        )
        if each.inputs != other.inputs
    }
    assert changed == {"state-pg_hba.conf", "state-serial", "state-manifest"}


def test_the_machine_writes_its_report_and_the_deployer_the_rest() -> None:
    policy = json.loads(usual().one("aws:s3/bucketPolicy:BucketPolicy").inputs["policy"])
    writers = {
        resource.split("/", 1)[1]: each["Condition"]["ArnNotEquals"]["aws:PrincipalArn"]
        for each in policy["Statement"]
        if each["Sid"].startswith("NamedWriters")
        for resource in each["Resource"]
    }
    assert writers == {
        "files/*": [OPERATOR],
        "node/*": [OPERATOR],
        "manifest.json": [OPERATOR],
        "report.json": ["arn:aws:iam::123456789012:role/machine"],
        "formatted-volumes.json": ["arn:aws:iam::123456789012:role/machine", OPERATOR],
    }


def test_a_bucket_is_private_versioned_and_encrypted() -> None:
    recording = record(bucket)
    recording.has_properties("aws:s3/bucket:Bucket", acl=ABSENT, policy=ABSENT, bucket=ABSENT)
    recording.has_properties(
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        blockPublicAcls=True,
        blockPublicPolicy=True,
        ignorePublicAcls=True,
        restrictPublicBuckets=True,
    )
    recording.has_properties(
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        rule={"objectOwnership": "BucketOwnerEnforced"},
    )
    recording.has_properties(
        "aws:s3/bucketVersioning:BucketVersioning", versioningConfiguration={"status": "Enabled"}
    )
    recording.has_properties(
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        rules=[{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}],
    )


def test_an_identity_is_a_secret_wherever_it_comes_from() -> None:
    def program() -> None:
        made = identity_secret()
        pulumi.export("sha256", made.sha256)

    recording = record(program)
    version = recording.one("aws:secretsmanager/secretVersion:SecretVersion")
    assert is_secret(version.inputs["secretString"])
    text = plain(version.inputs)["secretString"]
    assert json.loads(text) == {
        "certificate": "certificate",
        "privateKey": "PRIVATE-KEY-MARKER given as plain text",
    }
    assert recording.exports["sha256"].value == sha256(text)
    assert recording.exports["sha256"].secret is False
    for each in recording.registrations:
        assert not any("PRIVATE-KEY-MARKER" in found for found in texts_outside_secrets(each.inputs))


def test_the_policy_stands_before_the_value() -> None:
    recording = record(identity_secret)
    policy = recording.has_properties("aws:secretsmanager/secretPolicy:SecretPolicy", blockPublicPolicy=True)
    version = recording.one("aws:secretsmanager/secretVersion:SecretVersion")
    assert policy.urn in version.request.dependencies


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: IdentitySecretArgs(
                description="", certificate_pem="", private_key_pem="MARKER", administrators=[]
            ),
            "administrators: empty; name at least the role or user that runs 'pulumi up'",
        ),
        (lambda: PrivateBucketArgs(writers={"files/*": []}), r"writers: none for 'files/\*'"),
        (
            lambda: DesiredStateArgs(
                server="main", settings=SELF_MANAGED, files={"pg_hba.conf": ""},
                node=NODE, identity_arn="", identity_version="", identity_sha256="", writers=[OPERATOR],
                machine_role="",
            ),
            "files: .* must be exactly",
        ),
    ],
)  # fmt: skip
def test_refused_arguments(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        build()
    assert "MARKER" not in str(refused.value)
