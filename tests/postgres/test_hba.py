"""pg_hba.conf: rendering and reading agree, no value escapes its field, and bad files are found out."""

from __future__ import annotations

import string
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from postgres import hba_coverage
from postgres.access import hba_rules
from postgres.declaration import Database, Declaration, Role
from postgres.hba_analysis import analyse_hba
from postgres.hba_coverage import covers, first_covering
from postgres.hba_parser import HbaSyntaxError, parse_hba
from postgres.hba_rendering import render_hba
from postgres.hba_rule import (
    AuthenticationMethod,
    ConnectionType,
    Rule,
    literal_name,
    name_of_literal,
    rule_problems,
)
from postgres.versions import SUPPORTED_MAJORS

majors = st.sampled_from(SUPPORTED_MAJORS)
one_line = st.text(
    st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]), min_size=1, max_size=20
)
# Characters that mean something to the reader, far more often than chance would have it.
nasty = st.text(st.sampled_from("\",#@/+\\ \t=all'^$.()|[]*é"), min_size=1, max_size=12)
names = st.one_of(
    one_line, nasty, st.sampled_from(["all", "replication", "sameuser", "include", "@x", "+x", "/x"])
)
addresses = st.one_of(
    st.ip_addresses(v=4).flatmap(lambda ip: st.integers(0, 32).map(lambda bits: f"{ip}/{bits}")),
    st.ip_addresses(v=6).flatmap(lambda ip: st.integers(0, 128).map(lambda bits: f"{ip}/{bits}")),
    st.sampled_from(["all", "samehost", "samenet", "db.internal", ".example.org"]),
)
comments = st.one_of(st.none(), one_line.map(str.strip).filter(lambda text: text and not text.endswith("\\")))


@st.composite
def rules(draw) -> Rule:
    databases = draw(
        st.lists(names.map(literal_name) | st.sampled_from(["all", "sameuser"]), min_size=1, max_size=3)
    )
    users = draw(
        st.lists(names.map(literal_name) | st.sampled_from(["all", "+group", "+a b"]), min_size=1, max_size=3)
    )
    local = draw(st.booleans())
    if local:
        options = draw(st.lists(one_line.map(lambda value: ("map", value)), max_size=1))
        return Rule(
            type=ConnectionType.LOCAL,
            databases=tuple(databases),
            users=tuple(users),
            method=AuthenticationMethod.PEER,
            options=tuple(options),
            comment=draw(comments),
        )
    options = draw(st.lists(one_line.map(lambda value: ("map", value)), max_size=1))
    return Rule(
        type=ConnectionType.HOSTSSL,
        databases=tuple(databases),
        users=tuple(users),
        address=draw(addresses),
        method=AuthenticationMethod.CERT,
        options=(*options, *draw(st.sampled_from([(), (("clientname", "DN"),)]))),
        comment=draw(comments),
    )


@given(st.lists(rules(), max_size=4), majors)
def test_what_is_rendered_is_read_back(wanted, major):
    parsed = parse_hba(render_hba(wanted, major), major)
    assert [entry.rule for entry in parsed] == wanted


@given(names, names, majors)
def test_no_value_escapes_its_field(database, user, major):
    rule = Rule(
        type=ConnectionType.HOSTSSL,
        databases=(literal_name(database),),
        users=(literal_name(user),),
        address="10.0.0.0/8",
        method=AuthenticationMethod.REJECT,
    )
    text = render_hba([rule], major)
    assert text.count("\n") == 3
    (parsed,) = parse_hba(text, major)
    assert parsed.rule == rule


@given(st.text(max_size=60), majors)
def test_values_that_no_line_can_hold_are_refused(text, major):
    rule = Rule(
        type=ConnectionType.HOSTSSL,
        databases=(literal_name(text),),
        users=("app",),
        address="10.0.0.0/8",
        method=AuthenticationMethod.CERT,
        comment=text,
    )
    try:
        rendered = render_hba([rule], major)
    except ValueError:
        return
    assert [entry.rule for entry in parse_hba(rendered, major)] == [rule]


@given(st.text(string.printable, max_size=200), majors)
def test_any_text_is_read_or_refused_and_what_is_read_can_be_written(text, major):
    try:
        parsed = parse_hba(text, major)
    except HbaSyntaxError:
        return
    wanted = [entry.rule for entry in parsed]
    assume(all(rule_problems(rule, major) == [] for rule in wanted))
    assert [entry.rule for entry in parse_hba(render_hba(wanted, major), major)] == wanted


