"""User-data for cloud-init: files and units of a machine, and the container that EC2 takes them in.

The gzip container is written with stored blocks: zlib and its replacements compress differently, and whoever
deployed from another distribution would replace every machine.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Mapping, Sequence

from settings.quotas import USER_DATA

_UNITS = "/etc/systemd/system"
_GZIP_HEADER = bytes((0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255))  # RFC 1952: no time, unknown system
_MAX_STORED = 0xFFFF


def cloud_config(files: Mapping[str, str], units: Mapping[str, str], enabled: Sequence[str]) -> str:
    """The cloud-config that writes files and units, and starts those units that are `enabled`.

    cloud-init does most things once, also if the power fails in the middle of them. Its `bootcmd` runs at
    every boot: whatever an interrupted first boot left undone, the next one does.
    https://cloudinit.readthedocs.io/en/latest/reference/modules.html#bootcmd

    The document after the first line is JSON, which is YAML without its quoting rules.
    """
    texts = {**files, **{f"{_UNITS}/{name}": text for name, text in units.items()}}
    start = [["systemctl", "daemon-reload"], ["systemctl", "enable", "--now", "--no-block", *enabled]]
    return "#cloud-config\n" + json.dumps(
        {
            "write_files": [
                {"path": path, "permissions": "0644", "content": text} for path, text in texts.items()
            ],
            "bootcmd": [
                ["cloud-init", "single", "--name", "write_files", "--frequency", "always"],
                ["sync"],
                *start,
            ],
            "runcmd": start,
        },
        separators=(",", ":"),
    )


def launcher_files(folder: str, launcher: Mapping[str, str]) -> dict[str, str]:
    """The launcher's texts by their paths on the machine."""
    return {f"{folder}/{name}": text for name, text in launcher.items()}


def gzip_stored(data: bytes) -> bytes:
    """`data` in a gzip container with stored blocks: the same bytes wherever it is made."""
    starts = range(0, len(data), _MAX_STORED) or (0,)
    blocks = []
    for start in starts:
        block = data[start : start + _MAX_STORED]
        final = start + _MAX_STORED >= len(data)
        blocks.append(struct.pack("<BHH", final, len(block), len(block) ^ 0xFFFF) + block)
    return _GZIP_HEADER + b"".join(blocks) + struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)


def encoded(cloud_config: str) -> str:
    """The text as EC2 takes it.

    Raises:
        ValueError: It is larger than EC2 takes.
    """
    data = gzip_stored(cloud_config.encode())
    if excess := USER_DATA.excess(len(data)):
        raise ValueError(f"makes {excess}; make the launcher smaller")
    return base64.b64encode(data).decode()
