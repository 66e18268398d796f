"""PostgreSQL on Debian 13, in Debian's own layout: apt, systemd, pg_ctlcluster."""

from __future__ import annotations

import importlib
import stat
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from node import package_lock, server_log, server_process
from node.apt import OWN_PACKAGES, Apt
from node.commands import Commands, run
from node.data_volume import DataVolume
from node.layout import CLUSTER, Layout
from node.server_user import ServerUser
from runtime import files
from runtime.errors import FailedError
from runtime.instance_metadata import InstanceMetadata

if TYPE_CHECKING:
    from node.format_record import FormatRecord

START_SECONDS = 60
_UNITS = "etc/systemd/system"
DROP_IN = f"{_UNITS}/postgresql@.service.d/passwordless-postgres.conf"
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
METADATA_ADDRESSES = {"-4": "169.254.169.254", "-6": "fd00:ec2::254"}
"""Where the instance's credentials are, by option of `ip`."""
# The server, whoever it runs for, has no use for what the instance's role may do.
DROP_IN_TEXT = f"[Service]\nUMask=0077\nIPAddressDeny={' '.join(METADATA_ADDRESSES.values())}\n"
RULES_UNIT = "passwordless-postgres-routing-rules.service"
RULES_TEXT = """\
[Unit]
Description=Keep the server's user from the instance's credentials
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target

[Install]
WantedBy=multi-user.target

[Service]
Type=oneshot
"""
_NOT_DONE = 2  # exit status of `ip` when the kernel refuses


