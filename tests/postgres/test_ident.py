"""pg_ident.conf: only exact names, and expressions that spell one out."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from postgres.access import access_problems, common_name_problems, hba_rules, ident_mappings
from postgres.declaration import Database, Declaration, Role
from postgres.hba_analysis import analyse_hba
from postgres.hba_parser import parse_hba
from postgres.hba_rendering import render_hba
from postgres.hba_rule import AuthenticationMethod, literal_name
from postgres.ident import IdentMapping, IdentSyntaxError, ident_problems, parse_ident, render_ident
from postgres.ident_analysis import map_problems
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
    ("expression", "position"),
    [
        ("OU=app", 1),
        ("^OU=app", 8),
        ("OU=app(,|$)", 1),
        (r"^CN=app\$", 10),
        ("^CN=a$|^CN=b$", 6),
        ("^CN=.*,O=T$", 5),
        ("^CN=(a$", 7),
        ("^CN=a)$", 6),
        ("^CN=[a$", 5),
        ("^CN=(?:a)$", 5),
        ("^CN=(a|b),O=T$", 7),
        (r"^CN=([^,\\+]+),OU=app,O=T$", 5),
        ("^[]x]$", 2),
        (r"^\D+$", 2),
        (r"^\S*$", 2),
        ("^[^x]*$", 2),
        ("^[[:print:]]+$", 2),
        (r"^\u0061\y$", 2),
        ("^a{0,}b?$", 3),
        ("^(a)(b)$", 5),
        ("^()$", 2),
        ("^a$b", 3),
        ("***:^a$", 1),
    ],
)
def test_expressions_that_match_more_than_one_name_are_refused(expression, position):
    mapping = IdentMapping(map_name="dn", system_user=expression, database_user="app", regex=True)
    (problem,) = ident_problems(mapping)
    assert f"character {position} is " in problem
    with pytest.raises(ValueError, match="character"):
        _ = mapping.login
    with pytest.raises(IdentSyntaxError, match=r"pg_ident\.conf line 1"):
        parse_ident(f'dn "/{expression}" app\n', 17)


@pytest.mark.parametrize(
    ("expression", "database_user", "login"),
    [
        (r"^CN=(a\.b),OU=app,O=T$", r"\1", ("CN=a.b,OU=app,O=T", "a.b")),
        (r"^CN=a\.b$", "app", ("CN=a.b", "app")),
        ("^(app)$", r"x\1", ("app", "xapp")),
        (r"^(a\\)\$$", r"\1", ("a\\$", "a\\")),
        ("^été_1 -é$", "app", ("été_1 -é", "app")),
    ],
)
def test_expressions_that_spell_out_a_name_pass(expression, database_user, login):
    mapping = IdentMapping(map_name="dn", system_user=expression, database_user=database_user, regex=True)
    assert ident_problems(mapping) == []
    assert mapping.login == login
    assert parse_ident(render_ident([mapping], 17), 17) == [mapping]


def test_a_group_is_taken_only_where_there_is_one():
    mapping = IdentMapping(map_name="dn", system_user="^CN=a$", database_user=r"\1", regex=True)
    assert "has no group" in ident_problems(mapping)[0]


CERT = "hostssl app app_user 10.0.0.0/8 cert"


@pytest.mark.parametrize(
    ("hba", "ident"),
    [
        (f"{CERT} map=m", "m intruder app_user"),
        (f"{CERT} map=m", "m /^intruder$ app_user"),
        (f"{CERT} map=m", r"m /^(intruder)$ x\1"),
        (f"{CERT} map=m", "m app_user app_user\nm app_user postgres"),
        (f"{CERT} map=m", 'm "CN=app_user,O=T" app_user'),
        (f"{CERT} map=m clientname=DN\n{CERT} map=m", 'm "CN=app_user,O=T" app_user'),
        (f"{CERT} map=m clientname=DN", 'm "CN=x,CN=app_user" app_user'),
        (f"{CERT} map=m clientname=DN", r'm "CN=app_user\,O=T" app_user'),
        (f"{CERT} map=m clientname=DN", 'm "CN=app_user+UID=1" app_user'),
        (f"{CERT} map=m clientname=DN", 'm "CN=a,O=T" "a,O=T"'),
        ("local app app_user peer map=m", "m root app_user"),
        (CERT, "unused root app_user"),
        (CERT, "machine app_user app_user"),
    ],
)
def test_a_map_that_lets_one_name_in_as_another_is_refused(hba, ident):
    assert map_problems(parse_ident(ident, 17), parse_hba(hba, 17))


@pytest.mark.parametrize(
    ("hba", "ident"),
    [
        (f"{CERT} map=m", "m app_user app_user"),
        (f"{CERT} map=m", r"m /^(app_user)$ \1"),
        (f"{CERT} map=m clientname=DN", 'm "CN=app_user,O=T" app_user'),
        (f"{CERT} map=m clientname=DN", r'm "/^CN=(app_user),O=T$" \1'),
        (CERT, "# no lines"),
    ],
)
def test_a_map_that_names_the_role_itself_passes(hba, ident):
    assert map_problems(parse_ident(ident, 17), parse_hba(hba, 17)) == []


def test_the_map_of_the_machine_lets_no_remote_client_in():
    rules = parse_hba(f"{CERT} map=machine", 17)
    assert "remote-machine-map" in {finding.code for finding in analyse_hba(rules, 17)}


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


names = st.one_of(
    st.sampled_from(["all", "+app", "@app", "app", "App", "app.", "CN=app", "^app$", 'a "b", #c', "\\1"]),
    st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=8),
).filter(lambda name: not common_name_problems(name))


@given(st.dictionaries(names, st.none() | names, min_size=1, max_size=5), st.sampled_from(SUPPORTED_MAJORS))
def test_the_files_admit_exactly_the_declared_pairs(common_names, major):
    declaration = Declaration(
        administrator="pgpl_admin",
        databases=(Database(name="app"),),
        roles=tuple(
            Role(name=role, connection_limit=1, databases=("app",), networks=("10.0.0.0/8",))
            for role in common_names
        ),
        common_names=tuple((role, name) for role, name in common_names.items() if name),
    )
    assume(not access_problems(declaration))
    rules = parse_hba(render_hba(hba_rules(declaration), major), major)
    mappings = parse_ident(render_ident(ident_mappings(declaration), major), major)
    assert map_problems(mappings, rules, ident_mappings(declaration)) == []

    def logs_in(name, role):
        """As hba.c does: the first line for the role, and its map where it has one."""
        for entry in rules:
            if literal_name(role) in entry.rule.users and entry.rule.method is AuthenticationMethod.CERT:
                given = dict(entry.rule.options).get("map")
                lines = {each.login for each in mappings if each.map_name == given}
                return (name, role) in lines if given else name == role
        return False

    everybody = [*common_names, *filter(None, common_names.values()), "postgres", "pgpl_admin", "intruder"]
    for role in [*common_names, "postgres", "pgpl_admin"]:
        let_in = {role, common_names[role]} if role in common_names else set()
        assert {name for name in everybody if logs_in(name, role)} == let_in - {None}


@pytest.mark.parametrize("name", ["/", "/^.*$", "/billing"])
def test_a_common_name_is_no_expression(name):
    assert "regular expression" in common_name_problems(name)[0]


def test_a_dn_with_commas_is_quoted():
    mapping = IdentMapping(map_name="dn", system_user="CN=app,OU=unit,O=organisation", database_user="app")
    assert 'dn "CN=app,OU=unit,O=organisation" app\n' in render_ident([mapping])
