"""User-data of a database's instance, for cloud-init. It holds no secret.

A changed byte replaces the instance. So the text names nothing that changes while a server exists, and
the gzip container is written with stored blocks: zlib and its replacements compress differently, and
whoever deployed from another distribution would replace the database's instance.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib

from node.desired_state import Machine
from settings.quotas import USER_DATA

LAUNCHER_PATH = "/opt/passwordless-postgres/launcher.py"
MACHINE_PATH = "/etc/passwordless-postgres/machine.json"
SERVICE = "passwordless-postgres-node.service"
TIMER = "passwordless-postgres-node.timer"
PACKAGES = ("python3-boto3", "python3-pydantic", "python3-cryptography", "ca-certificates")

_UNITS = "/etc/systemd/system"
_GZIP_HEADER = bytes((0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255))  # RFC 1952: no time, unknown system
_MAX_STORED = 0xFFFF

# cloud-init installs packages once; if Debian's archive cannot be reached in that minute, the unit does it.
SERVICE_UNIT = f"""\
[Unit]
Description=Apply this machine's desired state to PostgreSQL
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
UMask=0077
Environment=DEBIAN_FRONTEND=noninteractive
ExecStartPre=/bin/sh -c 'test -e /usr/lib/python3/dist-packages/boto3/__init__.py && \
test -e /usr/lib/python3/dist-packages/pydantic/__init__.py && \
test -e /usr/lib/python3/dist-packages/cryptography/__init__.py || \
{{ apt-get update && apt-get install --yes --no-install-recommends {" ".join(PACKAGES)}; }}'
ExecStart=/usr/bin/python3 {LAUNCHER_PATH}
TimeoutStartSec=1800
"""

TIMER_UNIT = """\
[Unit]
Description=Look for a new desired state

[Timer]
OnBootSec=5s
OnUnitInactiveSec=10s
AccuracySec=1s

[Install]
WantedBy=timers.target
"""


def cloud_config(launcher: str, machine: Machine) -> str:
    """The cloud-config that installs the launcher and starts its timer.

    The document after the first line is JSON, which is YAML without its quoting rules.

    Args:
        launcher: Text of `node/launcher.py`.
        machine: Where the machine finds its desired state.
    """
    return "#cloud-config\n" + json.dumps(
        {
            "write_files": [
                {"path": LAUNCHER_PATH, "permissions": "0644", "content": launcher},
                {"path": MACHINE_PATH, "permissions": "0644", "content": machine.to_json()},
                {"path": f"{_UNITS}/{SERVICE}", "permissions": "0644", "content": SERVICE_UNIT},
                {"path": f"{_UNITS}/{TIMER}", "permissions": "0644", "content": TIMER_UNIT},
            ],
            "package_update": True,
            "packages": list(PACKAGES),
            "runcmd": [["systemctl", "daemon-reload"], ["systemctl", "enable", "--now", TIMER]],
        },
        separators=(",", ":"),
    )


def gzip_stored(data: bytes) -> bytes:
    """`data` in a gzip container with stored blocks: the same bytes wherever it is made."""
    starts = range(0, len(data), _MAX_STORED) or (0,)
    blocks = []
    for start in starts:
        block = data[start : start + _MAX_STORED]
        final = start + _MAX_STORED >= len(data)
        blocks.append(struct.pack("<BHH", final, len(block), len(block) ^ 0xFFFF) + block)
    return _GZIP_HEADER + b"".join(blocks) + struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)


def user_data_base64(launcher: str, machine: Machine) -> str:
    """User-data as EC2 takes it.

    Raises:
        ValueError: It is larger than EC2 takes.
    """
    return encoded(cloud_config(launcher, machine))


def encoded(cloud_config: str) -> str:
    """The text as EC2 takes it.

    Raises:
        ValueError: It is larger than EC2 takes.
    """
    data = gzip_stored(cloud_config.encode())
    if excess := USER_DATA.excess(len(data)):
        raise ValueError(f"makes {excess}; make the launcher smaller")
    return base64.b64encode(data).decode()