@given(names)
def test_literal_names_keep_the_name(name):
    entry = literal_name(name)
    assert (name_of_literal(entry) or entry) == name


DECLARATION = Declaration(
    administrator="pgpl_admin",
    databases=tuple(Database(name=name) for name in ("app", "other", "spare")),
    roles=(
        Role(
            name="app_user",
            connection_limit=20,
            databases=("app",),
            networks=("10.30.0.0/24", "fd00:30::/64"),
        ),
        Role(name="reporting", connection_limit=5, databases=("app", "other"), networks=("10.30.1.0/24",)),
    ),
)


@pytest.mark.parametrize("major", SUPPORTED_MAJORS)
@pytest.mark.parametrize("administrator_networks", [(), ("10.9.0.0/24",)])
def test_the_design_s_rules_have_no_finding(major, administrator_networks):
    text = render_hba(hba_rules(DECLARATION, administrator_networks), major)
    assert analyse_hba(parse_hba(text, major), major) == []


def test_the_design_s_rules_in_order():
    text = render_hba(hba_rules(DECLARATION, ("10.9.0.0/24",)), 17)
    assert [line for line in text.splitlines() if line and not line.startswith("#")] == [
        "local all postgres peer map=machine",
        "local all pgpl_admin peer map=machine",
        "hostssl all postgres all reject",
        "host replication all all reject",
        "hostssl app,other,postgres,spare pgpl_admin 10.9.0.0/24 cert",
        "hostssl app app_user 10.30.0.0/24 cert",
        "hostssl app app_user fd00:30::/64 cert",
        "hostssl app,other reporting 10.30.1.0/24 cert",
        "hostgssenc all all all reject",
        "hostnossl all all all reject",
        "host all all all reject",
    ]


GOOD = render_hba(hba_rules(DECLARATION), 17)


@pytest.mark.parametrize(
    ("line", "codes"),
    [
        (
            "host all all 0.0.0.0/0 trust",
            {"trust", "without-tls", "address-everywhere", "superuser-not-rejected"},
        ),
        ("host app app_user 10.30.0.0/24 scram-sha-256", {"without-certificate", "without-tls"}),
        ("hostssl app app_user 10.30.0.0/24 scram-sha-256", {"without-certificate"}),
        ("hostssl app app_user 10.30.0.0/24 password", {"without-certificate"}),
        ("hostssl app app_user 10.30.0.0/24 scram-sha-256 clientcert=verify-full", {"without-certificate"}),
        ("hostnossl app app_user 10.30.0.0/24 md5", {"without-certificate", "without-tls"}),
        ("hostssl all postgres 10.30.0.0/24 cert", {"remote-superuser", "superuser-not-rejected"}),
        ('hostssl all "/^post" 10.30.0.0/24 cert', {"superuser-not-rejected"}),
        ("hostssl replication standby 10.30.0.0/24 cert", {"remote-replication", "superuser-not-rejected"}),
        ("hostssl app app_user all cert", {"address-everywhere"}),
        ("hostssl app app_user ::/0 cert", {"address-everywhere"}),
        ("hostssl app app_user db.internal cert", {"host-name"}),
        ("local all all trust", {"local-not-peer"}),
        ("local all postgres scram-sha-256", {"local-not-peer"}),
        ("host all all all reject", {"unreachable"}),
    ],
)
def test_an_injected_first_line_is_found(line, codes):
    findings = analyse_hba(parse_hba(f"{line}\n{GOOD}", 17), 17)
    errors = {finding.code for finding in findings if finding.severity == "error"}
    assert codes <= errors
    named = [finding for finding in findings if finding.line_number == 1]
    if codes != {"unreachable"}:
        assert all(finding.message.startswith(f"pg_hba.conf line 1 ({line}):") for finding in named)
        assert named


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("hostssl app extra 10.0.0.0/8 cert", "address-wide"),
        ("hostssl app extra 10.30.0.1/24 cert", "host-bits"),
        ("hostssl app all 10.30.9.0/24 cert", "user-not-named"),
        ("hostssl all extra 10.30.0.0/24 cert", "database-not-named"),
        ("hostssl app extra samenet cert", "address-not-named"),
        ("local all all peer", "local-all-users"),
        ("hostssl app app_user 10.30.0.128/25 cert", "unreachable"),
    ],
)
def test_a_line_that_is_only_too_wide_is_a_warning(line, code):
    text = GOOD.replace("# nobody with GSS", f"{line}\n# nobody with GSS")
    findings = analyse_hba(parse_hba(text, 17), 17)
    assert {(finding.severity, finding.code) for finding in findings} == {("warning", code)}


