"""Names, networks, versions: what is refused before anything else sees it."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postgres.identifiers import (
    database_name_problems,
    quote_identifier,
    quote_literal,
    role_name_problems,
)
from postgres.networks import everywhere_problems, network_problems, parse_network
from postgres.versions import MINIMUM_MINORS, SUPPORTED_MAJORS, minor_floor_problems, require_supported


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "is empty"),
        ("x" * 64, "64 bytes"),
        ("é" * 32, "64 bytes"),
        ("App", "use 'app'"),
        ("a\x00b", "control"),
        ("a\nb", "control"),
        ("a\u200bb", "invisible"),
        ("a\ud800b", "invisible"),
        (" app", "white space"),
        ("e\u0301", "normal form"),
        ("postgres", "superuser"),
        ("pg_monitor", "'pg_'"),
        ("rds_superuser", "'rds'"),
        ("rdsadmin", "'rds'"),
        ("public", "means something else"),
        ("none", "means something else"),
        ("current_user", "means something else"),
        ("all", "keyword of pg_hba.conf"),
        ("replication", "keyword of pg_hba.conf"),
        ("/app", "regular expression"),
        ("+app", "a group"),
    ],
)
def test_role_names_that_mean_something_else_are_refused(name, says):
    problems = role_name_problems(name)
    assert any(says in problem for problem in problems)


@pytest.mark.parametrize(
    "name", ["app_user", "app-user", "app.user@example", "été", "x" * 63, "with space", "o'neill"]
)
def test_role_names_that_mean_themselves_pass(name):
    assert role_name_problems(name) == []


@pytest.mark.parametrize(
    "name", ["", "App", "template1", "postgres", "all", "sameuser", "a=b", "postgresql://x", "/x"]
)
def test_database_names_that_mean_something_else_are_refused(name):
    assert len(database_name_problems(name)) == 1


def test_several_problems_of_one_name_are_said_together():
    assert len(role_name_problems("+App\n")) == 4


def test_quoting_refuses_what_sql_cannot_hold():
    for name in ("", "a\0", "x" * 64):
        with pytest.raises(ValueError, match="cannot be an SQL identifier"):
            quote_identifier(name)
    with pytest.raises(ValueError, match="NUL"):
        quote_literal("\0")


@pytest.mark.parametrize(
    ("networks", "are_too_many"),
    [
        (["0.0.0.0/1", "128.0.0.0/1"], True),
        (["0.0.0.0/2", "64.0.0.0/2"], True),
        (["::/1", "8000::/1"], True),
        (["2000::/4", "10.0.0.0/8"], True),
        (["8000::/1"], False),
        (["0.0.0.0/2", "0.0.0.0/3", "10.0.0.0/8"], False),
        (["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8", "2a00::/12"], False),
        ([], False),
    ],
)
def test_networks_that_are_together_everywhere_are_refused(networks, are_too_many):
    assert bool(everywhere_problems(networks)) is are_too_many


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("db.internal", "host name"),
        ("", "not a network"),
        ("10.0.0.300/24", "not a network"),
        ("10.0.0.0/33", "not a network"),
        ("10.0.0.1", "write 10.0.0.1/32"),
        ("10.0.0.1/24", "write 10.0.0.0/24"),
        ("10.0.0.0/255.255.255.0", "write 10.0.0.0/24"),
        ("010.0.0.0/24", "not a network"),
        ("0.0.0.0/0", "whole internet"),
        ("10.0.0.0/0", "whole internet"),
        ("::/0", "whole internet"),
        ("fe80::%eth0/64", "interface scope"),
        ("::ffff:10.0.0.0/120", "IPv4 written as IPv6"),
        ("10.0.0.0/24 ", "not a network"),
        ("10.0.0.0/24,10.0.1.0/24", "not a network"),
    ],
)
def test_networks_that_are_none_are_refused(text, says):
    (problem,) = network_problems(text)
    assert says in problem
    with pytest.raises(ValueError, match="network"):
        parse_network(text)


@given(st.ip_addresses(), st.integers(1, 32))
def test_canonical_networks_pass(address, prefix):
    network = ipaddress.ip_network(f"{address}/{prefix}", strict=False)
    assert parse_network(str(network)) == network


def test_versions():
    assert set(MINIMUM_MINORS) == set(SUPPORTED_MAJORS)
    require_supported(17)
    with pytest.raises(ValueError, match="use one of 15, 16, 17, 18"):
        require_supported(14)
    assert minor_floor_problems(17, 11) == []
    assert "use 11 or higher" in minor_floor_problems(17, 10)[0]
    assert "not supported" in minor_floor_problems(14, 22)[0]


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=50))
@settings(max_examples=50)
def test_quoted_literals_hold_nothing_but_text(text):
    quoted = quote_literal(text)
    body = quoted.removeprefix("E").removeprefix("'").removesuffix("'")
    assert "'" not in body.replace("''", "")
    if quoted.startswith("E"):
        assert "\\" not in body.replace("\\\\", "")
    else:
        assert "\\" not in body


def test_the_server_reads_quoted_text_back(cluster):
    with cluster.connect() as session:
        for text in ("", "o'neill", "back\\slash", "\\'", "''", "line\nend", "é", "E'x'"):
            for conforming in ("on", "off"):
                session.execute(
                    f"SET standard_conforming_strings = {conforming}; SET escape_string_warning = off"
                )
                assert session.execute(f"SELECT {quote_literal(text)}".encode()).fetchone() == (text,)
            if 0 < len(text) < 60:
                assert (
                    session.execute(f"SELECT 1 AS {quote_identifier(text)}".encode()).description[0].name
                    == text
                )
