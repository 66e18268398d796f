"""What tests on Debian itself need; whoever asks for them is told what is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.behaviour.conftest import SECTIONS
from tests.debian import image as images
from tests.debian.debian_sandbox import DebianSandbox, debian_sandbox
from tests.debian.image import Image

# The package that has it, by program.
PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "mke2fs": "e2fsprogs",
    "ip": "iproute2",
    "nsenter": "util-linux",
}


@pytest.fixture(scope="session")
def image() -> Image:
    """The disk that virtual machines are made of."""
    if os.geteuid() != 0:
        pytest.fail(
            "root is needed, to make an image of Debian and network namespaces: sudo make test-debian"
        )
    missing = {package for program, package in PROGRAMS.items() if shutil.which(program) is None}
    if missing:
        pytest.fail(f"programs are missing: apt-get install {' '.join(sorted(missing))}")
    try:
        return images.ensure()
    except (LookupError, subprocess.CalledProcessError) as error:
        pytest.fail(f"there is no image of Debian: {error}; what the program printed says why")


@pytest.fixture(scope="session")
def deployed(image: Image) -> Iterator[DebianSandbox]:
    """Database and gateway on virtual machines; tests that change it change it back."""
    with debian_sandbox(image, *SECTIONS) as sandbox:
        sandbox.deployed()
        # Debian's daily upgrade comes at a random time, and node waits for it.
        sandbox.database_machine.run("systemctl mask --now apt-daily.timer apt-daily-upgrade.timer")
        sandbox.database_machine.await_success(
            "! systemctl is-active --quiet apt-daily apt-daily-upgrade", seconds=1800
        )
        yield sandbox
