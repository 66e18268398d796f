"""A deployment on real Debian 13 machines, from the first boot through what happens to machines later.

The tests are in the order of a machine's life, on one deployment. AWS is the sandbox's; everything that runs
on the machines is Debian's: kernel, systemd, cloud-init, apt, PostgreSQL.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.behaviour.conftest import ROOT
from tests.behaviour.iam_tokens import client
from tests.debian.debian_sandbox import DebianSandbox
from tests.debian.machine import Machine
from tests.debian.outages import NAMES

pytestmark = pytest.mark.debian

NODE = "passwordless-postgres-node"
CLUSTER = "postgresql@17-main"
DATA = "/var/lib/postgresql"
STAT = "stat --format '%n %U:%G %a'"


def await_that(condition: Callable[[], object], what: str, seconds: float = 600.0) -> None:
    """Wait until something holds that other processes bring about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(1)


def query(sandbox: DebianSandbox, statement: str, role: str = "app_user") -> list[tuple[Any, ...]]:
    """Rows, read as an application does; each call logs in anew."""
    with sandbox.login(role, sandbox.client_files(role)) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def serves(sandbox: DebianSandbox) -> bool:
    """Whether an application can log in."""
    with suppress(psycopg.OperationalError):
        return query(sandbox, "SELECT 1") == [(1,)]
    return False


def as_superuser(machine: Machine, statement: str) -> str:
    """What psql prints on the machine itself."""
    return machine.run(
        f"cd /; port=$(sed -n 4p {DATA}/17/main/postmaster.pid)",
        f'runuser -u postgres -- psql --port $port --no-psqlrc -Atc "{statement}" app',
    )


def server_pid(machine: Machine) -> int:
    """The postmaster that runs."""
    return int(machine.run(f"head -n 1 {DATA}/17/main/postmaster.pid"))


def test_every_check_passes(deployed: DebianSandbox) -> None:
    report = deployed.report()
    assert (report["outcome"], report["drift"]) == ("applied", [])
    completed = subprocess.run(
        [sys.executable, "-m", "pgpasswordless", "verify", "--stack", "sandbox", "--json"],
        cwd=ROOT,
        env=deployed.environment,
        text=True,
        capture_output=True,
        check=False,
    )
    checks = json.loads(completed.stdout)["checks"]
    assert [each for each in checks if not each["passed"]] == []
    assert {"self-managed", "rds"} <= {each.get("database") for each in checks}
    print(f"{len(checks)} checks passed")


def test_the_first_boot_left_nothing_undone(deployed: DebianSandbox) -> None:
    for machine in (deployed.database_machine, deployed.gateway_machine):
        status = json.loads(machine.run("cloud-init status --format json"))
        assert (status["status"], status["errors"], status["recoverable_errors"]) == ("done", [], {})
        assert machine.run("systemctl --failed --no-legend") == ""


def test_files_belong_to_whom_they_should(deployed: DebianSandbox) -> None:
    found = deployed.database_machine.run(
        f"{STAT} {DATA}/17/main /run/postgresql /var/log/postgresql /var/lib/passwordless-postgres"
        " /opt/passwordless-postgres/launcher/__main__.py /etc/passwordless-postgres/machine.json",
        f"find {DATA}/17/main /var/log/postgresql/* -perm /o=rwx ! -type l",
        "find -L /var/lib/passwordless-postgres/current -perm /o=rwx",
        "find /opt/passwordless-postgres /etc/passwordless-postgres ! -user root",
    )
    assert found.splitlines() == [
        f"{DATA}/17/main postgres:postgres 700",
        "/run/postgresql postgres:postgres 2775",
        "/var/log/postgresql root:postgres 1775",
        "/var/lib/passwordless-postgres root:root 711",
        "/opt/passwordless-postgres/launcher/__main__.py root:root 644",
        "/etc/passwordless-postgres/machine.json root:root 644",
    ]


def test_the_volume_is_mounted_by_its_file_system(deployed: DebianSandbox) -> None:
    machine = deployed.database_machine
    mounted = machine.run(f"findmnt --noheadings --output FSTYPE,OPTIONS --mountpoint {DATA}")
    kind, options = mounted.split()
    assert kind == "ext4"
    assert {"noatime", "nodev", "nosuid", "noexec"} <= set(options.split(","))
    assert machine.run("systemctl is-enabled var-lib-postgresql.mount").strip() == "enabled"


