"""Where the connections document of a stack comes from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

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


def test_nothing_is_published(publish: Callable[[str, str], None]) -> None:
    with pytest.raises(StackError, match="cannot read the document of SSM parameter /c: ParameterNotFound"):
        load(parameter="/c")


def test_unknown_names_are_answered_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(DOCUMENT)
    with pytest.raises(UnknownNameError, match="stack 'prod' has no database 'rds'; it has: none"):
        load(connections="c.json").database("rds")
