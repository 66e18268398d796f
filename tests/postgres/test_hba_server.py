"""The servers read pg_hba.conf and pg_ident.conf as we do."""

from __future__ import annotations

import ipaddress

import pytest

from postgres.access import hba_rules
from postgres.authentication_file import regex_of_literal
from postgres.declaration import Database, Declaration, Role
from postgres.hba_parser import HbaSyntaxError, parse_hba
from postgres.hba_rendering import render_hba
from postgres.hba_rule import AuthenticationMethod, ConnectionType, Rule, literal_name, name_of_literal
from postgres.ident import IdentMapping, parse_ident, render_ident

ODD_NAMES = (
    "app",
    "all",
    "replication",
    "sameuser",
    "with space",
    "with,comma",
    'with"quote',
    '"quoted"',
    "#comment",
    "@include",
    "/slash",
    "/^(.*)$",
    "/a.b+c[d]\\e",
    "+group",
    "back\\slash\\",
    "naïve",
    "dots.and-dashes",
    "=",
    "$dollar",
    "'single'",
    "include",
)
WITHOUT_GSS = "hostgssenc record cannot match because GSSAPI is not supported by this build"


def rows_of(cluster, text: str):
    cluster.write(cluster.hba_file, text)
    with cluster.connect() as session:
        return session.execute(
            "SELECT line_number, type, database, user_name, address, netmask, auth_method, options, error "
            "FROM pg_hba_file_rules ORDER BY line_number"
        ).fetchall()


def expected_row(number: int, rule: Rule, major: int):
    address = netmask = None
    if rule.address is not None and "/" in rule.address:
        interface = ipaddress.ip_interface(rule.address)
        address, netmask = str(interface.ip), str(interface.netmask)
    elif rule.address is not None:
        address = rule.address
    # The view never shows clientname.
    options = [f"{name}={value}" for name, value in rule.options if name != "clientname"] or None
    if rule.method is AuthenticationMethod.CERT:
        options = ["clientcert=verify-full", *(options or [])]
    return (
        number,
        rule.type.value,
        [server_text(entry, major) for entry in rule.databases],
        [server_text(entry, major) for entry in rule.users],
        address,
        netmask,
        rule.method.value,
        options,
        None,
    )


def server_text(entry: str, major: int) -> str:
    name = name_of_literal(entry)
    if name is None:
        return entry
    return regex_of_literal(name) if name.startswith("/") and major >= 16 else name


def seen(row):
    """A row without what depends on the build, and with options in one order."""
    *columns, options, error = row
    if error == WITHOUT_GSS:
        error = None
    ordered = sorted(set(options)) if options is not None else None
    return (*columns, ordered, error)


def wanted(number: int, rule: Rule, major: int):
    *columns, options, error = expected_row(number, rule, major)
    return (*columns, sorted(set(options)) if options is not None else None, error)


RULES = [
    Rule(
        type=ConnectionType.LOCAL,
        databases=("all",),
        users=("postgres",),
        method=AuthenticationMethod.PEER,
        options=(("map", "machine"),),
        comment='the machine, "quoted", # and more',
    ),
    *(
        Rule(
            type=ConnectionType.HOSTSSL,
            databases=(literal_name(name), "app"),
            users=(literal_name(name),),
            address="10.30.0.0/24",
            method=AuthenticationMethod.CERT,
        )
        for name in ODD_NAMES
    ),
    Rule(
        type=ConnectionType.HOSTSSL,
        databases=("sameuser", "replication", "samerole", "all"),
        users=("all", "+group with space", "+plain"),
        address="fd00:30::/64",
        method=AuthenticationMethod.SCRAM_SHA_256,
        options=(("clientcert", "verify-full"), ("clientname", "CN")),
    ),
    *(
        Rule(
            type=ConnectionType.HOST,
            databases=("app",),
            users=("app",),
            address=address,
            method=AuthenticationMethod.REJECT,
        )
        for address in ("all", "samehost", "samenet", "db.internal", ".internal", "10.1.2.3/8", "::1/128")
    ),
    Rule(
        type=ConnectionType.HOSTSSL,
        databases=("app",),
        users=("app",),
        address="10.0.0.1/32",
        method=AuthenticationMethod.CERT,
        options=(("map", 'a map, with "quotes" # and more'), ("clientname", "DN")),
    ),
]


def test_rendered_rules_are_read_back_by_the_server_and_by_us(cluster):
    text = render_hba(RULES, cluster.major)
    parsed = parse_hba(text, cluster.major)
    assert [entry.rule for entry in parsed] == RULES
    rows = [seen(row) for row in rows_of(cluster, text)]
    assert rows == [wanted(entry.line_number, entry.rule, cluster.major) for entry in parsed]