def test_the_only_cluster_is_the_machines_own(deployed: DebianSandbox) -> None:
    machine = deployed.database_machine
    (cluster,) = machine.run("pg_lsclusters --no-header").splitlines()
    assert cluster.split()[:2] == ["17", "main"]
    assert cluster.split()[3:6] == ["online", "postgres", f"{DATA}/17/main"]
    assert machine.run("ls /etc/postgresql").split() == ["17"]
    settings = as_superuser(
        machine,
        "SELECT name || '=' || setting FROM pg_settings WHERE name IN"
        " ('data_checksums', 'log_destination', 'log_file_mode', 'log_timezone', 'ssl') ORDER BY name",
    )
    assert settings.splitlines() == [
        "data_checksums=on",
        "log_destination=jsonlog",
        "log_file_mode=0600",
        "log_timezone=UTC",
        "ssl=on",
    ]


def test_systemd_takes_every_unit_as_it_is(deployed: DebianSandbox) -> None:
    database, gateway = deployed.database_machine, deployed.gateway_machine
    units = (
        f"{NODE}.service {NODE}.timer var-lib-postgresql.mount passwordless-postgres-routing-rules.service"
    )
    assert database.run(f"systemd-analyze verify {units} 2>&1") == ""
    assert database.run(f"systemctl is-enabled {NODE}.timer").strip() == "enabled"
    units = "passwordless-postgres-gateway.service passwordless-postgres-gateway-log.service"
    assert gateway.run(f"systemd-analyze verify {units} 2>&1") == ""
    for unit in units.split():
        said = gateway.run(f"systemd-analyze security {unit} --no-pager | tail -n 1")
        assert float(said.split(":")[1].split()[0]) <= 1.5, said


def test_the_gateway_runs_as_nobody_else_and_ships_its_log(deployed: DebianSandbox) -> None:
    machine = deployed.gateway_machine
    status = machine.run(
        "pid=$(systemctl show --property MainPID --value passwordless-postgres-gateway)",
        "grep -E '^(Uid|CapEff|NoNewPrivs|Seccomp):' /proc/$pid/status",
    )
    fields = {line.split(":")[0]: line.split(":")[1].split() for line in status.splitlines()}
    assert fields["Uid"][0] != "0"
    assert (fields["CapEff"], fields["NoNewPrivs"], fields["Seccomp"]) == (["0000000000000000"], ["1"], ["2"])
    assert any("gateway" in message for message in logged(deployed, "gateway"))


def logged(sandbox: DebianSandbox, part: str) -> list[str]:
    """Messages in the log groups whose names have a part."""
    logs = client("logs", sandbox.aws_environment())
    groups = [each["logGroupName"] for each in logs.describe_log_groups()["logGroups"]]
    return [
        event["message"]
        for group in groups
        if part in group
        for event in logs.filter_log_events(logGroupName=group)["events"]
    ]


def test_the_servers_log_is_shipped(deployed: DebianSandbox) -> None:
    query(deployed, "SELECT 1")
    await_that(
        lambda: any("connection authenticated" in each for each in logged(deployed, "self-managed")),
        "a login in the log group",
    )


def test_a_killed_postmaster_is_replaced(deployed: DebianSandbox) -> None:
    machine = deployed.database_machine
    before = server_pid(machine)
    machine.run(f"kill -9 {before}")
    await_that(lambda: serves(deployed), "a server that serves again")
    assert server_pid(machine) != before


def test_a_machine_that_boots_alone_serves_what_it_served(deployed: DebianSandbox) -> None:
    machine = deployed.database_machine
    as_superuser(machine, "CREATE TABLE kept (said text); GRANT INSERT, SELECT ON kept TO app_user")
    query(deployed, "INSERT INTO kept VALUES ('before')")
    boot = machine.run("cat /proc/sys/kernel/random/boot_id")
    machine.outages.begin(*NAMES)
    machine.run("systemd-run --on-active=1 systemctl reboot")
    # cloud-init asks for its metadata twice for four minutes, and holds up the network for the first.
    machine.await_success(f"test '{boot.strip()}' != $(cat /proc/sys/kernel/random/boot_id)", seconds=1800)
    await_that(lambda: serves(deployed), "a server without AWS")
    assert query(deployed, "SELECT said FROM kept") == [("before",)]
    machine.outages.end()
    machine.await_success(f"systemctl start {NODE}")
    assert deployed.report()["outcome"] == "applied"


