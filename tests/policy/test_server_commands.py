"""Commands that change a server's files are undecided by name; settings that they state are judged."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.text.server_commands import edits, stated
from tests.policy.examples import Sent, Stub, diagnostics, ids, in_process, message_of, secret, sent
from tests.policy.fixtures.carriers import ECS, carrier
from tests.policy.fixtures.server_files import CONF, HBA, machine, script, stored

PG_HBA = "/etc/postgresql/17/main/pg_hba.conf"
EDITS = (
    f"sed -i 's/scram-sha-256/trust/' {PG_HBA}",
    f"sudo sed -E -i.bak -e 's/a/b/; s/c|d/e/' '{PG_HBA}'",
    f"sed --in-place=.orig s/a/b/ {PG_HBA}",
    f"perl -pi -e 's/peer/trust/' {PG_HBA}",
    f"perl -i -pe 's/peer/trust/' {PG_HBA}",
    f"awk -i inplace '{{print}}' {PG_HBA}",
    f"ruby -i -pe '$_' {PG_HBA}",
    f"generate | tee {PG_HBA}",
    f"generate | sudo tee -a {PG_HBA} >/dev/null",
    f"generate > {PG_HBA}",
    f"generate >> \"{PG_HBA}\"",
    f"sudo bash -c \"echo 'host all all all trust' >> {PG_HBA}\"",
    f"cp /tmp/new {PG_HBA}",
    f"sudo mv -f /tmp/new {PG_HBA} && true",
    f"install -m 0640 -o postgres /tmp/new {PG_HBA}",
    f"ln -sf /mnt/hba {PG_HBA}",
    f"curl -fsSL -o {PG_HBA} https://example.com/hba",
    f"curl -fsSL https://example.com/hba --output {PG_HBA}",
    "curl -O https://example.com/pg_hba.conf",
    f"wget -qO {PG_HBA} https://example.com/hba",
    f"aws s3 cp s3://elsewhere/hba {PG_HBA}",
    f"patch -p1 {PG_HBA} < /tmp/diff",
    f"ed -s {PG_HBA} < /tmp/commands",
    "sed -i 's/a/b/' $PGDATA/pg_hba.conf",
    "sed -i 's/a/b/' \"$HBA_FILE\"",
    f"sed -i \\\n  's/a/b/' \\\n  {PG_HBA}",
    f"ansible localhost -m lineinfile -a 'path={PG_HBA} line=x'",
    f"- lineinfile:\n    state: present\n    path: {PG_HBA}\n    line: x",
    f"- ansible.builtin.template:\n    src: hba.j2\n    dest: {PG_HBA}",
    "- community.postgresql.postgresql_pg_hba:\n    dest: x",
    f"python3 -c \"open('{PG_HBA}', 'a').write(x)\"",
    f"python3 -c \"Path('{PG_HBA}').write_text(x)\"",
    "postgres -c hba_file=/tmp/hba",
)  # fmt: skip


@pytest.mark.parametrize("command", EDITS)
def test_what_changes_a_file_is_undecided_by_name(command: str) -> None:
    other = {**machine(userData=script())[0], "name": "other", "urn": "urn:other"}
    install = f"#!/bin/sh\napt-get install -y postgresql-17\ncat > postgresql.conf <<EOF\n{CONF}EOF\n"
    for before in (install, script()):
        resources = [*machine(userData=f"{before}{command}\n"), other]
        found = [message_of(each) for each in diagnostics(Stub(), resources)]
        verdicts = {(name, verdict) for _, name, verdict in in_process(resources)}
        assert verdicts == {("machine", "undecided")}, command
        assert all("cannot be read here" in each.explanation for each in found)
    assert edits(f"# {command.splitlines()[0]}\n") == ()


@pytest.mark.parametrize(
    "command",
    [
        f"cp {PG_HBA} {PG_HBA}.bak",
        f"cp {PG_HBA} /root/backup",
        f"grep trust {PG_HBA}",
        f"cat {PG_HBA}",
        f"chown postgres {PG_HBA}",
        "sed -n p postgresql.conf",
        "sed -i s/a/b/ /etc/nginx/nginx.conf",
        "tee /etc/nginx/conf.d/a.conf",
        "psql -c 'show hba_file'",
        f"diff a {PG_HBA} > /tmp/out",
    ],
)
def test_what_changes_nothing_is_left_alone(command: str) -> None:
    assert edits(f"{command}\n") == ()
    assert in_process(machine(userData=f"{script()}{command}\n")) == set()


def test_files_for_one_machine_say_nothing_of_another() -> None:
    bare = machine(userData="#!/bin/sh\napt-get install -y postgresql-17\n")
    other = {**machine(userData=script())[0], "name": "other", "urn": "urn:other"}
    assert in_process([*bare, other]) == {("N90", "machine", "violated")}
    task = carrier(ECS, {}, script())
    assert in_process([*bare, task]) == {("N90", "machine", "violated")}
    document = sent("aws:ssm/document:Document", "document", {"name": "d", "content": script()})
    assert in_process([*bare, document]) == {("N90", "machine", "undecided")}, "nothing says who runs it"


def test_files_in_objects_count_where_the_machine_names_them() -> None:
    def installs(more: str) -> list[Sent]:
        return machine(userData=f"#!/bin/sh\napt-get install -y postgresql-17\n{more}\n")

    objects = [*stored("files/pg_hba.conf", HBA), {**stored("files/postgresql.conf", CONF)[0], "name": "c"}]
    assert in_process([*objects, *installs("")]) == {("N90", "machine", "undecided")}
    for command in (
        "aws s3 sync s3://b/files /etc/postgresql/17/main",
        "fetch files/pg_hba.conf files/postgresql.conf",
    ):
        assert in_process([*objects, *installs(command)]) == set()
    copied = (
        f"aws s3 cp s3://b/files/pg_hba.conf {PG_HBA}\n"
        "aws s3 cp s3://b/files/postgresql.conf /etc/postgresql/17/main/postgresql.conf"
    )
    assert in_process([*objects, *installs(copied)]) == set(), "what is fetched is judged where it is stored"
    assert in_process([*objects[1:], *installs(copied)]) == {("N90", "machine", "undecided")}
    of_bucket = [{**each, "dependencies": {"bucket": ["urn:bucket"]}} for each in objects]
    [one] = installs("")
    assert in_process([*of_bucket, {**one, "dependencies": {"userData": ["urn:bucket"]}}]) == set()


@pytest.mark.parametrize(
    ("command", "rule"),
    [
        ("psql -c 'ALTER SYSTEM SET ssl = off'", "N09"),
        ("psql -c \"alter system set ssl to 'off'\"", "N09"),
        ("psql <<EOF\nALTER SYSTEM SET ssl=off;\nEOF", "N09"),
        ("ALTER SYSTEM SET ssl_min_protocol_version = 'TLSv1'", "N09"),
        ("ALTER SYSTEM SET password_encryption = 'md5'", "N13"),
        ("ALTER SYSTEM SET log_connections = off", "N14"),
        ("ALTER SYSTEM SET ssl_ciphers = 'AES128-SHA'", "N12"),
        ("pg_ctl start -o '-c ssl=off'", "N09"),
        ("pg_ctl -o \"-c ssl=off -c log_connections=on\" start", "N09"),
        ("postgres -D /data -c ssl=off", "N09"),
        ("postgres -D /data --ssl=off", "N09"),
        ("docker run postgres:17 -c password_encryption=md5", "N13"),
        ("pg_conftool 17 main set ssl off", "N09"),
        ("initdb -D /data --set password_encryption=md5", "N13"),
        ("pg_createcluster 17 main -o ssl=off", "N09"),
    ],
)  # fmt: skip
def test_a_weak_setting_by_command_is_refused(command: str, rule: str) -> None:
    assert ids(in_process(machine(userData=f"#!/bin/sh\n{command}\n"))) - {"N90"} == {rule}
    [found] = [
        message_of(each).place
        for each in diagnostics(Stub(), machine(userData=f"#!/bin/sh\ntrue\n{command}\n"))
        if each.policyName == f"PGTLS-{rule}"
    ]
    assert "userData, line " in found


def test_a_good_setting_by_command_passes_and_what_is_not_stated_is_not_missing() -> None:
    for command in ("ALTER SYSTEM SET ssl = on", "pg_ctl start -o '-c ssl_min_protocol_version=TLSv1.3'"):
        assert in_process(machine(userData=f"#!/bin/sh\n{command}\n")) == set()


def test_a_task_states_settings_by_words() -> None:
    container = {"name": "db", "image": "postgres:17", "command": ["postgres", "-c", "ssl=off"]}
    task = sent(ECS, "task", {"containerDefinitions": [container]})
    assert ids(in_process([task])) == {"N09"}


def test_a_map_that_nobody_can_read_is_undecided() -> None:
    [hba] = stored("pg_hba.conf", HBA.replace("10.30.0.0/24 cert", "10.30.0.0/24 cert map=clients"))
    assert in_process([hba]) == {("N90", "object", "undecided")}
    for line, expected in (
        ("clients app_user app_user", set[str]()),
        ("others app_user app_user", {"undecided"}),
        ("clients /^(.*)$ \\1", {"violated"}),
    ):
        ident = {**stored("pg_ident.conf", f"{line}\n")[0], "name": "ident"}
        assert {verdict for _, _, verdict in in_process([hba, ident])} == expected, line


def test_of_a_secret_script_neither_a_path_nor_a_map_is_shown() -> None:
    mapped = script(HBA.replace("10.30.0.0/24 cert", "10.30.0.0/24 cert map=swordfish"))
    hidden = secret(f"{mapped}sed -i s/a/b/ /srv/swordfish/pg_hba.conf\n")
    found = [message_of(each) for each in diagnostics(Stub(), machine(userData=hidden))]
    assert {str(each.verdict) for each in found} == {"undecided"}
    assert "swordfish" not in "".join(each.explanation for each in found)


def test_a_line_with_a_variable_is_undecided() -> None:
    hba = HBA.replace("10.30.0.0/24 cert", "$CLIENTS cert")
    assert in_process(machine(userData=script(hba))) == {("N90", "machine", "undecided")}


@pytest.mark.parametrize(
    ("token", "spec"),
    [
        ("kubernetes:postgresql.cnpg.io/v1:Cluster", {"postgresql": {"pg_hba": ["LINE"], "parameters": {}}}),
        ("kubernetes:acid.zalan.do/v1:postgresql", {"patroni": {"pg_hba": ["LINE"]}}),
        (
            "kubernetes:postgres-operator.crunchydata.com/v1beta1:PostgresCluster",
            {"patroni": {"dynamicConfiguration": {"postgresql": {"pg_hba": ["LINE"]}}}},
        ),
    ],
)
def test_the_lines_that_an_operator_writes_are_judged(token: str, spec: object) -> None:
    def with_lines(*lines: str) -> list[Sent]:
        def filled(raw: object) -> object:
            if isinstance(raw, dict):
                return {key: list(lines) if key == "pg_hba" else filled(each) for key, each in raw.items()}
            return raw

        return [sent(token, "db", {"spec": filled(spec)})]

    assert ids(in_process(with_lines("host all all all trust"))) == {"N02", "N04", "N07", "N08"}
    assert in_process(with_lines(*HBA.splitlines())) == set()


@pytest.mark.parametrize(
    "token", ["kubernetes:postgresql.cnpg.io/v1:Cluster", "kubernetes:acid.zalan.do/v1:postgresql"]
)
def test_the_settings_that_an_operator_writes_are_judged(token: str) -> None:
    def with_settings(**given: object) -> list[Sent]:
        return [sent(token, "db", {"spec": {"postgresql": {"parameters": given}}})]

    assert ids(in_process(with_settings(ssl="off"))) == {"N09"}
    assert ids(in_process(with_settings(ssl=False))) == {"N09"}
    assert ids(in_process(with_settings(password_encryption="md5"))) == {"N13"}
    assert in_process(with_settings(max_connections="100", ssl_min_protocol_version="TLSv1.3")) == set()


def test_a_file_in_a_config_map_is_judged_by_its_key() -> None:
    weak = {"data": {"pg_hba.conf": "host all all all trust\n"}}
    found = ids(in_process([sent("kubernetes:core/v1:ConfigMap", "files", weak)]))
    assert found == {"N02", "N04", "N07", "N08"}


@settings(max_examples=60)
@given(st.text(alphabet="abchosedl -i/>'\"$\\\n&|;.=pg_hba.confsytem", max_size=200))
def test_any_text_can_be_searched(text: str) -> None:
    edits(f"sed -i pg_hba.conf {text}")
    stated(f"ssl {text} -c ssl={text}")


@pytest.mark.parametrize(
    "text",
    [
        "a/" * 40_000,
        "ssl" + "_a" * 20_000,
        "\n" * 30_000,
        "sed -i " * 2_000,
        "x pg_hba.conf\n" * 2_000,
        "ALTER SYSTEM SET ssl" + " " * 30_000,
        "replace copy template " * 2_000,
    ],
    ids=lambda text: text[:12],
)
def test_no_text_makes_the_search_endless(text: str) -> None:
    edits(f"pg_hba.conf {text} pg_hba.conf")
    stated(f"ssl {text}")
    in_process(machine(userData=f"#!/bin/sh\n{text}\n"))