@pytest.mark.parametrize("networks", [("0.0.0.0/1", "128.0.0.0/1"), ("2000::/5", "2800::/5")])
def test_lines_that_together_let_everybody_in_are_an_error(networks):
    lines = "\n".join(f"hostssl app extra {network} cert" for network in networks)
    text = GOOD.replace("# nobody with GSS", f"{lines}\n# nobody with GSS")
    (finding,) = [each for each in analyse_hba(parse_hba(text, 17), 17) if each.severity == "error"]
    assert finding.code == "address-everywhere"


def test_a_rule_behind_another_decision_is_an_error():
    text = GOOD + "hostssl app late 10.40.0.0/24 cert\n"
    (finding,) = analyse_hba(parse_hba(text, 17), 17)
    assert (finding.severity, finding.code) == ("error", "unreachable")
    assert "host all all all reject" in finding.message


MANY = {
    "roles": lambda number: f"hostssl app role_{number // 5} 10.{number % 5}.0.0/24 cert",
    "networks of one role": lambda number: f"hostssl app r 10.{number // 256}.{number % 256}.0/24 cert",
    "networks in networks": lambda number: f"hostssl app r 10.{number % 256}.0.0/{16 + number % 16} cert",
    "IPv6 networks of one role": lambda number: f"hostssl app r fd00:{number:x}::/64 cert",
    "host names of one role": lambda number: f"hostssl app r host-{number}.example.com cert",
    "databases of one role": lambda number: f"hostssl db_{number} r 10.0.0.0/24 cert",
    "databases of all": lambda number: f"hostssl db_{number} all 10.0.0.0/24 cert",
    "the same line": lambda number: f"hostssl app a,{'b' if number < 1000 else 'c'} 10.0.0.0/24 cert",
}


@pytest.mark.parametrize("many", MANY)
def test_a_file_of_many_lines_is_not_compared_line_by_line(many, monkeypatch):
    lines = "\n".join(MANY[many](number) for number in range(2000))
    rules = parse_hba(GOOD.replace("# nobody with GSS", f"{lines}\n# nobody with GSS"), 17)
    compared = 0

    def counted(function):
        def call(*arguments):
            nonlocal compared
            compared += 1
            return function(*arguments)

        return call

    for name in ("_covers_names", "_covers_address"):
        monkeypatch.setattr(hba_coverage, name, counted(getattr(hba_coverage, name)))
    monkeypatch.setattr(hba_coverage._Kind, "first_with", counted(hba_coverage._Kind.first_with))
    analyse_hba(rules, 17)
    assert compared < 40 * len(rules)


NAMES = st.lists(st.sampled_from(["a", "b", "all", "+c"]), min_size=1, max_size=2).map(tuple)
DATABASES = st.lists(st.sampled_from(["x", "y", "all", "replication"]), min_size=1, max_size=2).map(tuple)
ADDRESSES = st.sampled_from(
    [
        "all", "samenet", "samehost", "a.example", ".example", "0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16",
        "10.1.2.0/24", "10.1.2.3/24", "10.1.2.3/32", "::/0", "fd00::/8", "fd00:1::/32", "fd00:1::5/32",
        "::ffff:10.1.2.3/128", "::/64",
    ]
)  # fmt: skip


@st.composite
def hba_rule(draw: st.DrawFn) -> Rule:
    kind = draw(st.sampled_from(list(ConnectionType)))
    return Rule(
        type=kind,
        databases=draw(DATABASES),
        users=draw(NAMES),
        address=None if kind is ConnectionType.LOCAL else draw(ADDRESSES),
        method=AuthenticationMethod.REJECT,
    )


