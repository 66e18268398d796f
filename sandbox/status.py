"""`status`: what runs, and what each machine last reported about its desired state."""

from __future__ import annotations

import contextlib
import itertools
import json
from pathlib import Path
from typing import Any

import boto3
import psutil
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from components.gateway.reports import served
from components.report_wait import UnreadableError, read_report
from emulator.endpoint.credentials import ACCOUNT
from engine import processes
from engine.processes import Identity
from engine.session import checkpoint
from node.desired_state import Report, drift_lines
from sandbox import resident
from sandbox.deployment import STACK
from sandbox.serve import Addresses
from sandbox.state import State

REPORT_TYPE = ":NodeReport"
FIELDS = ("outcome", "message", "serial", "appliedSerial", "instance", "serverVersion", "time", "drift")


def status(state: State) -> dict[str, Any]:
    """The status as a document with camelCase keys; `running` tells whether the sandbox answers."""
    addresses = resident.running(state)
    objects = _client("s3", state, addresses) if addresses else None
    deployed = checkpoint(state.root, STACK)
    gateways = [each["outputs"] for each in deployed.resources_of_type(":GatewayReports")]
    return {
        "schemaVersion": 1,
        "running": addresses is not None,
        "state": str(state.root),
        "awsEndpoint": addresses.aws_endpoint if addresses else None,
        "deployment": _read(state.deployment),
        "databases": _databases(state),
        "machines": [
            _machine(resource["outputs"], objects) for resource in deployed.resources_of_type(REPORT_TYPE)
        ],
        "instances": _instances(state, addresses),
        "loadBalancers": _load_balancers(state),
        "groups": _groups(state, objects, {each["group"]: each for each in gateways}),
        "processes": [
            {"pid": identity.pid, "program": label(identity)} for identity in processes.find(state.root)
        ],
    }


def label(identity: Identity) -> str:
    """What a process runs, for people: `postgres`, `python launcher.py`, `python -m sandbox`."""
    try:
        arguments = psutil.Process(identity.pid).cmdline()
    except psutil.Error:
        arguments = []
    if not arguments:
        return "unknown"
    program = Path(arguments[0]).name
    if not program.startswith("python"):
        return program
    # Interpreter options come first, then a script or a module.
    rest = list(
        itertools.dropwhile(lambda argument: argument.startswith("-") and argument != "-m", arguments[1:])
    )
    return " ".join(["python", *(Path(argument).name for argument in rest[: 2 if rest[:1] == ["-m"] else 1])])


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _read_all(folder: Path, pattern: str) -> list[dict[str, Any]]:
    """What can be read of the files that match, by their names."""
    return [found for file in sorted(folder.glob(pattern)) if (found := _read(file)) is not None]


def _databases(state: State) -> list[dict[str, Any]]:
    document = _read(state.connections) or {}
    return [
        {"name": name, "host": database["host"], "port": database["port"], "roles": list(database["roles"])}
        for name, database in document.get("databases", {}).items()
    ]


def _machine(outputs: dict[str, Any], objects: Any) -> dict[str, Any]:
    """The machine's current report if it can be read, else the one of the last deployment."""
    report = None
    with contextlib.suppress(KeyError, UnreadableError):
        report = objects and read_report(objects, Report, outputs["bucket"], outputs["key"], ACCOUNT)
    source = report.model_dump(mode="json", by_alias=True) if report else outputs
    return {"server": outputs.get("server"), **{name: source.get(name) for name in FIELDS}}


def _instances(state: State, addresses: Addresses | None) -> list[dict[str, Any]]:
    """The RDS instances as the emulated AWS describes them; none while the sandbox does not run."""
    found = []
    if addresses is not None:
        with contextlib.suppress(BotoCoreError, ClientError):
            found = _client("rds", state, addresses).describe_db_instances()["DBInstances"]
    return [
        {
            "identifier": instance["DBInstanceIdentifier"],
            "status": instance["DBInstanceStatus"],
            "version": instance["EngineVersion"],
            "port": instance["Endpoint"]["Port"],
            "parameterGroup": instance["DBParameterGroups"][0]["DBParameterGroupName"],
            "parameterApplyStatus": instance["DBParameterGroups"][0]["ParameterApplyStatus"],
        }
        for instance in found
    ]


