"""Installing the engine with Pulumi's own installer, through the Automation API, with time limits.

The installer waits for ever for a proxy that does not answer. So it runs in a process of its own with limits
for connections of Python and curl, and it is killed when nothing arrives any more.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from engine.progress import Step

CONNECT_SECONDS = 8
# A download without a byte for this long has failed; a slow one continues.
STALLED_SECONDS = 30
POLL_SECONDS = 0.25

PROGRAM = f"""
import socket, sys
socket.setdefaulttimeout({CONNECT_SECONDS})
from pulumi.automation import PulumiCommand
from semver import VersionInfo
PulumiCommand.install(root=sys.argv[1], version=VersionInfo.parse(sys.argv[2]))
"""


class InstallerError(Exception):
    """The installer could not be downloaded or failed; the text says how."""


def _curl_configuration(folder: Path) -> None:
    """Write the user's own curl settings (proxy, certificates) with limits added."""
    home = Path(os.environ.get("CURL_HOME") or os.environ.get("HOME") or "/")
    try:
        own = (home / ".curlrc").read_text()
    except OSError:
        own = ""
    limits = f"connect-timeout = {CONNECT_SECONDS}\nspeed-limit = 1\nspeed-time = {STALLED_SECONDS}\n"
    (folder / ".curlrc").write_text(f"{own.rstrip()}\n{limits}")


def _bytes_below(*folders: Path) -> int:
    return sum(
        entry.lstat().st_size
        for folder in folders
        for entry in folder.rglob("*")
        if entry.is_file() and not entry.is_symlink()
    )


def _watch(process: subprocess.Popen[bytes], folders: tuple[Path, ...], step: Step) -> None:
    """Wait for the installer as long as bytes arrive.

    Raises:
        InstallerError: no byte arrived for too long.
    """
    size, changed = -1, time.monotonic()
    while process.poll() is None:
        try:
            now = _bytes_below(*folders)
        except OSError:
            # The installer moves files in the meantime.
            now = size
        if now != size:
            size, changed = now, time.monotonic()
        limit = STALLED_SECONDS if size > 0 else 2 * CONNECT_SECONDS
        if time.monotonic() - changed > limit:
            raise InstallerError(f"nothing arrived for {limit} s")
        step.detail = "asking the official installer" if size <= 0 else f"downloaded {size >> 20} MiB"
        time.sleep(POLL_SECONDS)


def install(target: Path, version: str, step: Step) -> None:
    """Install the engine's `version` to `target`/bin.

    Raises:
        InstallerError: the installer could not be downloaded or failed.
    """
    with tempfile.TemporaryDirectory(dir=target) as scratch:
        folder = Path(scratch)
        configuration = folder / "configuration"
        downloads = folder / "downloads"
        configuration.mkdir()
        downloads.mkdir()
        _curl_configuration(configuration)
        environment = {
            **os.environ,
            "CURL_HOME": str(configuration),
            "TMPDIR": str(downloads),
            "PULUMI_SKIP_UPDATE_CHECK": "1",
        }
        log = folder / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(target), version],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            _watch(process, (downloads, target / "bin") if (target / "bin").exists() else (downloads,), step)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process.returncode != 0:
            lines = log.read_text(errors="replace").strip().splitlines()
            raise InstallerError(lines[-1] if lines else f"it ended with status {process.returncode}")
