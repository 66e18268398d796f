"""Which region a host name says, and which names are looked up."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgpasswordless.rds_names import dsql_region, in_rds, is_near, may_be_alias, normalised, region_in

labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
regions = st.sampled_from(["eu-central-1", "us-gov-west-1", "cn-north-1", "ap-southeast-2", "eusc-de-east-1"])
forms = st.sampled_from(
    [
        "{id}.{hash}.{region}.rds.amazonaws.com",
        "{id}.{hash}.{region}.rds.amazonaws.com.cn",
        "{id}.{hash}.rds.{region}.amazonaws.com.cn",
        "{id}.{hash}.{region}.rds.amazonaws.eu",
        "{id}.cluster-{hash}.{region}.rds.amazonaws.com",
        "{id}.cluster-ro-{hash}.{region}.rds.amazonaws.com",
        "{id}.cluster-custom-{hash}.{region}.rds.amazonaws.com",
        "{id}.shardgrp-{hash}.{region}.rds.amazonaws.com",
        "{id}.proxy-{hash}.{region}.rds.amazonaws.com",
        "{id}.endpoint.proxy-{hash}.{region}.rds.amazonaws.com",
        "{id}.endpoint.proxy-{hash}.rds.{region}.amazonaws.com.cn",
        "{id}.{hash}.{region}.rds.c2s.ic.gov",
    ]
)


@given(st.builds(str.format, forms, id=labels, hash=labels, region=regions), st.booleans(), st.booleans())
def test_an_endpoint_says_its_region(plain: str, upper: bool, rooted: bool) -> None:
    written = (plain.upper() if upper else plain) + "." * rooted
    region = next(part for part in reversed(plain.split(".")) if re.fullmatch(r".+-.+-[0-9]+", part))
    assert region_in(written) == region
    assert normalised(written) == plain
    assert not may_be_alias(written)


@given(st.text(max_size=60))
def test_any_other_host_is_left_as_it_is(host: str) -> None:
    assert region_in(host) is None
    assert normalised(host) == host


@pytest.mark.parametrize(
    "host",
    [
        "db.abc.eu-central-1.rds.amazonaws.com.example.org",
        "db.abc.eu-central-1.rds.amazonaws.com@example.org",
        "eu-central-1.rds.amazonaws.com",
        "db.abc.eu-central-1xrds.amazonaws.com",
        "db.abc.eu-central-1.rds.amazonaws.com\n",
    ],
)
def test_a_name_that_only_looks_like_an_endpoint_says_none(host: str) -> None:
    assert region_in(host) is None


@pytest.mark.parametrize(
    "host",
    [
        "main.global-abc123.global.rds.amazonaws.com",
        "MAIN.global-abc123.global.rds.amazonaws.com.",
        "main.some-new-kind.abc.eu-central-1.rds.amazonaws.com",
    ],
)
def test_a_name_of_rds_may_say_no_region(host: str) -> None:
    assert in_rds(host)
    assert region_in(host) is None
    assert not may_be_alias(host)
    assert normalised(host) == host.lower().removesuffix(".")


@pytest.mark.parametrize(
    "host", ["abcdefghijklmnopqrstuvwxyz.dsql.eu-west-1.on.aws", "abc.dsql-fnh4.eu-west-1.on.aws."]
)
def test_dsql_is_told_apart(host: str) -> None:
    assert dsql_region(host) == "eu-west-1"
    assert not in_rds(host)
    assert dsql_region("dsql.eu-west-1.on.aws.example.org") is None


@pytest.mark.parametrize("host", ["db.example.org", "postgres.db.internal", "db"])
def test_a_name_of_ones_own_may_be_an_alias(host: str) -> None:
    assert may_be_alias(host)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "db.localhost", "127.0.0.1", "::1", "fe80::1%eth0"]
)
def test_addresses_and_this_machine_are_not_looked_up(host: str) -> None:
    assert is_near(host)
    assert not may_be_alias(host)
