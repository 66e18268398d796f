"""What every published document keeps to."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from documents.document import Document, ObjectPointer, ObjectVersion

SHA256 = "0" * 64


class Part(Document):
    some_name: int


def test_keys_are_camel_case_and_either_name_is_read() -> None:
    assert Part(some_name=1).to_json() == '{"someName":1}'
    assert Part.model_validate({"someName": 1}) == Part(some_name=1)


def test_an_unknown_key_is_refused_without_repeating_its_value() -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted") as raised:
        Part.model_validate({"someName": 1, "other": "a-secret"})
    assert "a-secret" not in str(raised.value)


def test_a_document_does_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Part(some_name=1).some_name = 2  # type: ignore[misc]


# User-data and parameters hold these texts: another order of the keys would replace machines.
def test_the_order_of_keys_stays() -> None:
    version = {"key": "k", "version": "v", "sha256": SHA256}
    assert ObjectVersion.model_validate(version).to_json() == json.dumps(version, separators=(",", ":"))
    pointer = {"bucket": "b", **version}
    assert ObjectPointer.model_validate(pointer).to_json() == json.dumps(pointer, separators=(",", ":"))


@pytest.mark.parametrize("key", ["bucket", "key", "version", "sha256"])
@pytest.mark.parametrize("value", ["", None])
def test_a_pointer_names_everything(key: str, value: str | None) -> None:
    with pytest.raises(ValidationError, match=key):
        ObjectPointer.model_validate(
            {"bucket": "b", "key": "k", "version": "v", "sha256": SHA256} | {key: value}
        )
