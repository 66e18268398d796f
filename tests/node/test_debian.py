"""The commands that node runs on Debian 13, recorded."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE

import pytest

from node import debian, machine_platform, package_lock
from node.apply import keep_serving
from node.apt import OWN_PACKAGES, PROJECT_ARCHIVE, PROJECT_KEY, Apt
from node.fetch import Store
from node.format_record import FormatRecord
from node.layout import Layout
from node.state import State
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
    repair, update, policy, install = commands.lines[1:5]
    # What a loss of power left half installed is finished before apt refuses to do anything.
    assert repair == "dpkg --force-confold --configure -a"
    assert update == "apt-get update -o APT::Update::Error-Mode=any"
    assert policy == "apt-cache policy postgresql-17"
    assert install.startswith("apt-get install --yes --no-install-recommends --fix-broken ")
    assert install.endswith(" -o Dpkg::Options::=--force-confold postgresql-17")
    assert not (layout.root / "etc/apt/sources.list.d").exists()
    conf = layout.root / "etc/postgresql-common/createcluster.d/passwordless-postgres.conf"
    assert conf.read_text() == "create_main_cluster = false\n"


def test_the_project_is_not_asked_for_the_native_major(layout: Layout) -> None:
    """A machine that was given another major by mistake has it among its sources."""
    source = layout.root / "etc/apt/sources.list.d/passwordless-postgres.sources"
    source.parent.mkdir(parents=True)
    source.touch()
    with pytest.raises(FailedError):
        Apt(layout=layout, commands=Recorded({"dpkg-query": [(1, "")], "apt-get": [(100, "")]})).install(
            17, 1
        )
    assert not source.exists()


def test_nothing_runs_when_the_floor_is_met(layout: Layout) -> None:
    commands = Recorded({"dpkg-query": [(0, "ii 17.12-0+deb13u1")]})
    Apt(layout=layout, commands=commands).install(17, 12)
    assert len(commands.lines) == 1


def own_packages(layout: Layout, commands: Recorded) -> None:
    layout.make_home()
    debian.Debian(layout=layout, commands=commands).install_own()


def test_what_node_imports_is_installed_like_everything_else(layout: Layout) -> None:
    """By user-data it could not be mended: after a loss of power every run said that dpkg was interrupted."""
    commands = Recorded({"dpkg-query": [(0, "ii 1.37"), (0, "iU 2.10"), (1, "")]})
    own_packages(layout, commands)
    *asked, repair, update, install = commands.lines
    assert len(asked) == len(OWN_PACKAGES)
    assert repair == "dpkg --force-confold --configure -a"
    assert update == "apt-get update -o APT::Update::Error-Mode=any"
    assert install.endswith(" python3-pydantic python3-cryptography")


def test_what_node_imports_is_looked_for_once(layout: Layout) -> None:
    own_packages(layout, Recorded({"dpkg-query": [(0, "ii 1")]}))
    again = Recorded({})
    own_packages(layout, again)
    assert again.lines == []


@pytest.mark.parametrize(
    ("journal", "answer", "finished"),
    [
        ("0000", (0, ""), True),
        ("0017", (1, "errors were encountered"), True),
        ("0000", (2, "cannot be read"), True),
        ("tmp.i", (0, ""), False),
    ],
)
def test_an_upgrade_that_lost_its_power_is_finished_by_the_next_run(
    journal: str, answer: tuple[int, str], finished: bool, layout: Layout
) -> None:
    """unattended-upgrades says that somebody else holds the lock, for ever."""
    own_packages(layout, Recorded({"dpkg-query": [(0, "ii 1")]}))
    updates = layout.root / package_lock.JOURNAL
    updates.mkdir(parents=True)
    (updates / journal).touch()
    commands = Recorded({"dpkg": [answer]})
    own_packages(layout, commands)
    assert commands.lines == ["dpkg --force-confold --configure -a"] * finished


def test_a_journal_of_a_dpkg_at_work_is_left_alone(layout: Layout) -> None:
    own_packages(layout, Recorded({"dpkg-query": [(0, "ii 1")]}))
    (layout.root / package_lock.JOURNAL).mkdir(parents=True)
    (layout.root / package_lock.JOURNAL / "0000").touch()
    with another_program_holds(layout.root / package_lock.FRONTEND):
        commands = Recorded({})
        own_packages(layout, commands)
        assert commands.lines == []


@pytest.mark.parametrize("change", ["another list", "module gone"])
def test_what_node_imports_is_looked_for_again(
    change: str, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_packages(layout, Recorded({"dpkg-query": [(0, "ii 1")]}))
    added = {"added": "python3-added"} if change == "module gone" else {"json": "python3-json"}
    monkeypatch.setattr("node.apt.OWN_PACKAGES", {**OWN_PACKAGES, **added})
    monkeypatch.setattr("node.debian.OWN_PACKAGES", {**OWN_PACKAGES, **added})
    if change == "module gone":
        layout.own_packages.write_text(" ".join([*OWN_PACKAGES.values(), "python3-added"]))
    again = Recorded({"dpkg-query": [(1, "")]})
    own_packages(layout, again)
    assert again.ran(f"install {'--yes'}")


def test_an_installation_that_failed_is_tried_again(layout: Layout) -> None:
    for _ in range(2):
        commands = Recorded({"dpkg-query": [(1, "")], "apt-get update": [(100, "")]})
        with pytest.raises(FailedError, match="apt-get update"):
            own_packages(layout, commands)
    assert not layout.own_packages.exists()


def test_extensions_bring_their_packages_to_a_server_that_is_there(layout: Layout) -> None:
    commands = Recorded(
        {
            "dpkg-query --show --showformat=${db:Status-Abbrev}${Version} postgresql-17-": [(1, "")],
            "dpkg-query": [(0, "ii 17.12-0+deb13u1")],
            "apt-cache policy": [(0, "  Candidate: 17.12-0+deb13u1\n")],
        }
    )
    Apt(layout=layout, commands=commands).install(17, 12, ["postgresql-17-pgvector"])
    # The server's own package is not touched: an upgrade would restart it.
    assert commands.lines[-2].endswith(" -o Dpkg::Options::=--force-confold postgresql-17-pgvector")
    assert " postgresql-17 " not in commands.lines[-2]


def test_packages_of_extensions_are_installed_with_the_server(layout: Layout) -> None:
    commands = Recorded(
        {
            "dpkg-query --show --showformat=${db:Status-Abbrev}${Version} postgresql-17-": [(1, "")],
            "dpkg-query": [(1, ""), (0, "ii 17.12-0+deb13u1")],
            "apt-cache policy": [(0, "  Candidate: 17.12-0+deb13u1\n")],
        }
    )
    packages = ["postgresql-17-cron", "postgresql-17-pgvector"]
    Apt(layout=layout, commands=commands).install(17, 12, packages)
    assert commands.lines[-2].endswith(" postgresql-17 postgresql-17-cron postgresql-17-pgvector")


def test_an_extension_that_no_archive_has_is_named_and_changes_nothing(layout: Layout) -> None:
    commands = Recorded(
        {
            "dpkg-query --show --showformat=${db:Status-Abbrev}${Version} postgresql-17-": [(1, "")],
            "dpkg-query": [(0, "ii 17.12-0+deb13u1")],
            "apt-cache policy postgresql-17-": [(0, "  Candidate: (none)\n")],
            "apt-cache policy": [(0, "  Candidate: 17.12-0+deb13u1\n")],
        }
    )
    with pytest.raises(
        FailedError, match="extensions: no archive of this machine's apt has postgresql-17-rum"
    ):
        Apt(layout=layout, commands=commands).install(17, 12, ["postgresql-17-rum"])
    assert not commands.ran("install")


def test_nothing_runs_when_the_packages_are_there(layout: Layout) -> None:
    commands = Recorded({"dpkg-query": [(0, "ii 17.12-0+deb13u1")]})
    Apt(layout=layout, commands=commands).install(17, 12, ["postgresql-17-cron"])
    assert len(commands.lines) == 2


def test_an_archive_below_the_floor_fails_before_anything_is_installed(layout: Layout) -> None:
    commands = Recorded(
        {"dpkg-query": [(1, "")], "apt-cache policy": [(0, "  Candidate: 17.10-0+deb13u1\n")]}
    )
    with pytest.raises(FailedError, match=r"17\.10-0\+deb13u1 is the newest that apt offers, below 17\.11"):
        Apt(layout=layout, commands=commands).install(17, 11)
    assert not commands.ran("install")


def test_what_dpkg_cannot_finish_alone_is_left_to_apt(layout: Layout) -> None:
    """A package that was unpacked before one that it needs."""
    commands = Recorded(
        {
            "dpkg-query": [(1, ""), (0, "ii 17.12-0+deb13u1")],
            "dpkg --force-confold --configure": [(1, "")],
            "apt-cache policy": [(0, "  Candidate: 17.12-0+deb13u1\n")],
        }
    )
    Apt(layout=layout, commands=commands).install(17, 11)
    assert commands.ran("install")


def test_a_broken_package_database_stops_the_installation(layout: Layout) -> None:
    commands = Recorded({"dpkg-query": [(1, "")], "dpkg --force-confold --configure": [(2, "")]})
    with pytest.raises(FailedError, match="exit status 2"):
        Apt(layout=layout, commands=commands).install(17, 11)
    assert not commands.ran("apt-get")


def test_a_half_installed_server_is_repaired(layout: Layout) -> None:
    """Its version is the right one, and its status is not."""
    commands = Recorded(
        {
            "dpkg-query": [(0, "iF 17.12-0+deb13u1"), (0, "ii 17.12-0+deb13u1")],
            "apt-cache policy": [(0, "  Candidate: 17.12-0+deb13u1\n")],
        }
    )
    Apt(layout=layout, commands=commands).install(17, 11)
    assert commands.ran("dpkg --force-confold --configure -a")


def test_an_archive_that_cannot_be_reached_is_the_reason_that_is_told(layout: Layout) -> None:
    commands = Recorded({"dpkg-query": [(1, "")], "apt-get": [(100, "")]})
    with pytest.raises(FailedError, match=r"apt-get update .*Error-Mode=any: exit status 100"):
        Apt(layout=layout, commands=commands).install(18, 1)


@pytest.mark.parametrize("policy", ["", "postgresql-18:\n  Installed: (none)\n  Candidate: (none)\n"])
def test_archives_without_the_package_are_no_reason_to_lower_the_floor(policy: str, layout: Layout) -> None:
    commands = Recorded({"dpkg-query": [(1, "")], "apt-cache policy": [(0, policy)]})
    with pytest.raises(FailedError, match="no archive of this machine's apt has postgresql-18") as failure:
        Apt(layout=layout, commands=commands).install(18, 1)
    assert "lower the floor" not in str(failure.value)


@pytest.mark.parametrize("wrong", ["a key that was replaced", "", "\0"])
def test_what_is_wrong_in_the_sources_is_put_right_before_apt_reads_them(wrong: str, layout: Layout) -> None:
    key = layout.root / "etc/apt/keyrings/passwordless-postgres.asc"
    source = layout.root / "etc/apt/sources.list.d/passwordless-postgres.sources"
    for path in (key, source):
        path.parent.mkdir(parents=True)
        path.write_text(wrong)
    commands = Recorded({"dpkg-query": [(1, "")], "apt-get": [(100, "")]})
    with pytest.raises(FailedError):
        Apt(layout=layout, commands=commands).install(18, 1)
    assert key.read_text() == PROJECT_KEY
    assert f"URIs: {PROJECT_ARCHIVE}\n" in source.read_text()


@contextmanager
def another_program_holds(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process with a record lock, as dpkg and apt take them; it lives until its input ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    program = (
        "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.lockf(file, fcntl.LOCK_EX); "
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", program, str(path)], stdin=PIPE, stdout=PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process


@pytest.mark.parametrize("lock", package_lock.LOCKS)
def test_apt_waits_for_whoever_works_on_the_packages(
    lock: str, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = Recorded(
        {
            "dpkg-query": [(1, ""), (0, "ii 17.12-0+deb13u1")],
            "apt-cache policy": [(0, "  Candidate: 17.12-0+deb13u1\n")],
        }
    )
    with another_program_holds(layout.root / lock) as other:

        def end_the_other(seconds: float) -> None:
            assert not commands.ran("apt-get")
            other.communicate()

        monkeypatch.setattr(package_lock.time, "sleep", end_the_other)
        Apt(layout=layout, commands=commands).install(17, 11)
        assert other.returncode == 0
    assert commands.ran("apt-get install")


def test_whoever_never_ends_is_named(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = Recorded({"dpkg-query": [(1, "")]})
    monkeypatch.setattr(package_lock, "WAIT_SECONDS", 0)
    path = layout.root / "var/lib/apt/lists/lock"
    with another_program_holds(path) as other, pytest.raises(FailedError) as failure:
        Apt(layout=layout, commands=commands).install(17, 11)
    assert f"process {other.pid} (python" in str(failure.value)
    assert str(path) in str(failure.value)
    assert len(commands.lines) == 1


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
    uid = platform.user.uid
    assert commands.lines == [
        "ip -4 rule show",
        f"ip -4 rule add priority 100 to 169.254.169.254 uidrange {uid}-{uid} prohibit",
        "ip -6 rule show",
        f"ip -6 rule add priority 100 to fd00:ec2::254 uidrange {uid}-{uid} prohibit",
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


def test_nothing_is_started_while_packages_change(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upgrade stops the server; what runs before it is done is the old program."""
    commands = Recorded({})
    platform = debian.Debian(layout=layout, commands=commands)
    monkeypatch.setattr(machine_platform, "of", lambda layout: platform)
    monkeypatch.setattr(debian.server_process, "find", lambda data: None)
    (layout.data(17)).mkdir(parents=True)
    (layout.data(17) / "PG_VERSION").touch()
    layout.home.mkdir(parents=True)
    layout.current.symlink_to("generations/1-00000000")
    with another_program_holds(layout.root / package_lock.FRONTEND) as other:
        keep_serving(layout, State())
        assert commands.lines == []
        # A deployment that has begun waits.
        monkeypatch.setattr(package_lock, "WAIT_SECONDS", 0)
        with pytest.raises(FailedError, match=f"process {other.pid}"):
            platform.start(17)
        assert not commands.ran("systemctl start")
        other.communicate()
    with pytest.raises(FailedError, match="does not start"):
        keep_serving(layout, State())
    assert commands.ran("systemctl start postgresql@17-main.service")


