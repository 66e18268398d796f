"""The instance metadata service at its own address: the sandbox's, and what cloud-init asks besides."""

from __future__ import annotations

import base64
import http.client
import re
import urllib.parse
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.debian.instance import Instance
from tests.debian.outages import Outages

_SECONDS = 20.0


class MetadataRequest(BaseHTTPRequestHandler):
    """One request to 169.254.169.254.

    Attributes:
        instance: Reads what there is to know of the instance at the moment.
    """

    protocol_version = "HTTP/1.1"
    instance: Callable[[], Instance]
    outages: Outages

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the name of the base class
        """Writes nothing."""

    def do_PUT(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if "imds" in self.outages:
            self.close_connection = True
            return
        instance = self.instance()
        path = re.sub(r"^/(latest|\d{4}-\d\d-\d\d)/", "latest/", self.path)
        if path == "/":
            self._answer(HTTPStatus.OK, b"2021-03-23\nlatest")
            return
        sandbox = urllib.parse.urlsplit(instance.metadata)
        connection = http.client.HTTPConnection(str(sandbox.hostname), sandbox.port, timeout=_SECONDS)
        headers = {name: value for name, value in self.headers.items() if name.lower().startswith("x-")}
        connection.request(self.command, f"{sandbox.path}/{path}", headers=headers)
        answer = connection.getresponse()
        status, body = answer.status, answer.read()
        connection.close()
        if status == HTTPStatus.NOT_FOUND:
            status, body = _more(instance, path)
        self._answer(status, body)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _more(instance: Instance, path: str) -> tuple[int, bytes]:
    """What the sandbox does not know, in the form of folders that list what is in them."""
    if path == "latest/user-data":
        return HTTPStatus.OK, base64.b64decode(instance.user_data)
    found: Any = {
        "latest": {
            "meta-data": _tree(instance),
            "dynamic": {"instance-identity": {"document": ""}},
            "user-data": "",
        }
    }
    for part in filter(None, path.split("/")):
        found = found.get(part) if isinstance(found, dict) else None
    if found is None:
        return HTTPStatus.NOT_FOUND, b"Not Found"
    if isinstance(found, dict):
        found = "\n".join(name + "/" * isinstance(below, dict) for name, below in found.items())
    return HTTPStatus.OK, str(found).encode()


def _tree(instance: Instance) -> dict[str, Any]:
    """Instance metadata categories of the EC2 User Guide, as far as cloud-init reads them."""
    facts = instance.facts
    name = f"ip-{facts.private_ip.replace('.', '-')}.{facts.region}.compute.internal"
    network = facts.private_ip.rsplit(".", 2)[0] + ".0.0/16"
    interface = {
        "device-number": "0",
        "interface-id": "eni-0123456789abcdef0",
        "local-hostname": name,
        "local-ipv4s": facts.private_ip,
        "mac": instance.mac,
        "owner-id": "123456789012",
        "security-group-ids": "sg-0123456789abcdef0",
        "security-groups": "default",
        "subnet-id": "subnet-0123456789abcdef0",
        "subnet-ipv4-cidr-block": str(instance.subnet),
        "vpc-id": facts.vpc_id or "vpc-0123456789abcdef0",
        "vpc-ipv4-cidr-block": network,
        "vpc-ipv4-cidr-blocks": network,
    }
    return {
        "ami-id": facts.image_id,
        "ami-launch-index": "0",
        "ami-manifest-path": "(unknown)",
        "block-device-mapping": {"ami": "/dev/xvda", "root": "/dev/xvda"},
        "hostname": name,
        "iam": {"security-credentials": {}},
        "instance-action": "none",
        "instance-id": facts.instance_id,
        "instance-life-cycle": "on-demand",
        "instance-type": facts.instance_type,
        "local-hostname": name,
        "local-ipv4": facts.private_ip,
        "mac": instance.mac,
        "network": {"interfaces": {"macs": {instance.mac: interface}}},
        "placement": {"availability-zone": facts.availability_zone, "region": facts.region},
        "profile": "default-hvm",
        "reservation-id": "r-0123456789abcdef0",
        "security-groups": "default",
        "services": {"domain": "amazonaws.com", "partition": "aws"},
        "system": "nitro",
    }
