from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.core.properties import (
    UNKNOWN,
    Archive,
    Asset,
    Secret,
    contains_secret,
    contains_unknown,
    decode,
    encode,
    mark_secrets,
    reveal,
)

# Numbers are doubles on the wire, so larger whole numbers would not come back equal.
plain = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8)
values = st.recursive(
    plain | st.just(UNKNOWN) | st.builds(Secret, plain),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=5), values.filter(lambda value: value is not None), max_size=4))
def test_values_come_back_from_the_wire_as_they_went(properties: dict[str, Any]) -> None:
    assert decode(encode(properties)) == properties


def test_assets_and_archives_come_back_with_their_hash() -> None:
    properties = {
        "source": Asset(text="hello", hash="abc"),
        "file": Asset(path="a.txt"),
        "code": Archive(assets={"x": Asset(path="x.py"), "y": Archive(path="y.zip", hash="h")}),
    }
    assert decode(encode(properties)) == properties
    assert decode(encode(properties))["source"].read() == b"hello"


def test_assets_with_hashes_are_equal_when_the_hashes_are() -> None:
    assert Asset(path="a", hash="1") == Asset(hash="1")
    assert Asset(path="a", hash="1") != Asset(path="a", hash="2")


def test_an_asset_from_state_cannot_be_read() -> None:
    with pytest.raises(ValueError, match="neither text nor path"):
        Asset(hash="abc").read()


def test_unknowns_of_every_kind_are_recognised() -> None:
    number = "3eeb2bf0-c639-47a8-9e75-3b44932eb421"
    assert decode(encode({"n": number}))["n"] is UNKNOWN


def test_an_unknown_has_no_truth_value() -> None:
    with pytest.raises(TypeError, match="is UNKNOWN"):
        bool(UNKNOWN)


def test_a_secret_does_not_show_its_value() -> None:
    assert "hunter2" not in repr({"key": [Secret("hunter2")]})


def test_what_is_no_property_value_is_refused_by_name_only() -> None:
    with pytest.raises(TypeError, match=r"property a\.b\[1\]: object is no property value"):
        encode({"a": {"b": ["fine", object()]}})


def test_secrets_go_where_the_inputs_had_them() -> None:
    inputs = {
        "key": Secret("k"),
        "nested": {"a": Secret("x"), "b": "y"},
        "list": ["p", Secret("q")],
        "open": 1,
    }
    outputs = {
        "key": "k",
        "nested": {"a": "x", "b": "y", "c": "z"},
        "list": ["p", "q"],
        "open": 1,
        "made": "m",
    }
    assert mark_secrets(outputs, inputs, always=["made"]) == {
        "key": Secret("k"),
        "nested": {"a": Secret("x"), "b": "y", "c": "z"},
        "list": Secret(["p", "q"]),
        "open": 1,
        "made": Secret("m"),
    }


@given(values)
def test_revealed_values_hold_no_secret_and_lose_nothing_else(value: Any) -> None:
    assert not contains_secret(reveal(value))
    assert contains_unknown(reveal(value)) == contains_unknown(value)
