"""Serials only grow, stay with their content, and come from the clock in writes alone."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

import dill
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.serial import Serial, SerialProvider, next_serial
from engine.project import CHECKOUT
from tests.emulator.conftest import Stack, stack
from tests.recording_monitor import record

__all__ = ["stack"]

NOW = 1_796_058_502
CLOCKS = st.floats(min_value=0, max_value=4e9)


@given(previous=st.integers(min_value=0, max_value=2**53), now=CLOCKS)
def test_the_next_serial_is_higher_than_the_last_and_no_less_than_the_clock(
    previous: int, now: float
) -> None:
    serial = next_serial(previous, now)
    assert serial > previous
    assert serial >= int(now)
    assert serial in (previous + 1, int(now))


def changes(*steps: tuple[str, float], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Serials of a document that has these contents at these times, as the engine asks for them."""
    provider, outs, serials = SerialProvider(), None, []
    for content, now in steps:
        news = {"contentSha256": content}
        monkeypatch.setattr(time, "time", lambda now=now: now)
        if outs is None:
            outs = provider.create(news).outs
        elif provider.diff("serial", outs, news).changes:
            outs = provider.update("serial", outs, news).outs
        # The state of the engine is JSON, and its numbers come back as floats.
        outs = json.loads(json.dumps(outs))
        outs["serial"] = float(outs["serial"])
        serials.append(int(outs["serial"]))
    return serials


@given(steps=st.lists(st.tuples(st.sampled_from("abc"), CLOCKS), min_size=1, max_size=12))
def test_each_change_of_the_content_has_a_higher_serial_and_nothing_else_has(
    steps: list[tuple[str, float]],
) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        serials = changes(*steps, monkeypatch=monkeypatch)
    contents = [content for content, _ in steps]
    for (before, last), (after, serial) in itertools.pairwise(zip(contents, serials, strict=True)):
        assert serial == last if before == after else serial > last


@pytest.mark.parametrize(
    ("steps", "serials"),
    [
        ([("a", NOW), ("b", NOW + 9), ("a", NOW + 20)], [NOW, NOW + 9, NOW + 20]),
        ([("a", NOW), ("b", NOW + 0.5), ("a", NOW + 0.9)], [NOW, NOW + 1, NOW + 2]),
        ([("a", NOW), ("b", NOW - 1e6), ("c", NOW - 1e6)], [NOW, NOW + 1, NOW + 2]),
        ([("a", NOW), ("a", NOW + 1e6)], [NOW, NOW]),
    ],
    ids=["a revert is new", "within one second", "a clock set back", "unchanged"],
)
def test_serials_of_a_document(
    steps: list[tuple[str, float]], serials: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert changes(*steps, monkeypatch=monkeypatch) == serials


def test_a_lost_state_gives_a_higher_serial(monkeypatch: pytest.MonkeyPatch) -> None:
    before = changes(("a", NOW), ("b", NOW + 1), ("c", NOW + 1), monkeypatch=monkeypatch)
    (after,) = changes(("a", NOW + 60), monkeypatch=monkeypatch)
    assert after > before[-1]


def test_only_a_write_reads_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped() -> float:
        raise AssertionError("the clock was read")

    monkeypatch.setattr(time, "time", stopped)
    provider = SerialProvider()
    olds: dict[str, Any] = {"contentSha256": "a", "serial": float(NOW)}
    assert provider.diff("serial", olds, {"contentSha256": "a", "serial": None}).changes is False
    result = provider.diff("serial", olds, {"contentSha256": "b", "serial": None})
    assert result.changes is True
    assert not result.replaces
    assert provider.check(olds, {"contentSha256": "b"}).inputs == {"contentSha256": "b"}
    assert provider.read("serial", olds).outs == olds
    provider.delete("serial", olds)


def test_the_provider_travels_by_name() -> None:
    pickled = dill.dumps(SerialProvider(), recurse=True)
    assert type(dill.loads(pickled)) is SerialProvider  # noqa: S301
    assert b"components.serial" in pickled


PROGRAM = """
import pathlib

import pulumi
from pulumi import dynamic

from components.serial import Serial

content = pulumi.Config().require("content")
refuses = str(pathlib.Path(__file__).with_name("refuses"))

class Store(dynamic.ResourceProvider):
    serialize_as_secret_always = False

    def create(self, props):
        return dynamic.CreateResult("document", self.written(props))

    def update(self, _id, _olds, _news):
        return dynamic.UpdateResult(self.written(_news))

    def written(self, props):
        if pathlib.Path(props["refuses"]).exists():
            raise OSError("the store refuses")
        return props

class Document(dynamic.Resource):
    def __init__(self, text):
        super().__init__(Store(), "document", {"text": text, "refuses": refuses})

serial = Serial("document-serial", content).serial
Document(serial.apply(lambda number: f"{number} {content}"))
"""


@pytest.mark.long
def test_a_serial_outlives_a_failed_write_and_is_unknown_in_the_preview_of_a_change(stack: Stack) -> None:
    (stack.folder / "components").symlink_to(CHECKOUT / "components")
    stack.program(PROGRAM)

    def up(content: str) -> tuple[int, str]:
        """Serial in the state, and the text of the document."""
        stack.up("--config", f"content={content}")
        state = stack.state()
        return int(state["document-serial"]["outputs"]["serial"]), state["document"]["outputs"]["text"]

    first, text = up("one")
    assert text == f"{first} one"
    assert up("one") == (first, text)
    preview = stack.run("preview", "--diff", "--config", "content=two").output
    assert f'text: "{first} one" => [unknown]' in preview
    (stack.folder / "refuses").touch()
    second, text = up("two")
    assert (second > first, text) == (True, f"{first} one")
    assert up("two") == (second, f"{first} one")
    (stack.folder / "refuses").unlink()
    assert up("two") == (second, f"{second} two")
    third, text = up("one")
    assert (third > second, text) == (True, f"{third} one")


def test_the_resource_gives_a_whole_number() -> None:
    seen: list[Any] = []

    def program() -> None:
        Serial("document-serial", "a" * 64).serial.apply(seen.append)

    recording = record(program)
    assert seen == [NOW]
    assert type(seen[0]) is int
    recording.has_properties("pulumi-python:dynamic/passwordless-postgres:Serial", contentSha256="a" * 64)
