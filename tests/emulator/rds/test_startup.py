"""The first packets of a client, and the few messages that the endpoint reads itself."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.rds.data_plane import messages
from emulator.rds.data_plane.startup import (
    CancelRequest,
    EncryptionRequest,
    StartupMessage,
    packet_length,
    parse_packet,
)

SSL_REQUEST = struct.pack("!II", 8, 80877103)
words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


def packet(body: bytes, code: int = 3 << 16) -> bytes:
    return struct.pack("!II", len(body) + 8, code) + body


def startup(*pairs: tuple[str, str]) -> bytes:
    return packet(b"".join(f"{name}\0{value}\0".encode() for name, value in pairs) + b"\0")


def test_requests_about_encryption_and_cancellation_are_known():
    assert parse_packet(SSL_REQUEST) == EncryptionRequest.SSL
    assert parse_packet(struct.pack("!II", 8, 80877104)) == EncryptionRequest.GSSENC
    for key in (8, 32, 256):
        cancel = packet(b"\1" * (4 + key), 80877102)
        assert parse_packet(cancel) == CancelRequest(packet=cancel)


def test_the_database_has_the_users_name_unless_it_is_given():
    message = parse_packet(startup(("user", "app")))
    assert isinstance(message, StartupMessage)
    assert (message.user, message.database) == ("app", "app")
    message = parse_packet(startup(("database", "d"), ("user", "app"), ("options", "")))
    assert isinstance(message, StartupMessage)
    assert (message.user, message.database) == ("app", "d")


@given(st.dictionaries(words.filter(lambda name: name != "user"), words), words)
def test_what_a_client_says_is_read_as_it_was_said(others, user):
    sent = startup(*others.items(), ("user", user))
    message = parse_packet(sent)
    assert isinstance(message, StartupMessage)
    assert message.parameters == {**others, "user": user}
    assert message.packet == sent


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_read_in_one_way(body):
    try:
        message = parse_packet(packet(body))
    except messages.Refused:
        return
    assert isinstance(message, StartupMessage)
    pairs = b"".join(f"{name}\0{value}\0".encode() for name, value in message.parameters.items())
    # Nothing is left over that another reader could take for something.
    assert len(pairs) + 1 <= len(body)
    assert message.user


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "terminator"),
        (b"user\0app\0", "terminator"),
        (b"user\0app\0\0hidden\0x\0\0", "terminator"),
        (b"user\0app\0\0\0", "terminator"),
        (b"user\0app\0user\0rdsadmin\0\0", "given twice"),
        (b"database\0a\0user\0app\0database\0b\0\0", "given twice"),
        (b"user\0\xff\0\0", "UTF-8"),
        (b"user\0\0\0", "no PostgreSQL user name"),
        (b"\0", "no PostgreSQL user name"),
    ],
)
def test_a_packet_that_could_be_read_in_two_ways_is_refused(body, words):
    with pytest.raises(messages.Refused, match=words):
        parse_packet(packet(body))


@pytest.mark.parametrize(
    "bad",
    [
        packet(b"x", 80877103),
        packet(b"x", 80877104),
        packet(b"1234", 80877102),
        packet(b"1" * 270, 80877102),
        SSL_REQUEST + b"x",
    ],
)
def test_requests_of_a_wrong_length_are_refused_without_a_word(bad):
    with pytest.raises(messages.Refused) as refusal:
        parse_packet(bad)
    assert refusal.value.message == ""


def test_an_old_protocol_is_named():
    with pytest.raises(messages.Refused, match=r"unsupported frontend protocol 2\.0"):
        parse_packet(packet(b"\0", 2 << 16))


@given(st.binary(min_size=4, max_size=4))
def test_lengths_are_those_that_postgresql_reads(prefix):
    length = int.from_bytes(prefix)
    if 8 <= length <= 10_000:
        assert packet_length(prefix) == length
    else:
        with pytest.raises(messages.Refused):
            packet_length(prefix)


def test_a_password_is_one_text_and_nothing_more():
    assert messages.password_of("päss\0".encode()) == "päss"
    for body in (b"", b"x", b"a\0b\0", b"\xff\0"):
        with pytest.raises(messages.Refused):
            messages.password_of(body)


def test_only_authentication_ok_lets_in():
    assert messages.lets_in(b"R", struct.pack("!I", 0))
    assert not messages.lets_in(b"R", struct.pack("!I", 10) + b"SCRAM-SHA-256\0\0")
    assert not messages.lets_in(b"E", struct.pack("!I", 0))
