"""What a good configuration becomes."""

from __future__ import annotations

import copy
import ipaddress
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import settings
from postgres.access import hba_rules
from postgres.versions import MINIMUM_MINORS
from settings.machine import architecture_of
from settings.network import vpc_cidr_problems
from settings.self_managed import gp3_problems

DNS = {"privateDns": {"zone": "db.internal"}}


def test_absent_and_empty_sections_are_the_same():
    assert (
        settings.load({})
        == settings.load(dict.fromkeys(settings.SECTIONS))
        == settings.load({section: {} for section in settings.SECTIONS})
    )
    assert settings.load({}).self_managed is None
    assert settings.load({}).certificates.leaf_validity_days == 90


def test_a_good_configuration_keeps_its_values(good):
    loaded = settings.load(good)
    assert loaded.network is not None
    assert loaded.network.create is not None
    assert loaded.network.create.zones == 3
    server = loaded.self_managed
    assert server is not None
    assert server.private_dns.fqdn == "postgres.db.internal"
    assert server.roles["app_user"].networks == ("10.30.1.0/24", "fd00:30:0:1::/64")
    assert server.roles["app_user"].grants[1].on_all == "tables"
    assert server.server_settings == {"shared_buffers": "256MB"}
    assert dict(loaded.tags) == {"environment": "test"}


@pytest.mark.parametrize("major", MINIMUM_MINORS)
def test_the_minor_floor_follows_the_major(good, major):
    good["selfManaged"]["major"] = major
    server = settings.load(good).self_managed
    assert server is not None
    assert server.minor_floor == MINIMUM_MINORS[major]


def test_numbers_and_booleans_that_the_engine_wrote_as_text_are_accepted(good):
    good["selfManaged"] |= {
        "major": "17",
        "port": "5433",
        "logRetentionDays": "30",
        "volume": {"deletionProtection": "false"},
    }
    server = settings.load(good).self_managed
    assert server is not None
    assert (server.major, server.port, server.log_retention_days) == (17, 5433, 30)
    assert server.volume.deletion_protection is False


@pytest.mark.parametrize(
    ("value", "meaning"),
    [(200, "200"), ("200", "200"), (0.9, "0.9"), (True, "on"), (False, "off"), ("off", "off")],
)
def test_server_settings_become_text(value: Any, meaning: str):
    loaded = settings.SelfManaged.model_validate(DNS | {"serverSettings": {"x": value}})
    assert loaded.server_settings == {"x": meaning}


def test_a_key_without_value_counts_as_absent(good):
    good["selfManaged"]["databases"] = {"app": None}
    good["selfManaged"]["volume"] = {"kmsKeyArn": None, "iops": None}
    server = settings.load(good).self_managed
    assert server is not None
    assert server.databases["app"].extensions == ()
    assert server.volume.iops == 3000


def test_with_security_groups_role_networks_may_lie_anywhere(good):
    good["selfManaged"]["allowedClients"] = {
        "networks": ["10.99.0.0/16"],
        "securityGroups": ["sg-0123456789abcdef0"],
    }
    assert settings.load(good)


def test_settings_are_frozen(good):
    loaded = settings.load(good)
    with pytest.raises(ValidationError):
        loaded.tags = {}  # type: ignore[misc]
    with pytest.raises(ValidationError):
        loaded.certificates.authority_validity_days = 1  # type: ignore[misc]


def test_loading_leaves_the_given_mapping_alone(good):
    before = repr(good)
    settings.load(good)
    assert repr(good) == before


@pytest.mark.parametrize(
    ("place", "values"),
    {
        "port": (1024, 65535),
        "major": (15, 18),
        "reportDeadlineSeconds": (10, 7200),
        "logRetentionDays": (1, 3653),
    }.items(),
)
def test_both_ends_of_a_range_are_allowed(good, place, values):
    for value in values:
        good["selfManaged"][place] = value
        assert settings.load(good)


def test_the_longest_name_that_fits_a_certificate_is_allowed(good):
    good["selfManaged"]["privateDns"]["name"] = "a" * 52
    server = settings.load(good).self_managed
    assert server is not None
    assert len(server.private_dns.fqdn) == 64


def test_49_tags_are_allowed(good):
    good["tags"] = {f"k{number}": "v" for number in range(49)}
    assert len(settings.load(good).tags) == 49


