"""Fetches the gateway that the machine's file names. Part of user-data, so it is small.

It runs as root before each start of the service, and does nothing where the program is there already.
"""

import io
import json
import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

from runtime.bootstrap import BootstrapError, read_artifact

MACHINE = Path(os.environ.get("GATEWAY_MACHINE_FILE", "/etc/passwordless-postgres-gateway/machine.json"))
PROGRAMS = Path(os.environ.get("GATEWAY_PROGRAMS", "/opt/passwordless-postgres-gateway"))
UNFINISHED = ".new-"


def unpack(data: bytes, program: Path) -> None:
    """Make the program's folder, whole or not at all: also when the power fails just now."""
    for left in PROGRAMS.glob(f"{UNFINISHED}*"):
        shutil.rmtree(left)
    beside = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=PROGRAMS))
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            packed.extractall(beside)
        beside.chmod(0o755)
        # The folder's final name says that it is whole, so the files must be on the disk before it is.
        os.sync()
        beside.replace(program)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def main() -> int:
    """Have the program that the machine's file names; the exit status for systemd."""
    os.umask(0o022)
    try:
        machine = json.loads(MACHINE.read_text())
        sha256 = machine["artifact"]["sha256"]
        if not (PROGRAMS / sha256).is_dir():
            data = read_artifact(machine["region"], machine["artifact"])
            PROGRAMS.mkdir(parents=True, exist_ok=True)
            unpack(data, PROGRAMS / sha256)
        link = PROGRAMS / f".current-{os.getpid()}"
        link.symlink_to(sha256)
        link.replace(PROGRAMS / "current")
    except (BootstrapError, OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        print(f"launcher: no gateway to run: {type(error).__name__}: {error}", file=sys.stderr)
        return 75
    return 0


if __name__ == "__main__":
    sys.exit(main())
