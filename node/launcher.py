"""Starts the node that the desired state names. Part of user-data, so it is small and never changes.

An installed node is run first: it starts the server on its last good configuration without the network.
Only if there is none, if it asks for another one (status 66) or if it breaks, the node that the newest
manifest names is fetched, verified and run. What node needs of Debian's packages it installs itself.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from runtime.bootstrap import BootstrapError, digest, read_artifact, read_object

ROOT = Path(os.environ.get("PASSWORDLESS_POSTGRES_ROOT", "/"))
MACHINE = ROOT / "etc/passwordless-postgres/machine.json"
NODES = ROOT / "opt/passwordless-postgres/node"
MANIFEST = "manifest.json"
ANSWERS = {0: "done", 65: "desired state refused", 75: "failed, the next run tries again"}
OTHER_NODE = 66


def installed() -> str | None:
    """SHA-256 of the node installed last, None if there is none or its file is damaged."""
    try:
        sha256 = (NODES / "installed").read_text().strip()
        return sha256 if digest((NODES / f"{sha256}.zip").read_bytes()) == sha256 else None
    except FileNotFoundError:
        return None


def replace(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def install() -> str:
    """Have the node that the newest manifest names; its SHA-256."""
    machine = json.loads(MACHINE.read_text())
    region, bucket = machine["region"], machine["bucket"]
    wanted = json.loads(read_object(region, bucket, MANIFEST))["node"]
    if wanted["sha256"] != installed():
        replace(NODES / f"{wanted['sha256']}.zip", read_artifact(region, {**wanted, "bucket": bucket}))
        replace(NODES / "installed", wanted["sha256"].encode())
    return wanted["sha256"]


def run(sha256: str) -> int:
    """Run an installed node; its exit status."""
    node = NODES / f"{sha256}.zip"
    return subprocess.run([sys.executable, "-I", str(node), "apply"], check=False).returncode


def main() -> int:
    """Run the node, installing it where needed; the exit status for the timer's journal."""
    os.umask(0o077)
    present = installed()
    status = run(present) if present else OTHER_NODE
    if status in ANSWERS:
        return status
    try:
        wanted = install()
    except (BootstrapError, OSError, KeyError, TypeError, ValueError) as error:
        print(f"launcher: no node to run: {type(error).__name__}: {error}", file=sys.stderr)
        return 75
    return status if wanted == present else run(wanted)


if __name__ == "__main__":
    sys.exit(main())
