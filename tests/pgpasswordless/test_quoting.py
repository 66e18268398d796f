"""Quoting, by what the parsers of each form read back."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import sqlalchemy
from hypothesis import example, given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from pgpasswordless.directories import identity_directory, path_component
from pgpasswordless.drivers import Driver, npgsql, render
from pgpasswordless.errors import NotSupportedError
from pgpasswordless.identity_files import IdentityFiles
from pgpasswordless.libpq import CertificateTarget, conninfo, keywords, psql_command

# Anything that UTF-8 and a C string can hold; PostgreSQL's names and paths cannot hold a NUL.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=30)
troublesome = st.text(" '\"\\%&+;=?#/@:$`!\n\té", min_size=1, max_size=12)
values = texts | troublesome


def target(dbname: str, user: str, folder: str) -> CertificateTarget:
    return CertificateTarget(
        host="localhost",
        port=5432,
        dbname=dbname,
        user=user,
        files=IdentityFiles.in_directory(Path("/") / folder.lstrip("/")),
        max_lifetime_seconds=600,
    )


targets = st.builds(target, dbname=values, user=values, folder=values)
as_text = {"port": str}


def expected(found: CertificateTarget) -> dict[str, str]:
    return {name: str(value) for name, value in keywords(found).items()}


@given(targets)
@example(target("a'b", "\\", " "))
def test_libpq_reads_back_every_value(found: CertificateTarget) -> None:
    assert conninfo_to_dict(conninfo(keywords(found))) == expected(found)


@given(targets)
def test_a_shell_hands_psql_one_connection_string(found: CertificateTarget) -> None:
    program, argument = shlex.split(psql_command(found))
    assert program == "psql"
    assert conninfo_to_dict(argument) == expected(found)


@given(targets)
def test_libpq_and_asyncpg_and_pgx_urls_read_back(found: CertificateTarget) -> None:
    wanted = expected(found)
    del wanted["gssencmode"]
    for driver in (Driver("asyncpg"), Driver("pgx")):
        try:
            url = render(driver, found).connection_string
        except NotSupportedError:
            assert driver == "pgx"
            assert found.dbname.startswith("/")
            continue
        assert conninfo_to_dict(url) == wanted
        parts = urlsplit(url)
        assert unquote(parts.path[1:]) == found.dbname
        assert unquote(parts.username or "") == found.user


@given(targets)
def test_the_sqlalchemy_url_reads_back(found: CertificateTarget) -> None:
    url = sqlalchemy.make_url(render(Driver("sqlalchemy"), found).connection_string)
    _, options = url.get_dialect()().create_connect_args(url)
    assert {name: str(value) for name, value in options.items()} == expected(found)


@given(targets)
def test_the_pgjdbc_url_reads_back_as_java_decodes_it(found: CertificateTarget) -> None:
    url = urlsplit(render(Driver("pgjdbc"), found).connection_string.removeprefix("jdbc:"))
    # URLDecoder takes + as a space, so none may stand for itself.
    assert "+" not in url.path + url.query
    assert unquote(url.path[1:]) == found.dbname
    assert parse_qs(url.query, strict_parsing=True) == {
        "user": [found.user],
        "sslmode": ["verify-full"],
        "sslrootcert": [str(found.files.root_certificate)],
        "sslcert": [str(found.files.certificate)],
        "sslkey": [str(found.files.key_der)],
    }


@given(targets)
def test_the_node_url_reads_back_as_decode_uri_does(found: CertificateTarget) -> None:
    try:
        url = render(Driver("node-postgres"), found).connection_string
    except NotSupportedError:
        assert re.search(r"[?#]|(^|/)\.\.?(/|$)", found.dbname)
        return
    # decodeURI leaves the escapes of these characters alone.
    path = urlsplit(url)._replace(query="").geturl().partition("@")[2].partition("/")[2]
    assert not re.search("%(2F|3F|23|3B|3A|40|26|3D|2B|24|2C)", path, re.IGNORECASE)
    assert unquote(path) == found.dbname
    assert conninfo_to_dict(url)["user"] == found.user


# DbConnectionStringBuilder: a value in double quotes doubles them; without quotes it must not hold
# a separator or a quote, nor begin or end with white space.
NPGSQL = re.compile(r'([^=;]+)=("(?:[^"]|"")*"|[^;\'"=]*)(?:;|$)')


@given(targets)
def test_npgsql_reads_back_every_value(found: CertificateTarget) -> None:
    text = render(Driver("npgsql"), found).connection_string
    read = {}
    position = 0
    while position < len(text):
        match = NPGSQL.match(text, position)
        assert match is not None, text[position:]
        value = match[2]
        read[match[1]] = value[1:-1].replace('""', '"') if value.startswith('"') else value.strip()
        position = match.end()
    assert read["Database"] == found.dbname
    assert read["Username"] == found.user
    assert read["SSL Key"] == str(found.files.key)
    assert read["SSL Mode"] == "VerifyFull"


@pytest.mark.parametrize(
    ("value", "quoted"), [("app", "app"), ("a;b", '"a;b"'), ('a"b', '"a""b"'), (" a", '" a"'), ("", '""')]
)
def test_npgsql_values(value: str, quoted: str) -> None:
    assert npgsql.quoted(value) == quoted


@given(
    st.lists(
        values | st.sampled_from([".", "..", "", "%2E", "%", "%%2E"]), min_size=2, max_size=2, unique=True
    )
)
def test_different_names_have_different_folders_below_ours(names: list[str]) -> None:
    first, second = (identity_directory("s", "d", name, Path("/base")) for name in names)
    assert first != second
    for place in (first, second):
        assert place.parent == Path("/base/.pgpasswordless/s/d")
        assert place.name not in {"", ".", ".."}


def test_a_plain_name_is_its_own_folder() -> None:
    assert path_component("app_user") == "app_user"
