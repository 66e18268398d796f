"""Power that is lost at random moments of a first boot and of a package upgrade.

After each loss the machine boots and comes back by itself. What it loses is what its kernel had not written
to its disks: qemu's reset keeps what reached them, in the order in which it did. A disk that loses or
reorders what it has taken is not tried.

The moments follow from a fixed seed. What became of each loss is kept in the cache, under its seed and for
the machine's code, so that a run that was broken off goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from collections.abc import Iterator

import pytest

from artifacts.node import node_artifact
from artifacts.sources import PROJECT
from runtime.files import replace_file
from tests.debian import image as images
from tests.debian.debian_sandbox import DebianSandbox, debian_sandbox
from tests.debian.image import Image
from tests.debian.machine import Machine, is_emulated
from tests.debian.test_walk import NODE, await_that, newer, serves

pytestmark = [pytest.mark.debian, pytest.mark.power]

SEED = 13
LOSSES = int(os.environ.get("PASSWORDLESS_POSTGRES_POWER_LOSSES", "20"))
# How long it takes where the processor is not emulated, and how much longer where it is.
_APPLIED_SECONDS = 300.0
_UPGRADE_SECONDS = 12.0
_SLOWER = 8.0
# So long the kernel may keep what was written: vm.dirty_expire_centisecs, and the pause of its writer.
_WRITEBACK_SECONDS = 35.0
_APPLIED = f"""
cd /var/lib/passwordless-postgres
python3 -c 'import json; assert json.load(open("report.json"))["outcome"] == "applied"'
cmp report.json report.delivered.json
systemctl is-enabled {NODE}.timer var-lib-postgresql.mount
"""


def code_of_a_machine() -> str:
    """SHA-256 of what runs on the machine and of what makes its first boot."""
    digest = hashlib.sha256(node_artifact().content)
    for source in ("components/cloud_config.py", "components/self_managed/user_data.py"):
        digest.update((PROJECT / source).read_bytes())
    return digest.hexdigest()


def nominal(seconds: float) -> float:
    """How long that takes here."""
    return seconds * _SLOWER if is_emulated() else seconds


class Alone:
    """A database's machine that tests cut off, and how long its first boot took undisturbed."""

    def __init__(self, sandbox: DebianSandbox) -> None:
        self.sandbox = sandbox
        began = time.monotonic()
        sandbox.deployed()
        self._took = time.monotonic() - began

    def lose_power_in_the_first_boot(self, chance: random.Random) -> str:
        """Boot a new root disk with a new volume and cut it off; tells when that was."""
        machine = self.sandbox.database_machine
        self.sandbox.boot_anew(machine)
        moment = chance.uniform(0.0, self._took)
        time.sleep(moment)
        machine.reset()
        self._comes_back(machine)
        return f"{moment:.0f} s after the start of a first boot that takes {self._took:.0f} s"

    def lose_power_after_cloud_init_has_written(self, chance: random.Random) -> str:
        """Cut a first boot off while the kernel still holds what cloud-init wrote; tells when that was."""
        machine = self.sandbox.database_machine
        self.sandbox.boot_anew(machine)
        machine.await_success(
            "test -e /etc/passwordless-postgres/machine.json", seconds=nominal(_APPLIED_SECONDS)
        )
        moment = chance.uniform(0.0, _WRITEBACK_SECONDS)
        time.sleep(moment)
        machine.reset()
        self._comes_back(machine)
        return f"{moment:.1f} s after cloud-init wrote its files"

    def lose_power_in_an_upgrade(self, chance: random.Random) -> str:
        """Upgrade PostgreSQL and cut it off; the upgrade of the next day ends it. Tells when it was."""
        machine = self.sandbox.database_machine
        machine.run(newer(time.time_ns(), seconds=1), seconds=nominal(_APPLIED_SECONDS))
        upgrade = "unattended-upgrade"
        machine.run(f"systemctl reset-failed; systemd-run --unit {upgrade} {upgrade}")
        moment = chance.uniform(0.0, nominal(_UPGRADE_SECONDS))
        time.sleep(moment)
        at_work = machine.run("pgrep --list-full dpkg | tail --lines 1 | cut --characters -100 || true")
        machine.reset()
        self._comes_back(machine)
        machine.await_success(
            upgrade, "dpkg --audit", 'test -z "$(dpkg --audit)"', seconds=nominal(_APPLIED_SECONDS)
        )
        self._comes_back(machine)
        return f"{moment:.1f} s after the start of an upgrade, at work: {at_work.strip() or 'no dpkg'}"

    def _comes_back(self, machine: Machine) -> None:
        """It applies its desired state and reports that, and serves; nobody does anything to it."""
        machine.await_success(_APPLIED, seconds=nominal(_APPLIED_SECONDS))
        await_that(lambda: serves(self.sandbox), "a server that serves", nominal(_APPLIED_SECONDS))


@pytest.fixture(scope="session")
def alone(image: Image) -> Iterator[Alone]:
    """A deployed database."""
    with debian_sandbox(image, "selfManaged") as sandbox:
        yield Alone(sandbox)


@pytest.mark.parametrize("number", range(LOSSES))
def test_a_machine_comes_back_from_a_loss_of_power(number: int, request: pytest.FixtureRequest) -> None:
    kept = images.cache_folder() / "power" / code_of_a_machine()[:16] / f"{SEED}-{number}.json"
    if kept.exists():
        print(f"kept: {json.loads(kept.read_text())['what']}")
        return
    alone: Alone = request.getfixturevalue("alone")
    chance = random.Random(f"{SEED}-{number}")  # noqa: S311 - no secret
    began = time.monotonic()
    kinds = (
        alone.lose_power_in_the_first_boot,
        alone.lose_power_in_an_upgrade,
        alone.lose_power_after_cloud_init_has_written,
    )
    lose = kinds[number % len(kinds)]
    what = f"{number}: {lose(chance)}; back after {time.monotonic() - began:.0f} s in all"
    kept.parent.mkdir(parents=True, exist_ok=True)
    replace_file(kept, json.dumps({"what": what}))
    print(what)