@pytest.mark.parametrize(
    ("instance_type", "architecture"),
    {
        "m7g.large": "arm64", "t4g.micro": "arm64", "c7gn.16xlarge": "arm64", "x2gd.metal": "arm64",
        "a1.medium": "arm64", "im4gn.large": "arm64", "g5g.xlarge": "arm64", "m8gb.48xlarge": "arm64",
        "r8gd.metal-24xl": "arm64", "m7i.large": "x86_64", "g4dn.xlarge": "x86_64", "g6.xlarge": "x86_64",
        "m7i-flex.large": "x86_64", "u-6tb1.112xlarge": "x86_64", "u7i-12tb.224xlarge": "x86_64",
        "i3.metal": "x86_64", "i3en.large": "x86_64", "p3dn.24xlarge": "x86_64",
        "t3a.nano": "x86_64", "p5en.48xlarge": "x86_64",
    }.items(),
)  # fmt: skip
def test_architectures_of_instance_types(good, instance_type, architecture):
    assert architecture_of(instance_type) == architecture
    good["selfManaged"]["instanceType"] = instance_type
    server = settings.load(good).self_managed
    assert server is not None
    assert server.architecture == architecture


@given(st.integers(1, 65536), st.integers(3000, 80000), st.integers(125, 2000))
def test_gp3_volumes_keep_their_ratios(size, iops, throughput):
    fits = (iops == 3000 or iops <= 500 * size) and throughput <= iops * 0.25
    assert (gp3_problems(size, iops, throughput) == []) == fits


@given(st.integers(0, 2**32 - 1), st.integers(0, 32))
def test_a_vpc_is_refused_or_splits_into_eight_subnets(address, prefix):
    network = ipaddress.IPv4Network((address, prefix), strict=False)
    if not vpc_cidr_problems(str(network)):
        assert 16 <= prefix <= 25
        assert network.is_private or network.subnet_of(ipaddress.IPv4Network("100.64.0.0/10"))
        assert all(part.num_addresses >= 16 for part in network.subnets(prefixlen_diff=3))


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6) | st.sampled_from(
        ["create", "existing", "major", "roles", "databases", "networks", "grants", "privateDns", "zone"]
    ), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def explained(config: dict[str, Any]) -> None:
    caught: list[settings.SettingsError] = []
    try:
        settings.load(config)
    except settings.SettingsError as error:
        caught.append(error)
    for error in caught:
        lines = str(error).splitlines()
        assert len(lines) == len(error.problems) > 0
        assert all(line.startswith("passwordless-postgres:") for line in lines)


@given(st.dictionaries(st.sampled_from([*settings.SECTIONS, "other"]), _json))
def test_whatever_it_is_given_it_loads_or_explains(config):
    explained(config)


@given(st.data())
@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_a_good_configuration_with_something_else_anywhere_loads_or_explains(good, data):
    spoilt = copy.deepcopy(good)
    where, key = data.draw(st.sampled_from(list(_places(spoilt))))
    where[key] = data.draw(_json)
    explained(spoilt)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in nested mappings and lists, as what holds it and the key or index."""
    for key, child in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        if isinstance(child, (dict, list)):
            yield from _places(child)


def test_a_role_with_several_databases_connects_to_each(good):
    """On each server: the declaration, and on one of our own the rules that let the role in."""
    role = good["selfManaged"]["roles"]["app_user"]
    role |= {"otherDatabases": ["archive", "jobs"]}
    role["grants"].append({"database": "archive", "schema": "public", "privileges": ["usage"]})
    databases = {name: {} for name in ("app", "archive", "jobs")}
    good["selfManaged"]["databases"] = databases
    iam = {"iamRoles": ["app"], **{key: role[key] for key in ("database", "otherDatabases", "grants")}}
    allowed = {"networks": ["10.30.0.0/16"]}
    good["rds"] = {"allowedClients": allowed, "databases": databases, "roles": {"app_user": iam}}
    loaded = settings.load(good)
    assert loaded.self_managed is not None
    assert loaded.rds is not None
    for server in (loaded.self_managed, loaded.rds):
        (declared,) = server.declaration.roles
        assert declared.databases == ("app", "archive", "jobs")
        assert [each.database for each in declared.grants] == ["app", "app", "archive"]
    rules = hba_rules(loaded.self_managed.declaration)
    assert {rule.databases for rule in rules if rule.users == ("app_user",)} == {("app", "archive", "jobs")}