def filled(path: str) -> tuple[str, ...]:
    """Commands that leave no space where a file is; two files have its name at their beginning."""
    return (
        f"left=$(df --output=avail --block-size=1 $(dirname {path}) | tail -n 1)",
        f"fallocate --length $left {path} || true",
        f"dd if=/dev/zero of={path}-rest bs=4k status=none || true",
        f"! sh -c 'head -c 9000 /dev/zero > {path}-more' 2>&1",
    )


def test_a_full_root_disk_silences_nothing(deployed: DebianSandbox) -> None:
    machine = deployed.database_machine
    machine.run(*filled("/filling"))
    try:
        assert serves(deployed)
        machine.run(f"systemctl start {NODE} || true")
        assert deployed.report()["outcome"] in ("applied", "failed")
        assert serves(deployed)
    finally:
        machine.run("rm -f /filling*")
    machine.await_success(f"systemctl start {NODE}")
    assert deployed.report()["outcome"] == "applied"


def test_a_full_volume_refuses_writes_and_goes_on(deployed: DebianSandbox) -> None:
    machine = deployed.database_machine
    machine.run(*filled(f"{DATA}/filling"))
    try:
        with pytest.raises(psycopg.errors.DiskFull):
            query(deployed, "INSERT INTO kept SELECT repeat('x', 1000) FROM generate_series(1, 5000)")
        machine.run(f"systemctl start {NODE} || true")
        assert deployed.report()["outcome"] in ("applied", "failed")
    finally:
        machine.run(f"rm -f {DATA}/filling*")
    await_that(lambda: serves(deployed), "a server that serves again")
    machine.await_success(f"systemctl start {NODE}")
    query(deployed, "INSERT INTO kept VALUES ('after')")


def is_pending(sandbox: DebianSandbox, what: str) -> bool:
    """Whether the report says that a restart is pending for something that was replaced on disk."""
    found = [each["what"] for each in sandbox.report()["drift"]]
    return any("a restart is pending" in each and what in each for each in found)


def test_needrestart_restarts_nothing_and_the_report_says_what_is_pending(deployed: DebianSandbox) -> None:
    machine = deployed.database_machine
    install = "DEBIAN_FRONTEND=noninteractive apt-get install --yes"
    machine.run("apt-get update", f"{install} needrestart", seconds=900)
    before = server_pid(machine)
    machine.run(f"{install} --reinstall libssl3t64", seconds=900)
    assert server_pid(machine) == before
    assert serves(deployed)
    await_that(lambda: is_pending(deployed, "libssl.so.3"), "a pending restart in the report")
    machine.run(f"systemctl restart {CLUSTER}")
    await_that(lambda: not is_pending(deployed, "libssl.so.3"), "no pending restart")


# A package as Debian's security archive would have it, which takes its time while the server is down.
NEWER = r"""
cd /srv
test -e own.deb || { apt-get download postgresql-17 && mv postgresql-17_*.deb own.deb; }
rm -rf newer && mkdir newer && cd newer
dpkg-deb --raw-extract ../own.deb made
sed -i 's/^Version: .*/&+newerNUMBER/' made/DEBIAN/control
test -e made/DEBIAN/preinst || printf '#!/bin/sh\n' > made/DEBIAN/preinst
chmod 755 made/DEBIAN/preinst && sed -i '1a sleep SECONDS' made/DEBIAN/preinst
dpkg-deb -Znone --build made postgresql-17.deb && rm -r made
apt-ftparchive packages . > Packages
release=APT::FTPArchive::Release
apt-ftparchive -o $release::Origin=Debian -o $release::Label=Debian-Security \
  -o $release::Codename=trixie-security release . > ../Release && mv ../Release .
echo 'deb [trusted=yes] file:/srv/newer ./' > /etc/apt/sources.list.d/newer.list
apt-get update
"""


# dpkg runs the script of a package that it unpacks from there.
IN_PREINST = "pgrep -f 'dpkg/tmp.ci/[p]reinst upgrade'"


