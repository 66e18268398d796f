"""Where the connections document of a stack comes from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from pgpasswordless.aws import Aws
from pgpasswordless.errors import StackError, UnknownNameError
from pgpasswordless.stack import load

DOCUMENT = json.dumps({"schemaVersion": 1, "stack": "prod", "databases": {}})


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PGPASSWORDLESS_CONTEXTS", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def context(folder: Path, **values: Any) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "sandbox.json").write_text(json.dumps({"connections": "c.json"} | values))


def pulumi(tmp_path: Path, script: str) -> None:
    program = tmp_path / "bin" / "pulumi"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_a_file_that_is_given(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(DOCUMENT)
    stack = load(connections="c.json")
    assert (stack.name, stack.psql) == ("prod", None)


def test_the_context_in_the_working_directory(tmp_path: Path) -> None:
    context(tmp_path / ".pgpasswordless", psql="/opt/psql", environment={"AWS_REGION": "eu-central-1"})
    (tmp_path / ".pgpasswordless" / "c.json").write_text(DOCUMENT)
    stack = load("sandbox")
    assert (stack.name, stack.psql) == ("sandbox", "/opt/psql")


def test_the_contexts_of_the_environment_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context(tmp_path / ".pgpasswordless", psql="/here")
    context(tmp_path / "elsewhere", psql="/there")
    (tmp_path / "elsewhere" / "c.json").write_text(DOCUMENT)
    monkeypatch.setenv("PGPASSWORDLESS_CONTEXTS", str(tmp_path / "elsewhere"))
    assert load("sandbox").psql == "/there"


def test_a_wrong_context_shows_no_credential(tmp_path: Path) -> None:
    context(tmp_path / ".pgpasswordless", environment={"AWS_SECRET_ACCESS_KEY": ["hidden-value"]}, other=1)
    with pytest.raises(StackError) as error:
        load("sandbox")
    assert "environment.AWS_SECRET_ACCESS_KEY: Input should be a valid string" in str(error.value)
    assert "other: Extra inputs are not permitted" in str(error.value)
    assert "hidden-value" not in repr(error.value)


def test_credentials_are_in_no_representation(tmp_path: Path) -> None:
    context(tmp_path / ".pgpasswordless", environment={"AWS_SECRET_ACCESS_KEY": "hidden-value"})
    (tmp_path / ".pgpasswordless" / "c.json").write_text(DOCUMENT)
    assert "hidden-value" not in repr(load("sandbox"))


def test_a_context_whose_document_is_gone(tmp_path: Path) -> None:
    context(tmp_path / ".pgpasswordless")
    with pytest.raises(
        StackError, match=r"c\.json, named by the stack context .*sandbox\.json: No such file"
    ):
        load("sandbox")


@pytest.mark.parametrize("name", ["sandbox.json", "c.json", "."])
@pytest.mark.parametrize("mode", [0o666, 0o620, 0o777])
def test_what_others_can_write_is_not_read(name: str, mode: int, tmp_path: Path) -> None:
    folder = tmp_path / ".pgpasswordless"
    context(folder)
    (folder / "c.json").write_text(DOCUMENT)
    for path in (folder, folder / "sandbox.json", folder / "c.json"):
        path.chmod(0o700)
    assert load("sandbox").name == "sandbox"
    (folder / name).chmod(mode if name != "." else mode | 0o100)
    with pytest.raises(StackError, match=r"is not read: .* others can write it.* `chmod go-w "):
        load("sandbox")


@pytest.mark.parametrize("name", ["sandbox.json", "c.json", "."])
def test_what_somebody_else_owns_is_not_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ".pgpasswordless"
    context(folder)
    (folder / "c.json").write_text(DOCUMENT)
    if os.geteuid() == 0:
        os.chown(folder / name, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(StackError, match=r"is not read: .* belongs to the user with the number"):
        load("sandbox")


@pytest.mark.parametrize("linked", [".pgpasswordless", ".pgpasswordless/sandbox.json"])
def test_a_link_that_somebody_else_made_to_a_context_of_one_s_own_is_not_followed(
    linked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context(tmp_path / "own")
    (tmp_path / "own" / "c.json").write_text(DOCUMENT)
    link = tmp_path / linked
    link.parent.mkdir(exist_ok=True)
    (link.parent / "c.json").write_text(DOCUMENT)
    link.symlink_to(tmp_path / "own" / ("" if linked == ".pgpasswordless" else "sandbox.json"))
    assert load("sandbox").name == "sandbox"
    if os.geteuid() == 0:
        os.chown(link, 12345, -1, follow_symlinks=False)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(StackError, match="belongs to the user with the number"):
        load("sandbox")


def test_a_document_that_is_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    context(tmp_path / ".pgpasswordless")
    os.mkfifo(tmp_path / ".pgpasswordless" / "c.json", 0o600)
    with pytest.raises(StackError, match=r"c\.json, named by the stack context .* is not valid"):
        load("sandbox")


def test_the_output_of_the_pulumi_stack(tmp_path: Path) -> None:
    pulumi(tmp_path, f"echo \"$@\" > {tmp_path}/arguments; echo '{DOCUMENT}'")
    assert load("org/prod").connections.stack == "prod"
    arguments = (tmp_path / "arguments").read_text()
    assert arguments == "stack output connections --json --stack org/prod --non-interactive\n"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo 'error: no stack named' >&2; exit 255", "failed: error: no stack named; run it where"),
        ("echo plain", "is not JSON"),
        ('echo \'{"stack": ""}\'', "stack: String should have at least 1 character"),
    ],
)
def test_a_pulumi_stack_without_the_output(tmp_path: Path, script: str, message: str) -> None:
    pulumi(tmp_path, script)
    with pytest.raises(StackError, match=message):
        load("prod")


def test_no_context_and_no_pulumi() -> None:
    with pytest.raises(StackError, match=r"has no stack context .* no pulumi on PATH"):
        load("prod")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "neither a stack nor a connections document is given"),
        ({"connections": "c.json", "account": "123456789012"}, "no address s3://BUCKET/KEY"),
        ({"stack": "prod", "account": "123456789012"}, "no address s3://BUCKET/KEY"),
        ({"connections": "s3://documents"}, "not the address of an object"),
        ({"connections": "s3:///connections.json"}, "not the address of an object"),
    ],
)
def test_one_place_is_named_and_it_can_be_read(arguments: dict[str, str], said: str) -> None:
    with pytest.raises(StackError, match=said):
        load(**arguments)  # type: ignore[arg-type]


ADDRESS = "s3://documents/connections.json"
OWN_ACCOUNT = "123456789012"


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An S3 client; the document is published, and a parameter of its former name leads to another one."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-access-key")
    with mock_aws():
        s3 = boto3.client("s3")
        for bucket in ("documents", "attacker"):
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        s3.put_object(Bucket="documents", Key="connections.json", Body=DOCUMENT.encode())
        body = DOCUMENT.replace("prod", "attacker").encode()
        version = s3.put_object(Bucket="attacker", Key="connections.json", Body=body)["VersionId"]
        sha256 = hashlib.sha256(body).hexdigest()
        pointer = {"bucket": "attacker", "key": "connections.json", "version": version, "sha256": sha256}
        boto3.client("ssm").put_parameter(Name="/c", Value=json.dumps(pointer), Type="String")
        yield s3


def expected_owners(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Whom buckets are expected to belong to, in every read from now on."""
    expected: list[str] = []
    objects = Aws.objects

    def watched(self: Aws) -> Any:
        client = objects(self)
        client.meta.events.register(
            "before-parameter-build.s3.GetObject",
            lambda params, **_: expected.append(params["ExpectedBucketOwner"]),
        )
        return client

    monkeypatch.setattr(Aws, "objects", watched)
    return expected


