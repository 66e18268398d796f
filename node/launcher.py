"""Starts the node that the desired state names. Part of user-data, so it is small and never changes.

An installed node is run first: alone it costs no SDK import and needs no network, and it starts the
server on its last good configuration. Only if there is none, if it asks for another one (status 66)
or if it breaks, the node named by the desired state is fetched, verified and run.
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(os.environ.get("PASSWORDLESS_POSTGRES_ROOT", "/"))
MACHINE = ROOT / "etc/passwordless-postgres/machine.json"
NODES = ROOT / "opt/passwordless-postgres/node"
ANSWERS = {0: "done", 65: "desired state refused", 75: "failed, the next run tries again"}
OTHER_NODE = 66


class BootstrapError(Exception):
    """No node can be had; the text says why."""


def digest(data: bytes) -> str:
    """SHA-256 as hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


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
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def install() -> str:
    """Fetch the node that the desired state names; its SHA-256."""
    # Takes a second of CPU, and most runs do not need it.
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    machine = json.loads(MACHINE.read_text())
    limits = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard"})
    session = boto3.Session(region_name=machine["region"])

    def fetch(wanted: dict) -> bytes:
        answer = s3.get_object(Bucket=machine["bucket"], Key=wanted["key"], VersionId=wanted["version"])
        data = answer["Body"].read()
        if digest(data) != wanted["sha256"]:
            raise BootstrapError(f"{wanted['key']} has SHA-256 {digest(data)}, not {wanted['sha256']}")
        return data

    try:
        parameter = session.client("ssm", config=limits).get_parameter(Name=machine["pointer"])
        s3 = session.client("s3", config=limits)
        pointer = json.loads(parameter["Parameter"].get("Value", ""))
        wanted = json.loads(fetch(pointer["manifest"]))["node"]
        sha256 = wanted["sha256"]
        if sha256 != installed():
            replace(NODES / f"{sha256}.zip", fetch(wanted))
            replace(NODES / "installed", sha256.encode())
    except (BotoCoreError, ClientError, KeyError, ValueError) as error:
        raise BootstrapError(f"{type(error).__name__}: {error}") from error
    return sha256


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
    except (BootstrapError, OSError) as error:
        print(f"launcher: no node to run: {error}", file=sys.stderr)
        return 75
    return status if wanted == present else run(wanted)


if __name__ == "__main__":
    sys.exit(main())
