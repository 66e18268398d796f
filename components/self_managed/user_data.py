"""User-data of a database's instance, for cloud-init. It holds no secret.

A changed byte replaces the instance. So the text names nothing that changes while a server exists.
"""

from __future__ import annotations

from collections.abc import Mapping

from components.cloud_config import cloud_config, encoded, launcher_files
from node.desired_state import Machine

LAUNCHER_PATH = "/opt/passwordless-postgres/launcher"
MACHINE_PATH = "/etc/passwordless-postgres/machine.json"
SERVICE = "passwordless-postgres-node.service"
TIMER = "passwordless-postgres-node.timer"

# Nothing here installs packages: node does it, which can be changed without replacing instances.
SERVICE_UNIT = f"""\
[Unit]
Description=Apply this machine's desired state to PostgreSQL
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
UMask=0077
ExecStart=/usr/bin/python3 -I {LAUNCHER_PATH}
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


def user_data_base64(launcher: Mapping[str, str], machine: Machine) -> str:
    """User-data as EC2 takes it.

    Args:
        launcher: See `artifacts.sources.launcher_sources`.
        machine: Where the machine finds its desired state.

    Raises:
        ValueError: It is larger than EC2 takes.
    """
    files = {**launcher_files(LAUNCHER_PATH, launcher), MACHINE_PATH: machine.to_json()}
    return encoded(cloud_config(files, {SERVICE: SERVICE_UNIT, TIMER: TIMER_UNIT}, [TIMER]))
