from __future__ import annotations

import base64
import gzip
import hashlib
import json

import pytest

from artifacts.sources import launcher_sources
from components.self_managed import user_data
from node.desired_state import Machine

MACHINE = Machine(
    region="eu-central-1",
    bucket="bucket-1a2b3c4",
    report_key="report.json",
    log_group="/passwordless-postgres/prod/self-managed/postgresql",
    volume="vol-0123456789abcdef0",
)
LAUNCHER = {"__main__.py": "a launcher\n", "runtime/bootstrap.py": "what it imports\n"}
# Another text replaces every instance on the next deployment. If that is meant, say so in the change.
GOLDEN_SHA256 = "a35a01d5c7128b313ada380a9ab947bcc60c3f94305adbcb2530deff9f5b68f0"


def decoded(encoded: str) -> dict:
    first, rest = gzip.decompress(base64.b64decode(encoded)).decode().split("\n", 1)
    assert first == "#cloud-config"
    return json.loads(rest)


def test_user_data_is_what_it_was() -> None:
    encoded = user_data.user_data_base64(launcher_sources("node"), MACHINE)
    assert hashlib.sha256(base64.b64decode(encoded)).hexdigest() == GOLDEN_SHA256


def test_user_data_installs_the_launcher_and_starts_it() -> None:
    config = decoded(user_data.user_data_base64(LAUNCHER, MACHINE))
    files = {each["path"]: each for each in config["write_files"]}
    assert sorted(files) == [
        "/etc/passwordless-postgres/machine.json",
        "/etc/systemd/system/passwordless-postgres-node.service",
        "/etc/systemd/system/passwordless-postgres-node.timer",
        "/opt/passwordless-postgres/launcher/__main__.py",
        "/opt/passwordless-postgres/launcher/runtime/bootstrap.py",
    ]
    for name, text in LAUNCHER.items():
        assert files[f"/opt/passwordless-postgres/launcher/{name}"]["content"] == text
    assert Machine.model_validate_json(files[user_data.MACHINE_PATH]["content"]) == MACHINE
    assert (
        "ExecStart=/usr/bin/python3 -I /opt/passwordless-postgres/launcher\n"
        in (files["/etc/systemd/system/passwordless-postgres-node.service"]["content"])
    )
    timer = files["/etc/systemd/system/passwordless-postgres-node.timer"]["content"]
    assert "OnBootSec=" in timer
    assert "OnUnitInactiveSec=10s" in timer
    enable = ["systemctl", "enable", "--now", "--no-block", "passwordless-postgres-node.timer"]
    assert config["runcmd"][-1] == enable
    assert set(config) == {"write_files", "bootcmd", "runcmd"}


def test_what_installs_packages_is_not_in_user_data() -> None:
    """It was, and could not be mended without replacing every instance."""
    text = json.dumps(decoded(user_data.user_data_base64(launcher_sources("node"), MACHINE)))
    for word in ("apt-get", "dpkg", "packages"):
        assert word not in text.replace("Debian's packages it installs itself", "")


@pytest.mark.parametrize("processor", ["amd64", "x86", "arm", "aarch64"])
def test_user_data_is_for_every_processor(processor: str) -> None:
    """No arm64 machine boots in a test."""
    text = json.dumps(decoded(user_data.user_data_base64(launcher_sources("node"), MACHINE)))
    assert processor not in text.lower()


def test_the_real_launcher_fits() -> None:
    encoded = user_data.user_data_base64(launcher_sources("node"), MACHINE)
    assert len(base64.b64decode(encoded)) <= 16384


def test_too_much_user_data_is_refused() -> None:
    with pytest.raises(ValueError, match="bytes of user-data before base64; AWS takes 16384"):
        user_data.user_data_base64({"__main__.py": "x" * 16384}, MACHINE)
