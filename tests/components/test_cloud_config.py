"""User-data survives an interrupted first boot, and is the same bytes wherever it is made."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import cloud_config


def test_every_boot_makes_up_for_what_an_interrupted_one_left_undone() -> None:
    text = cloud_config.cloud_config({"/a": "x"}, {"b.service": "y"}, ["b.service"])
    document = json.loads(text.removeprefix("#cloud-config\n"))
    write, sync, *start = document["bootcmd"]
    # cloud-init takes a module that a loss of power interrupted for done.
    assert write == ["cloud-init", "single", "--name", "write_files", "--frequency", "always"]
    assert sync == ["sync"]
    assert start == document["runcmd"]
    assert start[-1][-1] == "b.service"
    assert [each["path"] for each in document["write_files"]] == ["/a", "/etc/systemd/system/b.service"]


def test_nothing_of_it_waits_for_a_unit_in_the_middle_of_the_boot() -> None:
    document = json.loads(cloud_config.cloud_config({}, {"b.service": "y"}, ["b.service"])[14:])
    for command in (*document["bootcmd"], *document["runcmd"]):
        assert "--now" not in command or "--no-block" in command


@given(st.binary(max_size=200_000))
def test_any_bytes_survive_the_container(data: bytes) -> None:
    assert gzip.decompress(cloud_config.gzip_stored(data)) == data


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 131070, 131071])
def test_block_boundaries_survive_the_container(size: int) -> None:
    assert gzip.decompress(cloud_config.gzip_stored(b"a" * size)) == b"a" * size
