"""The commands that node runs on Debian 13, recorded."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest

from node import debian
from node.apt import PROJECT_KEY, Apt
from node.layout import Layout
from runtime.errors import FailedError
from tests.node.recorded_commands import Recorded


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


def test_the_native_major_comes_from_debian(layout: Layout) -> None:
    commands = Recorded(
        {
            "dpkg-query": [(1, ""), (0, "ii 17.12-0+deb13u1")],
            "apt-cache policy": [(0, "postgresql-17:\n  Installed: (none)\n  Candidate: 17.12-0+deb13u1\n")],
        }
    )
    Apt(layout=layout, commands=commands).install(17, 11)
    assert commands.ran(
        "install --yes --no-install-recommends -o Dpkg::Options::=--force-confold postgresql-17"
    )
    assert not (layout.root / "etc/apt/sources.list.d").exists()
    conf = layout.root / "etc/postgresql-common/createcluster.d/passwordless-postgres.conf"
    assert conf.read_text() == "create_main_cluster = false\n"


def test_nothing_runs_when_the_floor_is_met(layout: Layout) -> None:
    commands = Recorded({"dpkg-query": [(0, "ii 17.12-0+deb13u1")]})
    Apt(layout=layout, commands=commands).install(17, 12)
    assert len(commands.lines) == 1


def test_an_archive_below_the_floor_fails_before_anything_is_installed(layout: Layout) -> None:
    commands = Recorded(
        {"dpkg-query": [(1, "")], "apt-cache policy": [(0, "  Candidate: 17.10-0+deb13u1\n")]}
    )
    with pytest.raises(FailedError, match=r"17\.10-0\+deb13u1 is the newest that apt offers, below 17\.11"):
        Apt(layout=layout, commands=commands).install(17, 11)
    assert not commands.ran("install")


@pytest.mark.parametrize("major", [15, 16, 18])
def test_other_majors_come_from_the_project_with_its_pinned_key(major: int, layout: Layout) -> None:
    commands = Recorded(
        {
            "dpkg-query": [(1, ""), (0, f"ii {major}.20-1.pgdg13+1")],
            "apt-cache policy": [(0, f"  Candidate: {major}.20-1.pgdg13+1\n")],
        }
    )
    Apt(layout=layout, commands=commands).install(major, 19)
    source = (layout.root / "etc/apt/sources.list.d/passwordless-postgres.sources").read_text()
    assert "URIs: https://apt.postgresql.org/pub/repos/apt\nSuites: trixie-pgdg\n" in source
    keyring = layout.root / "etc/apt/keyrings/passwordless-postgres.asc"
    assert f"Signed-By: {keyring}" in source
    assert keyring.read_text() == PROJECT_KEY
    assert keyring.stat().st_mode & 0o777 == 0o644
    pins = (layout.root / "etc/apt/preferences.d/passwordless-postgres").read_text()
    everything, wanted = pins.split("\n\n")
    assert everything.startswith("Package: *\n")
    assert everything.endswith("Pin-Priority: 100")
    assert f"postgresql-{major} " in wanted
    assert "Pin-Priority: 500" in wanted


def test_the_shipped_key_is_the_projects() -> None:
    lines = PROJECT_KEY.partition("\n\n")[2].split("\n=")[0]
    packets = base64.b64decode(lines)
    # RFC 4880: the first packet is the primary key, with an old header and two octets of length.
    assert packets[0] == 0x99
    primary = packets[: 3 + int.from_bytes(packets[1:3], "big")]
    # Version 4 keys are known by SHA-1 over exactly these bytes (12.2).
    fingerprint = hashlib.sha1(primary, usedforsecurity=False).hexdigest().upper()
    assert fingerprint == "B97B0AFCAA1A47F044F244A07FCC7D46ACCC4CF8"
    # The rest is one user id and one signature, so there is no second primary key.
    tags = []
    at = 0
    while at < len(packets):
        tags.append(packets[at] >> 2 & 0x0F)
        size = 1 << (packets[at] & 3)
        at += 1 + size + int.from_bytes(packets[at + 1 : at + 1 + size], "big")
    assert tags == [6, 13, 2]


def test_start_reload_and_stop(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = Recorded({})
    platform = debian.Debian(layout=layout, commands=commands)
    process = debian.server_process.ServerProcess(
        pid=1, port=5432, socket_directory=Path("/run/postgresql"), ready=True
    )
    monkeypatch.setattr(debian.server_process, "find", lambda data: process)
    platform.start(17)
    platform.reload(17)
    platform.stop(17)
    assert commands.lines == [
        "systemctl daemon-reload",
        "systemctl start postgresql@17-main.service",
        "pg_ctlcluster 17 main reload",
        "systemctl stop postgresql@17-main.service",
    ]
    monkeypatch.setattr(debian.server_process, "find", lambda data: None)
    layout.logs.mkdir(parents=True)
    (layout.logs / "postgresql-17-main.log").write_text("FATAL: no space\n")
    with pytest.raises(FailedError, match="FATAL: no space"):
        platform.start(17)


def test_addresses_are_loopback_and_the_instances_own(layout: Layout, environment: None) -> None:
    assert debian.Debian(layout=layout).listen_addresses() == ("localhost", "127.0.0.1")


def test_no_platform_file_is_debian(layout: Layout, tmp_path: Path) -> None:
    from node import machine_platform

    assert isinstance(machine_platform.of(layout), debian.Debian)
    layout.platform.parent.mkdir(parents=True)
    layout.platform.write_text('{"platform": "other"}')
    with pytest.raises(FailedError, match="platform"):
        machine_platform.of(layout)


def test_programs_of_the_system_fail_with_their_words(tmp_path: Path) -> None:
    from node import commands

    with pytest.raises(FailedError, match="exit status 1"):
        commands.run("false")
    assert commands.run("false", accept=(1,)).returncode == 1
    with pytest.raises(FailedError, match="no-such-program"):
        commands.run("no-such-program")