def test_the_published_document_is_the_current_one_in_a_bucket_of_the_own_account(
    published: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = expected_owners(monkeypatch)
    stack = load(connections=ADDRESS)
    assert (stack.name, stack.reference) == ("prod", ("--connections", ADDRESS))
    published.put_object(
        Bucket="documents", Key="connections.json", Body=DOCUMENT.replace("prod", "next").encode()
    )
    assert load(connections=ADDRESS).name == "next"
    assert expected == [OWN_ACCOUNT, OWN_ACCOUNT]


def test_a_document_of_another_account_is_read_where_that_account_is_named(
    published: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = expected_owners(monkeypatch)
    stack = load(connections=ADDRESS, account="210987654321")
    assert expected == ["210987654321"]
    assert stack.reference == ("--connections", ADDRESS, "--account", "210987654321")


def test_whoever_may_write_a_parameter_chooses_nothing(published: Any) -> None:
    with pytest.raises(StackError, match=r"/c is not read: .* load\(connections=…\)"):
        load(parameter="/c")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("s3://nowhere/connections.json", "own account: NoSuchBucket"),
        ("s3://documents/another.json", "own account: NoSuchKey"),
    ],
)
def test_what_is_not_published_is_named(published: Any, address: str, said: str) -> None:
    with pytest.raises(StackError, match=f"cannot read the connections document {address}, .*{said}"):
        load(connections=address)


def test_unknown_names_are_answered_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(DOCUMENT)
    with pytest.raises(UnknownNameError, match="stack 'prod' has no database 'rds'; it has: none"):
        load(connections="c.json").database("rds")