def prepared(layout: Layout, commands: Recorded) -> debian.Debian:
    platform = debian.Debian(layout=layout, commands=commands)
    platform.prepare(17, None, FormatRecord(store=Store(bucket="", owner="", s3=None, secrets=None)))
    return platform


def test_the_server_and_its_children_have_no_way_to_the_credentials(layout: Layout) -> None:
    commands = Recorded({})
    uid = prepared(layout, commands).user.uid
    drop_in = layout.root / "etc/systemd/system/postgresql@.service.d/passwordless-postgres.conf"
    assert drop_in.read_text() == ("[Service]\nUMask=0077\nIPAddressDeny=169.254.169.254 fd00:ec2::254\n")
    # A server that runs already is filtered too.
    assert commands.ran("systemctl daemon-reload")
    assert commands.ran(f"ip -4 rule add priority 100 to 169.254.169.254 uidrange {uid}-{uid} prohibit")
    assert commands.ran(f"ip -6 rule add priority 100 to fd00:ec2::254 uidrange {uid}-{uid} prohibit")


def test_after_a_boot_it_is_kept_from_them_before_there_is_a_network(layout: Layout) -> None:
    """Whatever node does later: cron, say, starts programs of this user as early as the server."""
    commands = Recorded({})
    uid = prepared(layout, commands).user.uid
    unit = (layout.root / f"etc/systemd/system/{debian.RULES_UNIT}").read_text()
    for family, address in (("-4", "169.254.169.254"), ("-6", "fd00:ec2::254")):
        rule = f"priority 100 to {address} uidrange {uid}-{uid} prohibit"
        assert f"\nExecStart=-ip {family} rule add {rule}\n" in unit
    assert "\nBefore=network-pre.target\n" in unit
    assert commands.ran(f"systemctl enable {debian.RULES_UNIT}")


