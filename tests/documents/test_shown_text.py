"""What others write cannot move a terminal's cursor, begin a line of its own or hide itself."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from documents.shown_text import shown


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("pg_hba.conf line 3: trust", "pg_hba.conf line 3: trust"),
        ("größer als 5 € 😀", "größer als 5 € 😀"),
        ("a\nb\r\nc\n\n d\n", "a; b; c;  d"),
        ("\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
        ("ok\rupdate succeeded", "ok\\x0dupdate succeeded"),
        ("one byte CSI \x9b2J", "one byte CSI \\x9b2J"),
        ("right to left \u202e", "right to left \\u202e"),
        ("a line\u2028of its own\u2029", "a line\\u2028of its own\\u2029"),
        ("tag \U000e0041", "tag \\U000e0041"),
        ("a\tb\x00\x7f", "a\\x09b\\x00\\x7f"),
    ],
)
def test_hidden_characters_are_shown(text: str, line: str) -> None:
    assert shown(text) == line


@given(st.text())
def test_a_shown_text_is_one_line_that_stays_as_it_is(text: str) -> None:
    line = shown(text)
    assert shown(line) == line
    assert len(line.splitlines()) <= 1
    assert not any(unicodedata.category(sign) in ("Cc", "Cf", "Zl", "Zp") for sign in line)
