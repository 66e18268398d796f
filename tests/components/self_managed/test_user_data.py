from __future__ import annotations

import base64
import gzip
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.sources import launcher_source
from components.self_managed import user_data
from node.desired_state import Machine

MACHINE = Machine(
    region="eu-central-1",
    bucket="bucket-1a2b3c4",
    pointer="/passwordless-postgres/prod/self-managed/desired-state",
    report_key="report.json",
    log_group="/passwordless-postgres/prod/self-managed/postgresql",
    volume="vol-0123456789abcdef0",
)
# Another text replaces every instance on the next deployment. If that is meant, say so in the change.
GOLDEN_SHA256 = "d40fbcc621327afb7d0b8db8683830e355bd187e8add446e6aaafc8c1491c0bc"


def decoded(encoded: str) -> dict:
    first, rest = gzip.decompress(base64.b64decode(encoded)).decode().split("\n", 1)
    assert first == "#cloud-config"
    return json.loads(rest)


def test_user_data_is_what_it_was() -> None:
    encoded = user_data.user_data_base64("a launcher\n", MACHINE)
    assert hashlib.sha256(base64.b64decode(encoded)).hexdigest() == GOLDEN_SHA256


def test_user_data_installs_the_launcher_and_starts_it() -> None:
    config = decoded(user_data.user_data_base64("a launcher\n", MACHINE))
    files = {each["path"]: each for each in config["write_files"]}
    assert sorted(files) == [
        "/etc/passwordless-postgres/machine.json",
        "/etc/systemd/system/passwordless-postgres-node.service",
        "/etc/systemd/system/passwordless-postgres-node.timer",
        "/opt/passwordless-postgres/launcher.py",
    ]
    assert files["/opt/passwordless-postgres/launcher.py"]["content"] == "a launcher\n"
    assert Machine.model_validate_json(files[user_data.MACHINE_PATH]["content"]) == MACHINE
    assert (
        "ExecStart=/usr/bin/python3 /opt/passwordless-postgres/launcher.py\n"
        in (files["/etc/systemd/system/passwordless-postgres-node.service"]["content"])
    )
    timer = files["/etc/systemd/system/passwordless-postgres-node.timer"]["content"]
    assert "OnBootSec=" in timer
    assert "OnUnitInactiveSec=10s" in timer
    assert config["packages"] == [
        "python3-boto3",
        "python3-pydantic",
        "python3-cryptography",
        "ca-certificates",
    ]
    assert config["runcmd"][-1] == ["systemctl", "enable", "--now", "passwordless-postgres-node.timer"]
    assert set(config) == {"write_files", "package_update", "packages", "runcmd"}


def test_the_real_launcher_fits() -> None:
    encoded = user_data.user_data_base64(launcher_source("node"), MACHINE)
    assert len(base64.b64decode(encoded)) <= 16384


def test_too_much_user_data_is_refused() -> None:
    with pytest.raises(ValueError, match="bytes of user-data before base64; AWS takes 16384"):
        user_data.user_data_base64("x" * 16384, MACHINE)


@given(st.binary(max_size=200_000))
def test_any_bytes_survive_the_container(data: bytes) -> None:
    assert gzip.decompress(user_data.gzip_stored(data)) == data


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 131070, 131071])
def test_block_boundaries_survive_the_container(size: int) -> None:
    assert gzip.decompress(user_data.gzip_stored(b"a" * size)) == b"a" * size
