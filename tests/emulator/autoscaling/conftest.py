"""Groups on a running endpoint, with an artifact that stands for the gateway."""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import json
import ssl
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from documents.document import ObjectAddress, ObjectPointer
from emulator.acm.service import Certificates
from emulator.autoscaling import api
from emulator.autoscaling.model import Group, LaunchTemplate, Subnet
from emulator.autoscaling.running_group import RunningGroup
from emulator.autoscaling.service import Groups
from emulator.elb.service import LoadBalancers
from emulator.endpoint.aws_endpoint import AwsEndpoint
from emulator.postgresql_server.server_user import server_user
from gateway.machine import MACHINE_FILE, Machine

BUCKET = "artifacts"
PROFILE = "gateway"
SECONDS = 30.0

# Serves what it was told and made of, so that tests can ask it.
PROGRAM = """
import argparse, http.server, json, os, pathlib, signal, ssl, sys
asked = argparse.ArgumentParser()
for name in ("machine", "port", "metrics-port", "address"):
    asked.add_argument("--" + name)
given = asked.parse_args()
if VERSION == "broken":
    sys.exit("this artifact is broken")
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        told = {"version": VERSION, "environment": dict(os.environ), "path": sys.path, "uid": os.getuid(),
                "machine": json.loads(pathlib.Path(given.machine).read_text()), "pid": os.getpid(),
                "headers": list(self.headers.items())}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

server = http.server.ThreadingHTTPServer((given.address, int(given.port)), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(pathlib.Path(__file__).with_name("identity.pem"))
server.socket = context.wrap_socket(server.socket, server_side=True)
print("serving", flush=True)
server.serve_forever()
"""


def artifact(folder: Path, version: str) -> bytes:
    """A zip that is no gateway and answers like one."""
    certificates = Certificates(folder)
    certificates.request("target", ["target"], "EC_prime256v1")
    issued = certificates.issue("target")
    identity = issued.private_key_pem + issued.chain_pem
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as files:
        files.writestr("gateway/__init__.py", "")
        files.writestr("gateway/__main__.py", f"VERSION = {version!r}\n{PROGRAM}")
        files.writestr("gateway/identity.pem", identity)
    return content.getvalue()


def machine_of(bucket: str, version: str, content: bytes, sha256: str = "") -> Machine:
    """What an instance is told; the artifact's own SHA-256 unless another one is given."""
    return Machine(
        region="eu-central-1",
        account="123456789012",
        gateway="/gateway",
        document=ObjectAddress(bucket=bucket, key="gateway.json"),
        reports=ObjectAddress(bucket=bucket, key="reports/"),
        artifact=ObjectPointer(
            bucket=bucket,
            key="gateway.zip",
            version=version,
            sha256=sha256 or hashlib.sha256(content).hexdigest(),
        ),
        port=8443,
        metrics_port=9464,
    )


def user_data(machine: Machine) -> str:
    """What a launch template holds."""
    document = {"write_files": [{"path": MACHINE_FILE, "permissions": "0640", "content": machine.to_json()}]}
    return base64.b64encode(f"#cloud-config\n{yaml.safe_dump(document)}".encode()).decode()


def get(port: int, path: str = "/") -> dict[str, Any]:
    """What an instance, or a load balancer without mutual TLS, answers."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection("localhost", port, timeout=10, context=context)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 200, answer.status
        return json.loads(answer.read())
    finally:
        connection.close()


class Scaling:
    """What the tests act on."""

    def __init__(self, folder: Path, endpoint: AwsEndpoint) -> None:
        self.folder, self.endpoint = folder, endpoint
        folder.chmod(0o711)
        self.s3, self.iam = endpoint.client("s3"), endpoint.client("iam")
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        self.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        self.iam.create_role(RoleName=PROFILE, AssumeRolePolicyDocument=document)
        self.iam.create_instance_profile(InstanceProfileName=PROFILE)
        self.iam.add_role_to_instance_profile(InstanceProfileName=PROFILE, RoleName=PROFILE)
        self.allow("s3:GetObjectVersion")
        self.open()

    def open(self) -> None:
        self.balancers = LoadBalancers(self.folder, Certificates(self.folder))
        self.balancers.start()
        self.groups = Groups(self.folder, self.endpoint, self.balancers, server_user())
        self.groups.start()
        self.endpoint.serve(api.SERVICE, partial(api.answer, self.groups))

    def allow(self, *actions: str) -> None:
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": f"arn:aws:s3:::{BUCKET}/*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.iam.put_role_policy(RoleName=PROFILE, PolicyName="own", PolicyDocument=document)

    def template(self, version: int = 1, *, content: bytes | None = None, sha256: str = "") -> LaunchTemplate:
        content = content if content is not None else artifact(self.folder, f"v{version}")
        put = self.s3.put_object(Bucket=BUCKET, Key="gateway.zip", Body=content)
        machine = machine_of(BUCKET, put["VersionId"], content, sha256)
        return LaunchTemplate(
            template_id="lt-0123456789abcdef0",
            version=version,
            image_id="ami-0123456789abcdef0",
            instance_type="t4g.small",
            architecture="arm64",
            instance_profile=PROFILE,
            user_data=user_data(machine),
        )

    def group(self, template: LaunchTemplate, **more: Any) -> Group:
        values: dict[str, Any] = {
            "name": "gateways",
            "region": "eu-central-1",
            "desired": 1,
            "subnets": [
                Subnet(
                    subnet_id=f"subnet-{zone}",
                    vpc_id="vpc-1",
                    cidr_block=f"10.0.{number}.0/24",
                    availability_zone=f"eu-central-1{zone}",
                )
                for number, zone in enumerate("ab")
            ],
            "template": template,
            "refreshes": True,
        }
        return Group(**{**values, **more})

    @property
    def running(self) -> RunningGroup:
        return self.groups.named("gateways")

    def steady(self) -> None:
        assert self.running.steady_within(SECONDS), self.running.last_lines(20)

    def ask(self) -> list[dict[str, Any]]:
        return [get(instance.instance.port) for instance in self.running.instances]


@pytest.fixture
def scaling(tmp_path: Path) -> Iterator[Scaling]:
    """Auto scaling on a running endpoint; everything that it started is ended afterwards."""
    with AwsEndpoint(tmp_path) as endpoint:
        running = Scaling(tmp_path, endpoint)
        yield running
        running.groups.stop_all()
        running.balancers.stop()
