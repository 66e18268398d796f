"""Batches stay within what AWS accepts, and lose no event."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtime.cloudwatch import (
    BATCH_BYTES,
    BATCH_EVENTS,
    BATCH_SPAN_MILLISECONDS,
    EVENT_BYTES,
    LogEvent,
    batches,
    fitting,
    log_events,
)


@given(
    st.lists(st.tuples(st.integers(0, 3 * BATCH_SPAN_MILLISECONDS), st.integers(1, EVENT_BYTES)), max_size=30)
)
def test_batches_fit_aws_and_lose_nothing(given_: list[tuple[int, int]]) -> None:
    events = [
        LogEvent(timestamp=timestamp, message="x" * size, position=str(number))
        for number, (timestamp, size) in enumerate(given_)
    ]
    made = list(batches(events))
    assert [event for batch in made for event in batch] == events
    for batch in made:
        assert sum(event.size for event in batch) <= BATCH_BYTES
        times = [event.timestamp for event in batch]
        assert max(times) - min(times) <= BATCH_SPAN_MILLISECONDS
        times_sent = [sent["timestamp"] for sent in log_events(batch)]
        assert times_sent == sorted(times)


def test_a_batch_has_no_more_events_than_aws_takes() -> None:
    events = [LogEvent(timestamp=0, message="x", position="c") for _ in range(BATCH_EVENTS + 1)]
    assert [len(batch) for batch in batches(events)] == [BATCH_EVENTS, 1]


def test_a_text_is_cut_between_characters() -> None:
    assert fitting("short") == "short"
    cut = fitting("\u00e4" * EVENT_BYTES)
    assert len(cut.encode()) <= EVENT_BYTES
    assert set(cut) == {"\u00e4"}
