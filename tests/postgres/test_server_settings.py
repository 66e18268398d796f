"""postgresql.conf: what is rendered, what is refused, and that the servers take it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postgres.postgresql_conf import ConfigurationSyntaxError, parse_postgresql_conf, render_postgresql_conf
from postgres.server_settings import (
    MACHINE_SETTINGS,
    configuration_problems,
    needs_restart,
    required_settings,
    server_settings,
    setting_problems,
    tls_settings,
)
from postgres.setting_catalogue import CATALOGUE, setting_rule
from postgres.setting_rule import SettingRule, value_problem
from postgres.versions import SUPPORTED_MAJORS

EXTRA = {"shared_buffers": "256MB", "work_mem": "8MB", "statement_timeout": "30s", "log_statement": "mod"}


def sample(rule: SettingRule) -> str:
    """A value just inside what `rule` allows."""
    if rule.kind == "bool":
        return "on"
    if rule.kind == "enum":
        return rule.values[0]
    if rule.kind == "string":
        return {
            "timezone": "Europe/Berlin",
            "datestyle": "ISO, DMY",
            "default_text_search_config": "pg_catalog.english",
            "shared_preload_libraries": "pg_stat_statements, auth_delay",
            "pgaudit.log": "ddl, -misc",
            "cron.database_name": "app",
            "pg_partman_bgw.dbname": "app, other",
            "pg_partman_bgw.role": "maintenance",
        }[rule.name]
    unit = {None: "", "8kB": "kB"}.get(rule.unit, rule.unit)
    lowest = max(int(rule.minimum or 0), rule.multiple_of, rule.lowest_above_zero)
    return f"{lowest * 8 if rule.unit == '8kB' else lowest}{unit}"


def test_the_server_runs_with_every_rendered_setting(cluster):
    with cluster.connect() as session:
        real = {
            name: session.execute("SELECT current_setting(%s)", (name,)).fetchone()[0]
            for name in cluster.rendered
        }
    assert real == cluster.rendered


def test_the_server_takes_the_lower_protocol(cluster):
    path = cluster.socket / "rendered.conf"
    cluster.write(path, render_postgresql_conf(server_settings(cluster.major, 5433, "TLSv1.2", EXTRA)))
    for name, value in (("ssl_min_protocol_version", "TLSv1.2"), ("port", "5433")):
        done = cluster.run("postgres", "-C", name, "-D", str(cluster.data), f"--config-file={path}")
        assert (done.stdout, done.stderr) == (f"{value}\n", "")


def test_the_server_takes_a_sample_of_every_offered_setting(cluster):
    offered = [rule for name in CATALOGUE if (rule := setting_rule(name, cluster.major)) is not None]
    extra = {rule.name: sample(rule) for rule in offered if rule.name not in {"wal_compression", "wal_level"}}
    for name, value in extra.items():
        rule = setting_rule(name, cluster.major)
        assert rule is not None
        assert value_problem(rule, value) is None, name
    path = cluster.socket / "offered.conf"
    cluster.write(path, render_postgresql_conf(extra))
    done = cluster.run("postgres", "-C", "port", "-D", str(cluster.data), f"--config-file={path}")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("major", "name", "value", "says"),
    [
        (17, "ssl", "off", "clients could not connect with TLS"),
        (17, "ssl_min_protocol_version", "TLSv1.1", "use selfManaged.minimumProtocol"),
        (17, "port", "5433", "use selfManaged.port"),
        (17, "password_encryption", "md5", "passwords would be stored weakly"),
        (17, "log_connections", "off", "logins would leave no trace"),
        (17, "ssl_ecdh_curve", "X25519", "the program sets it to 'prime256v1'"),
        (17, "fsync", "off", "a crash would destroy the database"),
        (17, "fsync", "on", "it already has this value"),
        (17, "full_page_writes", "off", "a crash could destroy pages"),
        (17, "autovacuum", "off", "tables would bloat"),
        (17, "log_statement", "none", "would leave no trace"),
        (17, "wal_level", "minimal", "backups and replicas"),
        (17, "archive_command", "curl example.org", "runs commands"),
        (17, "session_preload_libraries", "x", "loads code"),
        (17, "shared_preload_libraries", "evil", "is not a list of auth_delay"),
        (17, "hba_file", "/tmp/x", "only the machine"),
        (17, "listen_addresses", "*", "only the machine"),
        (17, "io_method", "sync", "PostgreSQL 17 does not know it, only 18"),
        (15, "reserved_connections", "3", "only 16, 17, 18"),
        (18, "ssl_passphrase_command", "cat", "runs commands"),
        (17, "shared_bufers", "1GB", "did you mean 'shared_buffers'"),
        (17, "Work_Mem", "1MB", "write it in lower case"),
        (17, "include", "x", "not on the list"),
        (17, "work_mem", "64", "has no unit"),
        (17, "work_mem", "1kB", "is out of range"),
        (17, "work_mem", "4 gigabytes", "has unit 'gigabytes'"),
        (17, "work_mem", "010MB", "is not a whole number"),
        (17, "max_connections", "lots", "is not a whole number from 1 to 262143"),
        (17, "max_connections", "10.5", "is not a whole number"),
        (17, "random_page_cost", "-1", "is out of range"),
        (17, "jit", "maybe", "is not on or off"),
        (17, "io_combine_limit", "512kB", "is out of range"),
        (17, "transaction_buffers", "72kB", "divisible by 16"),
        (17, "vacuum_buffer_usage_limit", "64kB", "0 or at least 128"),
    ],
)
def test_refusals_say_why(major, name, value, says):
    (problem,) = setting_problems(major, name, value)
    assert says in problem
    assert name.lower() in problem.lower()


@pytest.mark.parametrize(
    ("major", "name", "value"),
    [
        (15, "shared_buffers", "1GB"),
        (17, "work_mem", "64 kB"),
        (17, "log_min_duration_statement", "-1"),
        (17, "statement_timeout", "0"),
        (17, "authentication_timeout", "1min"),
        (17, "vacuum_cost_delay", "0.5ms"),
        (17, "checkpoint_completion_target", "0.9"),
        (18, "io_combine_limit", "512kB"),
        (18, "wal_compression", "zstd"),
        (17, "jit", "Off"),
        (17, "log_statement", "all"),
        (17, "pgaudit.log", "ddl, write, -misc"),
        (17, "shared_preload_libraries", "pgaudit,pg_stat_statements"),
        (17, "timezone", "Europe/Berlin"),
    ],
)
def test_what_may_be_set(major, name, value):
    assert setting_problems(major, name, value) == []


def test_all_wrong_settings_are_said_at_once():
    with pytest.raises(
        ValueError, match=r"fsync = 'off'.*nonsense.*pgaudit\.log: add 'pgaudit' to shared_pr"
    ):
        server_settings(17, 5432, "TLSv1.3", {"fsync": "off", "nonsense": "1", "pgaudit.log": "ddl"})
    with pytest.raises(ValueError, match=r"minimum protocol 'TLSv1\.1' is not one of"):
        server_settings(17, 5432, "TLSv1.1")
    with pytest.raises(ValueError, match="port is '0'"):
        server_settings(17, 0, "TLSv1.3")
    with pytest.raises(ValueError, match="PostgreSQL major 14 is not supported"):
        tls_settings(14, "TLSv1.3")


@pytest.mark.parametrize("major", SUPPORTED_MAJORS)
def test_what_the_program_renders_is_what_a_machine_accepts(major):
    rendered = server_settings(major, 5432, "TLSv1.2", EXTRA | {"jit": "off"})
    assert configuration_problems(major, parse_postgresql_conf(render_postgresql_conf(rendered))) == []
    assert required_settings(major).items() <= rendered.items()
    assert not MACHINE_SETTINGS & rendered.keys()
    for name in ("ssl", "log_connections", "port", "ssl_min_protocol_version", "authentication_timeout"):
        assert any(name in problem for problem in configuration_problems(major, {**rendered, name: "x"}))
        missing = {key: value for key, value in rendered.items() if key != name}
        assert any(name in problem for problem in configuration_problems(major, missing))
    assert configuration_problems(major, {**rendered, "fsync": "off"}) != []
    assert configuration_problems(major, {**rendered, "listen_addresses": "*"}) != []


def test_no_setting_of_another_major_is_rendered():
    assert "ssl_groups" not in server_settings(17, 5432, "TLSv1.3")
    assert "ssl_ecdh_curve" not in server_settings(18, 5432, "TLSv1.3")
    assert "scram_iterations" not in server_settings(15, 5432, "TLSv1.3")


def test_which_settings_wait_for_a_restart():
    assert needs_restart("shared_buffers")
    assert needs_restart("port")
    assert not needs_restart("work_mem")
    assert not needs_restart("ssl_ciphers")
    assert needs_restart("autovacuum_max_workers", 17)
    assert not needs_restart("autovacuum_max_workers", 18)
    assert needs_restart("autovacuum_max_workers")
    assert needs_restart("unheard_of")


def test_program_settings_need_a_restart_where_the_server_says_so(cluster):
    with cluster.connect() as session:
        rows = session.execute("SELECT lower(name), context = 'postmaster' FROM pg_settings").fetchall()
    contexts = dict(rows)
    for name in server_settings(cluster.major, 5432, "TLSv1.3"):
        assert needs_restart(name, cluster.major) == contexts[name], name


printable = st.text(st.characters(exclude_categories=["C"]), max_size=40)


@given(st.dictionaries(st.from_regex(r"[a-z_][a-z0-9_]{0,20}(\.[a-z_]{1,9})?", fullmatch=True), printable))
def test_any_printable_value_comes_back(values):
    values = {name: value for name, value in values.items() if not name.startswith("include")}
    assert parse_postgresql_conf(render_postgresql_conf(values)) == values


def test_reading_what_people_write():
    text = "\n# comment\nA=1\n  b 'it''s' # x\nc = on\r\nd.e = 1.5GB\nf = 'a\\\\b'\n"
    assert parse_postgresql_conf(text) == {"a": "1", "b": "it's", "c": "on", "d.e": "1.5GB", "f": "a\\b"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("include 'x'", "line 1 includes another file"),
        ("a = 1\nA = 2", "line 2 sets a again, after line 1"),
        ("a", "line 1 (a) is not"),
        ("a = 'x", "is not `name = 'value'`"),
        ("a = 'x' y", "is not `name = 'value'`"),
        ("a = '\\n'", "is not `name = 'value'`"),
        ("a = '1\x0b'", "control characters"),
    ],
)
def test_reading_refuses(text, says):
    with pytest.raises(ConfigurationSyntaxError) as caught:
        parse_postgresql_conf(text)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"), [("a b", "1"), ("include", "x"), ("a", "1\nfsync = off"), ("a", "\0")]
)
def test_rendering_refuses_what_could_escape(name, value):
    with pytest.raises(ValueError, match=r"is not the name of a setting|control characters"):
        render_postgresql_conf({name: value})
