"""The table of extensions beside the servers, and what follows from a declaration."""

from __future__ import annotations

from dataclasses import replace

import pytest

from postgres.declaration import Database, Declaration, declaration_problems
from postgres.extensions import (
    EXTENSIONS,
    PRELOADABLE_LIBRARIES,
    cron_problems,
    extension_problems,
    implied_settings,
    packages,
    with_required,
)
from postgres.rds_parameters import group_parameters
from postgres.roles import statements
from postgres.server_settings import server_settings

ONE = Declaration(administrator="pgpl_admin", databases=(Database(name="app"),))


def declared(*names):
    return replace(ONE, databases=(Database(name="app", extensions=names),))


def creating(names):
    return [step for step in statements(declared(*names), None, 17) if "EXTENSION" in step.sql]


def parameters(extensions, **extra):
    found = group_parameters(17, "TLSv1.3", extra, {"app": extensions})
    return {parameter.name: (parameter.value, parameter.apply_method) for parameter in found}


def test_contrib_is_what_the_servers_have(cluster):
    with cluster.connect() as session:
        rows = session.execute(
            "SELECT name, bool_or(trusted), bool_or(schema IS NOT NULL), coalesce(max(requires), '{}') "
            "FROM pg_available_extension_versions GROUP BY 1"
        )
        real = {name: row for name, *row in rows.fetchall()}
    of_server = [each for each in EXTENSIONS.values() if "server" in each.platforms and not each.package]
    assert {each.name: [each.trusted, each.fixed_schema, list(each.requires)] for each in of_server} == {
        each.name: real[each.name] for each in of_server
    }


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["postgis_topology"], ["postgis", "postgis_topology"]),
        (
            ["postgis_tiger_geocoder", "citext"],
            ["citext", "fuzzystrmatch", "postgis", "postgis_tiger_geocoder"],
        ),
        (["earthdistance", "cube"], ["cube", "earthdistance"]),
        (["vector"], ["vector"]),
    ],
)
def test_what_an_extension_needs_comes_first(names, order):
    assert with_required(names) == order
    assert [step.purpose for step in creating(names)] == [
        f"create extension {name} in database app" for name in order
    ]


def test_a_schema_that_the_control_file_names_is_not_named_again():
    written = {step.sql for step in creating(["postgis_topology", "vector", "pg_cron"])}
    assert written == {
        'CREATE EXTENSION "pg_cron"',
        'CREATE EXTENSION "postgis" SCHEMA public',
        'CREATE EXTENSION "postgis_topology"',
        'CREATE EXTENSION "vector" SCHEMA public',
    }


@pytest.mark.parametrize("major", [15, 18])
def test_packages_are_of_the_major(major):
    names = ["postgis_topology", "postgis", "vector", "citext", "pg_stat_statements"]
    assert packages(major, names, ["pg_stat_statements", "pgaudit"]) == [
        f"postgresql-{major}-{name}" for name in ("pgaudit", "pgvector", "postgis-3")
    ]


@pytest.mark.parametrize("cluster", [17], indirect=True)
def test_an_extension_waits_until_the_server_has_its_library(cluster):
    present, absent = creating(["pg_stat_statements", "pgaudit"])
    assert present.check
    assert absent.check
    with cluster.connect() as session:
        assert session.execute(present.check.query).fetchall() == []
        # The server has not loaded it: there is nothing to be done before the restart, which is pending.
        assert session.execute(absent.check.query).fetchall() == [(1,)]
    assert present.routine
    assert absent.routine


def test_declaring_is_all_that_a_preloaded_library_takes():
    given = {"shared_preload_libraries": "auto_explain, pgaudit", "pgaudit.log": "ddl"}
    implied = implied_settings({"app": ["pgaudit", "pg_stat_statements", "citext"]}, given, "server")
    assert implied == {"shared_preload_libraries": "auto_explain,pgaudit,pg_stat_statements"}
    assert server_settings(17, 5432, "TLSv1.3", given | implied)["pgaudit.log"] == "ddl"
    assert implied_settings({"app": ["citext"]}, given, "server") == {}
    assert implied_settings({"app": ["pgaudit"]}, given, "server") == {}


def test_jobs_of_pg_cron_need_no_login():
    implied = implied_settings({"app": ["citext"], "jobs": ["pg_cron"]}, {}, "server")
    assert implied == {
        "shared_preload_libraries": "pg_cron",
        "cron.database_name": "jobs",
        "cron.use_background_workers": "on",
    }
    assert server_settings(17, 5432, "TLSv1.3", implied)
    chosen = {"cron.use_background_workers": "off"}
    assert "cron.use_background_workers" not in implied_settings({"jobs": ["pg_cron"]}, chosen, "server")


def test_pg_cron_is_in_one_database():
    two = replace(ONE, databases=tuple(Database(name=name, extensions=("pg_cron",)) for name in "ab"))
    (problem,) = declaration_problems(two, 17)
    assert "'pg_cron' is declared for 'a' and 'b'" in problem
    (problem,) = cron_problems({"app": ("pg_cron",)}, {"cron.database_name": "postgres"})
    assert "cron.database_name = 'postgres' is not 'app'" in problem


def test_rds_keeps_the_library_that_it_preloads_by_default():
    found = parameters(["pgaudit", "vector", "citext"])
    assert found["shared_preload_libraries"] == ("pg_stat_statements,pgaudit", "pending-reboot")
    assert found["rds.allowed_delegated_extensions"] == ("pgaudit,vector", "immediate")
    assert parameters(["pgaudit"], shared_preload_libraries="auto_explain")["shared_preload_libraries"] == (
        "auto_explain,pgaudit",
        "pending-reboot",
    )
    with_cron = parameters(["pg_cron"], **{"pgaudit.log": "ddl, role", "cron.max_running_jobs": "8"})
    assert with_cron["cron.database_name"] == ("app", "pending-reboot")
    assert with_cron["pgaudit.log"] == ("ddl, role", "immediate")
    # What RDS has by itself is not said again, so that groups stay as they are.
    assert parameters(["citext"]) == parameters([])
    assert "shared_preload_libraries" not in parameters(["pg_stat_statements"])


@pytest.mark.parametrize(
    ("name", "platform", "says"),
    [
        ("vectr", "server", "'vectr' is none that a server of our own has; did you mean 'vector'?"),
        ("postgiss", "rds", "'postgiss' is none that RDS has; did you mean 'postgis'?"),
        ("rum", "rds", "'rum' is none that RDS has, only a server of our own; drop it"),
        ("aws_s3", "server", "'aws_s3' is none that a server of our own has, only RDS; drop it"),
        ("plpython3u", "server", "there are address_standardizer, "),
    ],
)
def test_what_is_not_there_is_refused_with_what_is_near(name, platform, says):
    (problem,) = extension_problems(name, platform)
    assert says in problem
    (problem,) = declaration_problems(declared(name), 17, platform)
    assert says in problem


def test_preloaded_libraries_come_from_contrib_or_a_package():
    assert {"pgaudit", "pg_cron", "pg_partman_bgw", "pg_stat_statements"} <= set(PRELOADABLE_LIBRARIES)
    (package,) = packages(17, [], ["pg_partman_bgw"])
    assert package == "postgresql-17-partman"