def test_what_keeps_it_from_them_is_put_there_once(layout: Layout) -> None:
    uid = prepared(layout, Recorded({})).user.uid
    kept = [
        f"100:\tfrom all to {address} uidrange {uid}-{uid} prohibit\n"
        for address in ("169.254.169.254", "fd00:ec2::254")
    ]
    commands = Recorded({"ip -4 rule show": [(0, kept[0])], "ip -6 rule show": [(0, kept[1])]})
    prepared(layout, commands)
    assert not commands.ran("rule add")
    assert not commands.ran("daemon-reload")


def test_a_kernel_that_keeps_nobody_from_them_fails_the_apply(layout: Layout) -> None:
    with pytest.raises(FailedError, match="ip -4 rule add"):
        prepared(layout, Recorded({"ip -4 rule add": [(2, "")]}))
    with pytest.raises(FailedError, match="ip -6 rule add"):
        prepared(layout, Recorded({"ip -6 rule add": [(2, "")]}))
    # One without IPv6 has no such address.
    prepared(layout, Recorded({"ip -6 rule": [(2, "")]}))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_data_of_an_image_with_another_user_id_goes_to_the_packages_user(layout: Layout) -> None:
    data = layout.data(17)
    data.mkdir(parents=True)
    outside = layout.root / "outside"
    outside.write_text("root's")
    for name in ("PG_VERSION", "base"):
        (data / name).touch()
    (data / "link").symlink_to(outside)
    (data / "roots").touch()
    os.link(outside, data / "other-name")
    for path in (data.parent, data, data / "PG_VERSION", data / "base", data / "link"):
        os.chown(path, 54321, 54321, follow_symlinks=False)
    user = prepared(layout, Recorded({})).user
    assert (data.stat().st_uid, (data / "base").stat().st_gid) == user.owner
    assert (data / "link").lstat().st_uid == user.uid
    assert (outside.stat().st_uid, (data / "roots").stat().st_uid) == (0, 0)


@pytest.mark.parametrize("planted", ["link", "root's"])
@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_planted_data_directory_gives_nothing_away(planted: str, layout: Layout) -> None:
    data = layout.data(17)
    data.parent.mkdir(parents=True)
    outside = layout.root / "outside"
    outside.mkdir()
    if planted == "link":
        data.symlink_to(outside)
        os.chown(data, 54321, 54321, follow_symlinks=False)
    else:
        data.mkdir()
    with pytest.raises(FailedError, match="is no data directory"):
        prepared(layout, Recorded({}))
    assert outside.stat().st_uid == 0


def test_addresses_are_loopback_and_the_instances_own(layout: Layout, environment: None) -> None:
    assert debian.Debian(layout=layout).listen_addresses() == ("localhost", "127.0.0.1")


def test_no_platform_file_is_debian(layout: Layout, tmp_path: Path) -> None:
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
