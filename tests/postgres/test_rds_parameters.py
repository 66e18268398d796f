"""What a parameter group of RDS holds, and what of it users and AWS refuse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postgres import rds_parameters
from postgres.rds_parameters import CATALOGUE, Parameter, group_parameters, required_parameters
from postgres.versions import SUPPORTED_MAJORS

majors = pytest.mark.parametrize("major", SUPPORTED_MAJORS)


def values(parameters: tuple[Parameter, ...]) -> dict[str, str]:
    return {parameter.name: parameter.value for parameter in parameters}


@majors
@pytest.mark.parametrize("protocol", ["TLSv1.2", "TLSv1.3"])
def test_every_group_forces_tls_and_scram_and_logs_logins(major: int, protocol: str) -> None:
    found = values(required_parameters(major, protocol))
    assert found["rds.force_ssl"] == "1"
    assert found["ssl_min_protocol_version"] == protocol
    assert found["rds.accepted_password_auth_method"] == "scram"
    assert found["password_encryption"] == "scram-sha-256"
    assert found["log_connections"] == found["log_disconnections"] == "1"
    assert "ssl" not in found
    assert "ssl_max_protocol_version" not in found


@pytest.mark.parametrize(
    ("name", "first"), [("ssl_ciphers", 16), ("ssl_tls13_ciphers", 18), ("ssl_groups", 18)]
)
@majors
def test_a_parameter_is_there_from_its_first_major_on(major: int, name: str, first: int) -> None:
    assert (name in values(required_parameters(major, "TLSv1.3"))) is (major >= first)


@majors
def test_aws_takes_everything_that_is_required(major: int) -> None:
    for parameter in required_parameters(major, "TLSv1.2"):
        problems = rds_parameters.parameter_problems(
            major, parameter.name, parameter.value, parameter.apply_method
        )
        assert problems == []


@majors
def test_a_group_fits_into_one_call(major: int) -> None:
    assert len(required_parameters(major, "TLSv1.3")) <= 20


def test_values_are_written_as_in_postgresql_conf_and_sent_as_rds_counts() -> None:
    found = values(
        group_parameters(
            17,
            "TLSv1.3",
            {
                "work_mem": "64MB",
                "shared_buffers": "1GB",
                "statement_timeout": "1min",
                "autovacuum_vacuum_cost_delay": "2.5ms",
                "track_io_timing": "on",
                "shared_preload_libraries": "pg_stat_statements, pgaudit",
                "idle_session_timeout": "0",
            },
        )
    )
    assert found["work_mem"] == "65536"
    assert found["shared_buffers"] == "131072"
    assert found["statement_timeout"] == "60000"
    assert found["autovacuum_vacuum_cost_delay"] == "2.5"
    assert found["track_io_timing"] == "1"
    assert found["shared_preload_libraries"] == "pg_stat_statements,pgaudit"
    assert found["idle_session_timeout"] == "0"


def test_static_parameters_wait_for_the_reboot_and_others_do_not() -> None:
    group = {
        parameter.name: parameter.apply_method
        for parameter in group_parameters(17, "TLSv1.3", {"max_connections": "200", "work_mem": "8MB"})
    }
    assert group["max_connections"] == "pending-reboot"
    assert group["work_mem"] == "immediate"
    assert group["rds.force_ssl"] == "pending-reboot"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("rds.force_ssl", "0", "without TLS"),
        ("ssl", "1", "not a switch on RDS"),
        ("ssl_min_protocol_version", "TLSv1.2", "minimumProtocol"),
        ("ssl_max_protocol_version", "TLSv1.2", "locked out"),
        ("password_encryption", "md5", "scram-sha-256"),
        ("rds.accepted_password_auth_method", "md5+scram", "scram"),
        ("log_statement", "none", "would leave no trace"),
        ("work_mem", "64", "has no unit"),
        ("fsync", "off", "not on the list"),
        ("nonsense", "1", "not on the list"),
        ("rds.log_retention_period", "10081", "minutes"),
        ("shared_preload_libraries", "evil", "setting shared_preload_libraries|separated"),
        ("shared_preload_libraries", "auth_delay", "is not a list of auto_explain, orafce, pgaudit"),
        ("shared_preload_libraries", "pgaudit,passwordcheck", "is not a list of auto_explain"),
    ],
)
def test_a_user_may_not_weaken_or_mistype_a_group(name: str, value: str, words: str) -> None:
    problems = rds_parameters.extra_parameter_problems(17, name, value)
    assert problems
    assert any(part in problem for part in words.split("|") for problem in problems)
    with pytest.raises(ValueError, match=name):
        group_parameters(17, "TLSv1.3", {name: value})


@pytest.mark.parametrize(
    "libraries", ["pg_cron", "pg_stat_statements, pg_cron", "auto_explain,pglogical,pg_tle"]
)
def test_libraries_of_rds_alone_can_be_preloaded(libraries: str) -> None:
    assert not rds_parameters.extra_parameter_problems(17, "shared_preload_libraries", libraries)
    wanted = {
        parameter.name: parameter
        for parameter in group_parameters(17, "TLSv1.3", {"shared_preload_libraries": libraries})
    }["shared_preload_libraries"]
    assert not rds_parameters.parameter_problems(17, wanted.name, wanted.value, wanted.apply_method)


def test_rds_itself_refuses_libraries_that_only_a_server_of_ones_own_has() -> None:
    (problem,) = rds_parameters.parameter_problems(
        17, "shared_preload_libraries", "pgaudit,auth_delay", "pending-reboot"
    )
    assert "Invalid parameter value: pgaudit,auth_delay" in problem


def test_a_user_learns_of_all_mistakes_at_once() -> None:
    with pytest.raises(ValueError, match=r"ssl_groups.*fsync"):
        group_parameters(18, "TLSv1.3", {"ssl_groups": "X25519", "fsync": "off"})


@pytest.mark.parametrize(
    ("major", "name", "value", "method", "words"),
    [
        (17, "ssl_groups", "X25519", "immediate", "Could not find parameter"),
        (15, "ssl_ciphers", rds_parameters.CIPHERS[0], "immediate", "Could not find parameter"),
        (18, "no_such_parameter", "1", "immediate", "Could not find parameter"),
        (17, "rds.force_ssl", "yes", "immediate", "Invalid parameter value"),
        (17, "max_connections", "200", "immediate", "static parameter"),
        (17, "ssl_ciphers", "RC4-SHA", "immediate", "Invalid parameter value"),
    ],
)
def test_aws_refuses_what_it_does_not_know(
    major: int, name: str, value: str, method: str, words: str
) -> None:
    assert any(words in problem for problem in rds_parameters.parameter_problems(major, name, value, method))


def test_an_unsupported_major_or_protocol_is_an_error() -> None:
    with pytest.raises(ValueError, match="14"):
        required_parameters(14, "TLSv1.2")
    with pytest.raises(ValueError, match=r"TLSv1\.1"):
        required_parameters(17, "TLSv1.1")
    with pytest.raises(ValueError, match="19"):
        rds_parameters.family(19)


@given(st.sampled_from(SUPPORTED_MAJORS), st.integers(min_value=64, max_value=2**21 - 1))
def test_memory_is_the_same_amount_in_either_spelling(major: int, megabytes: int) -> None:
    assert int(rds_parameters.rds_value(major, "work_mem", f"{megabytes}MB")) == megabytes * 1024


@given(st.text())
def test_no_name_makes_the_check_fail_otherwise_than_by_a_message(name: str) -> None:
    for problem in rds_parameters.extra_parameter_problems(17, name, "1"):
        assert name in problem


def test_the_catalogue_names_each_parameter_once() -> None:
    assert all(name == parameter.name for name, parameter in CATALOGUE.items())