def _load_balancers(state: State) -> list[dict[str, Any]]:
    """The load balancers' listeners."""
    return [
        {"arn": listener["arn"], "port": listener["port"], "mode": listener["mutualAuthentication"]["mode"]}
        for listener in _read_all(state.load_balancing, "listeners/*.json")
    ]


def _groups(state: State, objects: Any, gateways: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The auto scaling groups with their instances."""
    groups = state.auto_scaling / "groups"
    return [
        {
            "name": group["name"],
            "desired": group["desired"],
            "instances": [
                _group_instance(each, objects, gateways.get(group["name"]))
                for each in _read_all(groups / group["name"], "instances/*/instance.json")
            ],
        }
        for group in _read_all(groups, "*/group.json")
    ]


def _group_instance(document: dict[str, Any], objects: Any, gateway: dict[str, Any] | None) -> dict[str, Any]:
    kept = document["process"]
    process = Identity(pid=kept["pid"], started=kept["started"]) if kept else None
    return {
        "instance": document["instanceId"],
        "lifecycle": document["lifecycle"],
        "templateVersion": document["template"]["version"],
        "port": document["port"],
        "pid": process.pid if process is not None and process.is_alive else None,
        "document": objects and gateway and served(gateway, document["instanceId"], objects),
    }


def _client(service: str, state: State, addresses: Addresses) -> Any:
    aws = resident.operator_environment(state, addresses)
    return boto3.client(
        service,  # pyright: ignore[reportArgumentType, reportCallIssue]
        endpoint_url=addresses.aws_endpoint,
        region_name=aws["AWS_REGION"],
        aws_access_key_id=aws["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=aws["AWS_SECRET_ACCESS_KEY"],
        config=Config(proxies={}, retries={"total_max_attempts": 1}),
    )


def as_text(document: dict[str, Any]) -> str:
    """The status as text for people."""
    lines = [
        f"sandbox      {'running' if document['running'] else 'not running'}, state in {document['state']}"
    ]
    if document["awsEndpoint"]:
        lines.append(f"aws          {document['awsEndpoint']}")
    last = document["deployment"]
    if last:
        first_line = last["summary"].splitlines()[0]
        lines.append(f"deployment   {last['outcome']} at {last['time']}: {first_line}")
    for database in document["databases"]:
        roles = ", ".join(database["roles"])
        lines.append(
            f"database     {database['name']} on {database['host']}:{database['port']}, roles {roles}"
        )
    for machine in document["machines"]:
        lines += [
            f"machine      {machine['instance']}, server {machine['server']}",
            f"  PostgreSQL {machine['serverVersion'] or 'unknown'}",
            f"  report     {machine['outcome']}, serial {machine['serial']}: {machine['message']}",
            *(f"  drift      {line}" for line in drift_lines(machine["drift"])),
        ]
    for instance in document["instances"]:
        lines += [
            f"rds          {instance['identifier']} on port {instance['port']}, {instance['status']}",
            f"  PostgreSQL {instance['version']}",
            f"  parameters {instance['parameterGroup']}, {instance['parameterApplyStatus']}",
        ]
    for listener in document["loadBalancers"]:
        lines.append(f"listener     port {listener['port']}, mutual TLS {listener['mode']}")
    for group in document["groups"]:
        lines.append(f"group        {group['name']}, {group['desired']} desired")
        for instance in group["instances"]:
            runs = f"process {instance['pid']}" if instance["pid"] else "nothing runs"
            lines.append(
                f"  {instance['instance']} version {instance['templateVersion']} on port {instance['port']}, "
                + ", ".join(filter(None, (instance["lifecycle"], runs, instance["document"])))
            )
    for process in document["processes"]:
        lines.append(f"process      {process['pid']} {process['program']}")
    return "\n".join(lines)
