"""Text is found in every container, and no container can stop the pack."""

from __future__ import annotations

import base64
import gzip
import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.text.embedded_text import LARGEST, known_texts, private_keys_in, unfolded
from policy.values import UNKNOWN, UndecidedError, Value, decoded
from tests.policy.examples import secret

LINES = st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), min_size=30).map(
    lambda text: f"# {text}\nx=1\n"
)


def value(raw: object) -> Value:
    return Value.of("userData", decoded(raw))


def contents(raw: object) -> list[str]:
    return [each.content for each in known_texts(value(raw))]


@settings(max_examples=40)
@given(LINES)
def test_base64_and_gzip_hide_nothing(text: str) -> None:
    packed = base64.b64encode(gzip.compress(text.encode())).decode()
    assert contents(packed) == contents(text)
    assert contents(base64.b64encode(packed.encode()).decode()) == contents(text)


@settings(max_examples=40)
@given(LINES)
def test_what_cloud_config_writes_is_found_by_its_path_however_it_is_encoded(text: str) -> None:
    for encoding, content in (
        ("", text),
        ("b64", base64.b64encode(text.encode()).decode()),
        ("gz+b64", base64.b64encode(gzip.compress(text.encode())).decode()),
    ):
        file = {"path": "/etc/a.conf", "content": content, "encoding": encoding}
        for dump in (json.dumps, yaml.safe_dump):
            found = known_texts(value("#cloud-config\n" + dump({"write_files": [file]})))
            assert ("/etc/a.conf", text) in [(each.name, each.content) for each in found]


@settings(max_examples=40)
@given(st.text())
def test_any_text_can_be_unfolded(text: str) -> None:
    for prefix in (
        "",
        "#cloud-config\n",
        "{",
        "[",
        "Content-Type: multipart/mixed\n\n",
        "cat <<EOF > a.conf\n",
    ):
        unfolded(prefix + text)


@pytest.mark.parametrize(
    ("script", "name", "content"),
    [
        ("cat > /etc/pg_hba.conf <<EOF\na\nb\nEOF\n", "/etc/pg_hba.conf", "a\nb"),
        ("cat <<'END' | sudo tee /etc/pg_hba.conf\na\nEND\n", "/etc/pg_hba.conf", "a"),
        ("sudo tee -a /etc/pg_hba.conf <<-EOF >/dev/null\n\ta\n\tEOF\n", "/etc/pg_hba.conf", "\ta"),
        ("echo 'a b' >> /etc/pg_hba.conf\n", "/etc/pg_hba.conf", "a b"),
        ('printf "a\\nb" > "/etc/pg_hba.conf"\n', "/etc/pg_hba.conf", "a\nb"),
        ("echo a | sudo tee -a $PGDATA/pg_hba.conf\n", "$PGDATA/pg_hba.conf", "a"),
    ],
)
def test_what_a_script_writes_is_found_by_its_file(script: str, name: str, content: str) -> None:
    assert (name, content) in unfolded(f"#!/bin/sh\n{script}")


def test_a_bomb_is_not_unfolded_to_its_end() -> None:
    bomb = base64.b64encode(gzip.compress(b"a" * (LARGEST * 8))).decode()
    assert sum(map(len, contents(bomb))) <= LARGEST


def test_nesting_ends() -> None:
    text = "innermost text that is long enough"
    for _ in range(20):
        text = base64.b64encode(text.encode()).decode()
    assert "innermost text that is long enough" not in contents(text)


def test_a_cloud_config_that_is_none_is_still_read_as_text() -> None:
    assert contents("#cloud-config\n: : {") == ["#cloud-config\n: : {"]


def test_programs_are_no_text() -> None:
    assert contents(base64.b64encode(bytes(range(256)) * 4).decode()) == []


def test_a_text_remembers_that_it_is_inside_a_secret() -> None:
    [found] = known_texts(value({"a": [secret("#!/bin/sh\ntrue")]}))
    assert (found.path, found.secret) == ("userData.a[0]", True)
    assert "true" not in repr(found)


def test_what_is_unknown_is_said_unless_a_key_is_found_beside_it() -> None:
    with pytest.raises(UndecidedError):
        private_keys_in(Value.of("a", ["x", UNKNOWN]))
    assert private_keys_in(Value.of("a", [UNKNOWN, "-----BEGIN ENCRYPTED PRIVATE KEY-----"]))
    assert private_keys_in(Value.of("a", "-----BEGIN PUBLIC KEY-----")) == []
