"""Where the connections document of a stack comes from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
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


@pytest.mark.parametrize("arguments", [{}, {"connections": "c.json", "parameter": "/p"}])
def test_exactly_one_place_is_named(arguments: dict[str, str]) -> None:
    with pytest.raises(StackError, match="give one of them"):
        load(**arguments)  # type: ignore[arg-type]


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-access-key")
    with mock_aws():

        def published(body: str, sha256: str) -> None:
            s3 = boto3.client("s3")
            s3.create_bucket(
                Bucket="documents", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
            )
            s3.put_bucket_versioning(Bucket="documents", VersioningConfiguration={"Status": "Enabled"})
            version = s3.put_object(Bucket="documents", Key="connections.json", Body=body.encode())[
                "VersionId"
            ]
            s3.put_object(Bucket="documents", Key="connections.json", Body=b"a newer one")
            pointer = {"bucket": "documents", "key": "connections.json", "version": version, "sha256": sha256}
            boto3.client("ssm").put_parameter(Name="/c", Value=json.dumps(pointer), Type="String")

        yield published


def test_the_published_document(publish: Callable[[str, str], None]) -> None:
    publish(DOCUMENT, hashlib.sha256(DOCUMENT.encode()).hexdigest())
    assert load(parameter="/c").name == "prod"


def test_a_published_document_that_was_changed(publish: Callable[[str, str], None]) -> None:
    publish(DOCUMENT, "0" * 64)
    with pytest.raises(StackError, match="the object is not the one that the stack published"):
        load(parameter="/c")


def test_the_document_s_bucket_belongs_to_the_parameter_s_account(
    publish: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(DOCUMENT, hashlib.sha256(DOCUMENT.encode()).hexdigest())
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
    assert load(parameter="/c").name == "prod"
    assert expected == ["123456789012"]


def test_nothing_is_published(publish: Callable[[str, str], None]) -> None:
    with pytest.raises(StackError, match="cannot read the document of SSM parameter /c: ParameterNotFound"):
        load(parameter="/c")


def test_unknown_names_are_answered_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(DOCUMENT)
    with pytest.raises(UnknownNameError, match="stack 'prod' has no database 'rds'; it has: none"):
        load(connections="c.json").database("rds")