@dataclass(frozen=True, kw_only=True)
class Debian:
    """The platform of EC2 instances."""

    layout: Layout
    commands: Commands = run

    @property
    def user(self) -> ServerUser:
        """The user that the package creates."""
        return ServerUser.named("postgres")

    @property
    def socket_directory(self) -> Path:
        """Debian's own socket directory."""
        return self.layout.root / "run/postgresql"

    def binaries(self, major: int) -> Path:
        """Debian's folder of that major."""
        return self.layout.root / f"usr/lib/postgresql/{major}/bin"

    def install_own(self) -> None:
        """Install node's own packages with apt, at the first run and where one has gone since.

        What interrupted an upgrade is made up for first: unattended-upgrades stops before its own repair.
        """
        apt = Apt(layout=self.layout, commands=self.commands)
        if package_lock.is_interrupted(self.layout.root):
            try:
                apt.finish()
            except FailedError as error:
                print(f"node: {error}", file=sys.stderr)
        have = self.layout.own_packages
        wanted = " ".join(OWN_PACKAGES.values())
        # A package that a loss of power left half installed can be found too.
        if all(map(find_spec, OWN_PACKAGES)) and have.exists() and have.read_text() == wanted:
            return
        apt.install_own()
        importlib.invalidate_caches()
        files.replace_file(have, wanted, 0o600, durable=True)

    def install(self, major: int, minor_floor: int, packages: Sequence[str]) -> None:
        """Install the packages with apt."""
        Apt(layout=self.layout, commands=self.commands).install(major, minor_floor, packages)

    def prepare(self, major: int, volume: str | None, record: FormatRecord) -> None:
        """Mount the volume; give the folders to the package's user, whose id may differ between images."""
        if volume is not None:
            DataVolume(layout=self.layout, commands=self.commands, volume=volume, record=record).mount()
        self._write_units()
        self._keep_from_credentials()
        user = self.user
        data = self.layout.data(major)
        self._give_data_to(user, data)
        user.make_directory(data.parent)
        user.make_directory(self.layout.configuration(major).parent, mode=0o755)

    def _write_units(self) -> None:
        additions = (f"ExecStart=-{' '.join(_addition(rule))}\n" for rule in self._routing_rules())
        texts = {DROP_IN: DROP_IN_TEXT, f"{_UNITS}/{RULES_UNIT}": RULES_TEXT + "".join(additions)}
        written = [name for name, text in texts.items() if self._written(name, text)]
        if written:
            # A server that runs gets the new filter without a restart.
            self.commands("systemctl", "daemon-reload")
        self.commands("systemctl", "enable", RULES_UNIT)

    def _written(self, name: str, text: str) -> bool:
        """Whether a file had to be written to hold this."""
        path = self.layout.root / name
        try:
            if files.read_file(path) == text.encode():
                return False
        except FileNotFoundError:
            files.make_directory(path.parent, 0o755)
        files.replace_file(path, text, 0o644, durable=True)
        return True

    def _routing_rules(self) -> list[tuple[str, str]]:
        """Option of `ip`, and the packets of the server's user that go nowhere."""
        uid = self.user.uid
        return [
            (family, f"to {address} uidrange {uid}-{uid}") for family, address in METADATA_ADDRESSES.items()
        ]

    def _keep_from_credentials(self) -> None:
        """Give the server's user no route to the credentials, whichever unit its processes run in.

        The server's own unit does not hold what node runs as this user, such as the scratch server, nor what
        cron would. After a boot a unit of ours adds the rules before there is a network.
        """
        for rule in self._routing_rules():
            family, packets = rule
            # Where the kernel has no IPv6, nobody reaches that address.
            accept = (0, _NOT_DONE) if family == "-6" else (0,)
            shown = self.commands("ip", family, "rule", "show", accept=accept)
            if shown.returncode == 0 and packets not in shown.stdout:
                self.commands(*_addition(rule))

    def _give_data_to(self, user: ServerUser, data: Path) -> None:
        try:
            before = data.lstat()
        except FileNotFoundError:
            return
        if before.st_uid == user.uid:
            return
        if before.st_uid == 0 or not stat.S_ISDIR(before.st_mode):
            raise FailedError(f"{data} belongs to user {before.st_uid}, and is no data directory of a server")
        files.change_owner(data.parent, before.st_uid, user.owner)

    def listen_addresses(self) -> Sequence[str]:
        """Loopback and the private address of the instance's network interface."""
        return ("localhost", InstanceMetadata().get("local-ipv4").strip())

    def package_work(self) -> str | None:
        """Whoever holds dpkg's frontend lock: an upgrade stops the server, and starts it when it is done."""
        return package_lock.holder(self.layout.root / package_lock.FRONTEND)

    def start(self, major: int) -> None:
        """Start it with systemd, so that the server outlives node and starts at boot.

        The unit ignores a failed start, so the server's own files decide whether it runs.
        """
        package_lock.wait(self.layout.root, (package_lock.FRONTEND,))
        self._keep_from_credentials()
        mark = server_log.mark(self.layout.logs)
        self.commands("systemctl", "daemon-reload")
        server_process.remove_stale_locks(self.layout.data(major), self.socket_directory)
        self.commands("systemctl", "start", self._unit(major))
        deadline = time.monotonic() + START_SECONDS
        while True:
            process = server_process.find(self.layout.data(major))
            if process is not None and process.ready:
                return
            if process is None or time.monotonic() > deadline:
                output = [self._start_log(major), *server_log.messages(self.layout.logs, mark)]
                raise FailedError("\n".join(["PostgreSQL does not start", *output]))
            time.sleep(0.2)

    def stop(self, major: int) -> None:
        """Stop it with systemd."""
        self.commands("systemctl", "stop", self._unit(major))

    def reload(self, major: int) -> None:
        """Reload it with pg_ctlcluster, which also knows servers that systemd did not start."""
        self.commands("pg_ctlcluster", str(major), CLUSTER, "reload")

    def _unit(self, major: int) -> str:
        return f"postgresql@{major}-{CLUSTER}.service"

    def _start_log(self, major: int) -> str:
        log = self.layout.logs / f"postgresql-{major}-{CLUSTER}.log"
        return server_log.start_log(log)[-2000:].strip() or "it left no log"


def _addition(rule: tuple[str, str]) -> tuple[str, ...]:
    family, packets = rule
    return ("ip", family, "rule", "add", "priority", "100", *packets.split(), "prohibit")