@given(st.lists(hba_rule(), max_size=25))
def test_the_first_rule_that_covers_another_is_that_of_the_plain_definition(rules):
    assert first_covering(rules) == [
        next((earlier for earlier in range(later) if covers(rules[earlier], rules[later])), None)
        for later in range(len(rules))
    ]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("hostssl app a,b 10.0.0.0/8 cert", "hostssl app b 10.1.0.0/16 reject"),
        ("hostssl app a,b 10.0.0.0/8 cert", "hostssl app b,a 10.1.0.0/16 reject"),
        ("hostssl all all 10.0.0.0/8 reject", "hostssl app b 10.1.0.0/16 cert"),
        ("hostssl app all,b 10.0.0.0/8 reject", "hostssl app all 10.1.0.0/16 cert"),
    ],
)
def test_a_rule_is_shadowed_by_one_for_more_users(earlier, later):
    text = GOOD.replace("# nobody with GSS", f"{earlier}\n{later}\n# nobody with GSS")
    assert "unreachable" in {finding.code for finding in analyse_hba(parse_hba(text, 17), 17)}


def test_a_file_without_the_machine_s_line_is_an_error():
    text = GOOD.replace("local all postgres peer map=machine\n", "")
    findings = analyse_hba(parse_hba(text, 17), 17)
    assert [(f.line_number, f.severity, f.code) for f in findings] == [(0, "error", "machine-locked-out")]


def test_a_missing_closing_line_is_a_warning():
    text = GOOD.replace("hostnossl all all all reject\n", "").replace("host all all all reject\n", "")
    findings = analyse_hba(parse_hba(text, 17), 17)
    assert [(f.line_number, f.severity, f.code) for f in findings] == [(0, "warning", "not-closed")] * 2


def test_includes_are_refused():
    for line in ("include more.conf", 'include_dir "hba.d"', "local @databases postgres peer"):
        with pytest.raises(HbaSyntaxError, match="includes"):
            parse_hba(line, 18)


def test_every_fault_is_said_at_once():
    with pytest.raises(HbaSyntaxError) as caught:
        parse_hba("host all\nlocal all all peer\nhostssl a b 10.0.0.0/40 cert\n", 17)
    assert [problem[:21] for problem in caught.value.problems] == [
        "pg_hba.conf line 1: e",
        "pg_hba.conf line 3: a",
    ]


@pytest.mark.parametrize(
    "address", ["10.1/8", "0/0", "0x0a000001/8", "167772161", "10.1", "fe80::1%eth0/64", "1.0xa"]
)
def test_spellings_that_only_the_c_library_knows_are_refused(address):
    with pytest.raises(HbaSyntaxError, match="address"):
        parse_hba(f"hostssl app app {address} cert", 17)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"databases": ()}, "names no database"),
        ({"users": ("",)}, "is empty"),
        ({"users": ("/x",)}, "which needs PostgreSQL 16"),
        ({"users": ("a\nhost all all 0.0.0.0/0 trust",)}, "line end"),
        ({"users": ("replication",)}, "keyword for databases"),
        ({"databases": ("+x",)}, "begins with '+'"),
        ({"users": ('"app"',)}, "needs no quotes"),
        ({"users": ('"ap"p"',)}, "unbalanced quotes"),
        ({"address": None}, "needs an address"),
        ({"address": "10.0.0.0"}, "neither a network"),
        ({"address": "FD00::/8"}, "write fd00::/8"),
        ({"type": ConnectionType.HOST}, "hostssl lines only"),
        ({"method": AuthenticationMethod.OAUTH}, "needs PostgreSQL 18"),
        ({"method": AuthenticationMethod.PEER}, "local lines only"),
        ({"options": (("map", "a"), ("map", "b"))}, "given twice"),
        ({"options": (("map", "a\nb"),)}, "line end"),
        ({"options": (("pamservice", "x"),)}, "goes with pam only"),
        ({"options": (("clientcert", "verify-ca"),)}, "contradicts cert"),
        ({"comment": "ends \\"}, "backslash"),
        ({"comment": "a\nb"}, "one line"),
    ],
)
def test_rules_that_cannot_be_written_are_refused(change, says):
    rule = Rule(
        type=ConnectionType.HOSTSSL,
        databases=("app",),
        users=("app",),
        address="10.0.0.0/8",
        method=AuthenticationMethod.CERT,
    )
    with pytest.raises(ValueError, match="rule 1") as caught:
        render_hba([replace(rule, **change)], 15)
    assert says in str(caught.value)