def test_the_design_s_rules_have_no_error_on_the_server(cluster):
    role = Role(
        name="app_user", connection_limit=20, databases=("app",), networks=("10.30.0.0/24", "::1/128")
    )
    declaration = Declaration(administrator="pgpl_admin", databases=(Database(name="app"),), roles=(role,))
    text = render_hba(hba_rules(declaration, ["10.9.0.0/24"]), cluster.major)
    rows = [seen(row) for row in rows_of(cluster, text)]
    parsed = parse_hba(text, cluster.major)
    assert rows == [wanted(entry.line_number, entry.rule, cluster.major) for entry in parsed]


HANDWRITTEN = r'''
# a comment that goes on \
host all all 0.0.0.0/0 trust
local	all,"all"  postgres,+"a b",+c  peer   map="x y"
host all all 10.0.0.0 255.255.255.0 reject
host "a ""b""",c,   d  "e"	192.168.0.0/16	md5 # trailing
hostssl app \
  app 10.0.0.0/24 \
  cert

"hostssl" a"pp" ""all 10.0.0.0/024 "cert"
hostssl app app 10.0.0.0/24 "cert" "clientname=DN" map=a"b c"d
hostnossl all all ::/0 reject
local app "app peer
'''


def test_handwritten_lines_are_read_as_the_server_reads_them(cluster):
    complete = HANDWRITTEN.removesuffix('local app "app peer\n')
    parsed = parse_hba(complete, cluster.major)
    rows = [seen(row) for row in rows_of(cluster, complete)]
    assert rows == [wanted(entry.line_number, entry.rule, cluster.major) for entry in parsed]
    with pytest.raises(HbaSyntaxError, match="line 14: ends before the authentication method"):
        parse_hba(HANDWRITTEN, cluster.major)
    assert rows_of(cluster, HANDWRITTEN)[-1][-1] is not None


REFUSED = [
    "host all all 10.0.0.0/24 trsut",
    "hosts all all 10.0.0.0/24 reject",
    "host all all 10.0.0.0/33 reject",
    "host all all 10.0.0.0 reject",
    "host all all db.internal/24 reject",
    "host all all 10.0.0.0/24",
    "host all all",
    "host all",
    "host",
    "local all all peer extra",
    "host all all 10.0.0.0/24 peer",
    "host all all 10.0.0.0/24 cert",
    "hostssl all all 10.0.0.0/24 cert clientcert=1",
    "hostssl all all 10.0.0.0/24 cert clientcert=verify-ca",
    "hostssl all all 10.0.0.0/24 cert clientname=SAN",
    "host all all 10.0.0.0/24 scram-sha-256 clientcert=verify-full",
    "hostssl all all 10.0.0.0/24 scram-sha-256 map=x",
    "hostssl all all 10.0.0.0/24 cert nonsense=1",
    "hostssl all all 10.0.0.0/24,10.0.1.0/24 cert",
    "host,hostssl all all 10.0.0.0/24 reject",
    "local all all gss",
]


@pytest.mark.parametrize("line", REFUSED)
def test_what_the_server_refuses_we_refuse(cluster, line):
    with pytest.raises(HbaSyntaxError, match="line 1:"):
        parse_hba(line + "\n", cluster.major)
    (row,) = rows_of(cluster, line + "\n")
    # An invalid clientcert or clientname shows as a row without method and without error.
    assert row[-1] is not None or row[6] is None


MAPPINGS = [
    IdentMapping(map_name="dn", system_user="CN=app,OU=unit,O=organisation", database_user="app"),
    IdentMapping(map_name="dn map", system_user="/literal slash", database_user="/slash"),
    IdentMapping(map_name="machine", system_user="postgres", database_user="all"),
    IdentMapping(map_name="machine", system_user="postgres", database_user="+group"),
    IdentMapping(map_name="re", system_user=r"^CN=(a\.b),OU=app,O=T$", database_user=r"\1", regex=True),
    IdentMapping(map_name="odd", system_user='a "b" #c @d', database_user='e "f", g'),
]


def test_mappings_are_read_back_by_the_server_and_by_us(cluster):
    text = render_ident(MAPPINGS, cluster.major)
    assert parse_ident(text, cluster.major) == MAPPINGS
    cluster.write(cluster.ident_file, text)
    with cluster.connect() as session:
        rows = session.execute(
            "SELECT map_name, sys_name, pg_username, error FROM pg_ident_file_mappings ORDER BY line_number"
        ).fetchall()

    def system_user(mapping):
        if mapping.regex:
            return "/" + mapping.system_user
        plain = mapping.system_user
        return regex_of_literal(plain) if plain.startswith("/") else plain

    def database_user(mapping):
        plain = mapping.database_user
        return regex_of_literal(plain) if plain.startswith("/") and cluster.major >= 16 else plain

    assert rows == [(m.map_name, system_user(m), database_user(m), None) for m in MAPPINGS]