def newer(number: int, *, seconds: int) -> str:
    """Commands that make that package and let apt know it; a higher number is newer."""
    return NEWER.replace("NUMBER", str(number)).replace("SECONDS", str(seconds))


def test_nothing_starts_the_server_while_packages_change(deployed: DebianSandbox) -> None:
    machine = deployed.database_machine
    machine.run(newer(1, seconds=180), seconds=900)
    machine.run("systemd-run --unit upgrade --property Type=oneshot --no-block unattended-upgrade --verbose")
    machine.await_success(IN_PREINST, seconds=900)
    said = "the server is down while process"
    machine.await_success(f"journalctl --unit {NODE} --output cat --since -60s | grep '{said}'")
    assert machine.run(f"{IN_PREINST} && ! pgrep -x postgres") != ""
    machine.await_success("! systemctl is-active --quiet upgrade", seconds=900)
    assert "+newer1" in machine.run("dpkg-query --show postgresql-17")
    await_that(lambda: serves(deployed), "a server that serves again")
    program = machine.run(f"readlink /proc/{server_pid(machine)}/exe").strip()
    assert program == "/usr/lib/postgresql/17/bin/postgres"
    await_that(lambda: deployed.report()["drift"] == [], "a report without drift")


@contextmanager
def with_volume(machine: Machine, serial: str, disk: Path) -> Iterator[None]:
    """Another volume in the place of the machine's own, as after a mistaken attachment."""
    volume, own = machine.instance.volume, machine.instance.disk
    assert volume is not None
    assert own is not None
    timer, mount = f"{NODE}.timer", "var-lib-postgresql.mount"
    machine.run(f"systemctl stop {timer}", f"systemctl stop {NODE} {CLUSTER}", f"systemctl stop {mount}")
    machine.detach()
    machine.attach(serial, disk)
    try:
        machine.await_success(f"test -b {DEVICE}")
        yield
    finally:
        machine.detach()
        machine.attach(volume, own)
        machine.await_success(f"systemctl start {mount}")
        machine.run(f"systemctl start {timer}")


DEVICE = "/dev/nvme1n1"


def no_file_system(disk: Path) -> None:
    """A volume that reads blank."""
    disk.touch()
    os.truncate(disk, 20 << 30)


def swap_space(disk: Path) -> None:
    """A volume that holds something else."""
    no_file_system(disk)
    subprocess.run(["mkswap", "--quiet", disk], check=True)


@pytest.mark.parametrize(
    ("make", "serial", "reason"),
    [
        (no_file_system, None, "reads blank, but s3://"),
        (swap_space, None, "holds swap; only ext4 is mounted, and only a blank volume is formatted"),
        (no_file_system, "vol-0fffffffffffffff0", "is not attached to this instance"),
    ],
)
def test_no_volume_but_its_own_is_touched(
    make: Callable[[Path], None], serial: str | None, reason: str, deployed: DebianSandbox
) -> None:
    machine = deployed.database_machine
    disk = deployed.folder / "other-volume"
    make(disk)
    with disk.open("rb") as file:
        before = file.read(1 << 20)
    with with_volume(machine, serial or machine.instance.volume or "", disk):
        machine.run(f"systemctl start {NODE} || true")
        report = deployed.report()
        assert reason in report["message"], report
        assert report["appliedSerial"] is None
        with disk.open("rb") as file:
            assert file.read(1 << 20) == before
    disk.unlink()
    await_that(lambda: serves(deployed), "a server on its own volume")
    assert ("before",) in query(deployed, "SELECT said FROM kept")
    await_that(lambda: deployed.report()["outcome"] == "applied", "a report of what is served")


def test_a_new_instance_serves_the_old_volume(deployed: DebianSandbox) -> None:
    before = deployed.database_machine
    volume = before.instance.volume
    assert volume is not None
    deployed.edit(lambda section: section.update(image={"id": "ami-0d13a4d6415020003"}))
    deployed.deployed()
    machine = deployed.database_machine
    assert machine.folder != before.folder
    assert machine.instance.volume == volume
    assert ("before",) in query(deployed, "SELECT said FROM kept")
    assert deployed.report()["outcome"] == "applied"
