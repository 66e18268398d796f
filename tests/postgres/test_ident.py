"""pg_ident.conf: only exact names and anchored expressions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postgres.ident import IdentMapping, IdentSyntaxError, ident_problems, parse_ident, render_ident
from postgres.versions import SUPPORTED_MAJORS

texts = st.one_of(
    st.text(st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]), min_size=1, max_size=20),
    st.text(st.sampled_from('",#@/+\\ \t=all^$.()|'), min_size=1, max_size=12),
)
mappings = st.builds(
    IdentMapping, map_name=texts.filter(lambda text: text[0] != "/"), system_user=texts, database_user=texts
)


@given(st.lists(mappings, max_size=4), st.sampled_from(SUPPORTED_MAJORS))
def test_what_is_rendered_is_read_back(wanted, major):
    assert parse_ident(render_ident(wanted, major), major) == wanted


@given(st.text(max_size=40), st.text(max_size=40), st.sampled_from(SUPPORTED_MAJORS))
def test_what_cannot_be_written_is_refused(system_user, database_user, major):
    mapping = IdentMapping(map_name="map", system_user=system_user, database_user=database_user)
    if ident_problems(mapping):
        with pytest.raises(ValueError, match="mapping 1"):
            render_ident([mapping], major)
    else:
        assert parse_ident(render_ident([mapping], major), major) == [mapping]


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("OU=app", "not anchored"),
        ("^OU=app", "not anchored"),
        ("OU=app(,|$)", "not anchored"),
        (r"^CN=app\$", "not anchored"),
        ("^CN=a$|^CN=b$", "alternatives outside parentheses"),
        ("^CN=.*,O=T$", "has a '.'"),
        ("^CN=(a$", "an unclosed '('"),
        ("^CN=a)$", "an unopened ')'"),
        ("^CN=[a$", "an unclosed '['"),
        ("^CN=(?:a)$", "'(?…)'"),
    ],
)
def test_expressions_that_match_more_than_they_say_are_refused(expression, says):
    mapping = IdentMapping(map_name="dn", system_user=expression, database_user="app", regex=True)
    assert any(says in problem for problem in ident_problems(mapping))
    with pytest.raises(IdentSyntaxError, match=r"pg_ident\.conf line 1"):
        parse_ident(f'dn "/{expression}" app\n', 17)


@pytest.mark.parametrize(
    "expression", [r"^CN=([^,\\+]+),OU=app,O=T$", "^CN=(a|b),O=T$", r"^CN=a\.b$", "^[]x]$"]
)
def test_anchored_expressions_pass(expression):
    mapping = IdentMapping(map_name="dn", system_user=expression, database_user="app", regex=True)
    assert ident_problems(mapping) == []
    assert parse_ident(render_ident([mapping], 17), 17) == [mapping]


def test_a_group_is_taken_only_where_there_is_one():
    mapping = IdentMapping(map_name="dn", system_user="^CN=a$", database_user=r"\1", regex=True)
    assert "has 0 groups" in ident_problems(mapping)[0]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("dn CN=app,OU=x app", "comma outside quotes"),
        ("dn app", "has 2 fields"),
        ("dn app app app", "has 4 fields"),
        ("machine postgres all", "more than one role"),
        ("machine postgres +group", "more than one role"),
        ("machine postgres /^app", "more than one role"),
        ("include more", "includes"),
    ],
)
def test_lines_that_map_more_than_one_name_are_refused(line, says):
    with pytest.raises(IdentSyntaxError, match="line 1") as caught:
        parse_ident(line, 17)
    assert says in str(caught.value)


def test_a_dn_with_commas_is_quoted():
    mapping = IdentMapping(map_name="dn", system_user="CN=app,OU=unit,O=organisation", database_user="app")
    assert 'dn "CN=app,OU=unit,O=organisation" app\n' in render_ident([mapping])
