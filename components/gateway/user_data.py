"""User-data of a gateway's machine, for cloud-init. It holds no secret.

A changed byte is a new version of the launch template and replaces every machine. So the text names
the program and the location of the document, never its content.
"""

from __future__ import annotations

from collections.abc import Mapping

from components.cloud_config import cloud_config, encoded, launcher_files
from gateway.machine import MACHINE_FILE, Machine

PROGRAMS = "/opt/passwordless-postgres-gateway"
LAUNCHER_PATH = f"{PROGRAMS}/launcher"
SERVICE = "passwordless-postgres-gateway.service"
LOG_SERVICE = "passwordless-postgres-gateway-log.service"

_INSTANCE_ID = "/var/lib/cloud/data/instance-id"
_LOG_STATE = "passwordless-postgres-gateway-log"

# Only the launcher (`+`) runs as root and writes; the gateway itself runs as a dynamic user, which reads
# its program, writes private temporary files only, and gains no privileges.
_HARDENED = """\
UMask=0077
LimitCORE=0
CapabilityBoundingSet=
AmbientCapabilities=
LockPersonality=yes
MemoryDenyWriteExecute=yes
NoNewPrivileges=yes
PrivateDevices=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
"""

SERVICE_UNIT = f"""\
[Unit]
Description=Validate client certificates and reach PostgreSQL by IAM
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
DynamicUser=yes
Environment=PYTHONPATH={PROGRAMS}/current PYTHONDONTWRITEBYTECODE=1 HOME=/nonexistent
ExecStartPre=+/usr/bin/python3 -I {LAUNCHER_PATH}
ExecStart=/usr/bin/python3 -P -m gateway --machine {MACHINE_FILE}
Restart=always
RestartSec=5
TimeoutStartSec=300
TimeoutStopSec=60
LimitNOFILE=65536
PrivateUsers=yes
ProcSubset=pid
{_HARDENED}
[Install]
WantedBy=multi-user.target
"""


def log_unit(region: str, log_group: str) -> str:
    """The unit that ships the service's log to a log group."""
    return f"""\
[Unit]
Description=Ship the gateway's log to CloudWatch
Wants=network-online.target
After=network-online.target {SERVICE}
StartLimitIntervalSec=0

[Service]
Type=exec
DynamicUser=yes
SupplementaryGroups=systemd-journal
StateDirectory={_LOG_STATE}
Environment=PYTHONPATH={PROGRAMS}/current PYTHONDONTWRITEBYTECODE=1 HOME=/nonexistent
ExecStart=/usr/bin/python3 -P -m gateway.log_shipper --unit {SERVICE} --region {region} \
--log-group {log_group} --stream-file {_INSTANCE_ID} --position %S/{_LOG_STATE}/position
Restart=always
RestartSec=10
{_HARDENED}
[Install]
WantedBy=multi-user.target
"""


def user_data_base64(launcher: Mapping[str, str], machine: Machine, log_group: str) -> str:
    """User-data as a launch template takes it.

    Args:
        launcher: See `artifacts.sources.launcher_sources`.
        machine: Configuration of the machine.
        log_group: Name of the log group for the service's log.

    Raises:
        ValueError: It is larger than EC2 takes.
    """
    files = {**launcher_files(LAUNCHER_PATH, launcher), MACHINE_FILE: machine.to_json()}
    units = {SERVICE: SERVICE_UNIT, LOG_SERVICE: log_unit(machine.region, log_group)}
    return encoded(cloud_config(files, units, list(units)))
