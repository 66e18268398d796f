"""No program reads or writes a bucket of another account: the name of a deleted bucket is anybody's."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
PROGRAMS = ("components", "functions", "gateway", "node", "pgpasswordless", "runtime")


def owned_calls() -> frozenset[str]:
    """Methods of S3's client that take the expected owner."""
    model = botocore.session.get_session().get_service_model("s3")
    return frozenset(
        botocore.xform_name(name)
        for name in model.operation_names
        if (shape := model.operation_model(name).input_shape) and "ExpectedBucketOwner" in shape.members
    )


CALLS = owned_calls()
# Parts of user-data, which never changes; what they fetch is pinned by its SHA-256.
LAUNCHERS = {"gateway/launcher.py", "node/launcher.py"}


def unowned(source: str) -> Iterator[int]:
    """Lines of calls that expect no owner."""
    for each in ast.walk(ast.parse(source)):
        if (
            isinstance(each, ast.Call)
            and isinstance(each.func, ast.Attribute)
            and each.func.attr in CALLS
            and any(keyword.arg == "Bucket" for keyword in each.keywords)
            and not any(keyword.arg == "ExpectedBucketOwner" for keyword in each.keywords)
        ):
            yield each.lineno


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_call_of_s3_expects_the_owner(program: str) -> None:
    found = [
        f"{name}:{line}"
        for path in sorted((CHECKOUT / program).rglob("*.py"))
        if (name := path.relative_to(CHECKOUT).as_posix()) not in LAUNCHERS
        for line in unowned(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_the_search_finds_what_it_looks_for() -> None:
    assert {"get_object", "put_object", "head_object", "list_objects_v2", "delete_object"} <= CALLS
    assert list(unowned("client.get_object(Bucket=b, Key=k)")) == [1]
    assert list(unowned("client.get_object(Bucket=b, Key=k, ExpectedBucketOwner=o)")) == []
