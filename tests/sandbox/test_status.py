"""What `status` says of load balancers and auto scaling groups."""

from __future__ import annotations

import os
from pathlib import Path

from emulator.autoscaling.model import Group, Instance, LaunchTemplate, Subnet
from emulator.elb.model import Action, Listener, MutualAuthentication
from emulator.postgresql_server.server_user import server_user
from engine import processes
from engine.processes import Identity
from sandbox.state import State
from sandbox.status import as_text, status

SUBNET = Subnet(
    subnet_id="subnet-1", vpc_id="vpc-1", cidr_block="10.0.0.0/24", availability_zone="eu-central-1a"
)
TEMPLATE = LaunchTemplate(
    template_id="lt-1", version=2, image_id="ami-1", instance_type="t4g.small", architecture="arm64"
)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def instance(name: str, process: Identity | None) -> Instance:
    return Instance(
        instance_id=name,
        region="eu-central-1",
        template=TEMPLATE,
        subnet=SUBNET,
        private_ip="10.0.0.4",
        port=20_443,
        metrics_port=20_444,
        metadata_path="a secret path",
        lifecycle="in service",
        process=process,
    )


def test_listeners_and_instances_are_told_and_their_secrets_are_not(tmp_path):
    state = State(root=tmp_path, nominal=tmp_path, user=server_user())
    group = Group(
        name="gateways",
        region="eu-central-1",
        desired=2,
        subnets=(SUBNET,),
        template=TEMPLATE,
    )
    own = processes.identity_of(os.getpid())
    assert own is not None
    alive = Identity(pid=own.pid, started=own.started)
    ended = Identity(pid=own.pid, started=own.started + 1)
    listener = Listener(
        arn="arn:aws:l/1",
        load_balancer_arn="arn:aws:lb/1",
        port=20_445,
        ssl_policy="p",
        certificate_arn="c",
        mutual_authentication=MutualAuthentication(mode="verify"),
        routing_http_request_x_amzn_mtls_clientcert_leaf_header_name="x-mtls-leaf-secret",
        default_actions=(Action(target_group_arn="t"),),
    )
    folder = state.auto_scaling / "groups" / "gateways"
    write(folder / "group.json", group.model_dump_json(by_alias=True))
    for name, process in (("i-1", alive), ("i-2", ended)):
        write(
            folder / "instances" / name / "instance.json",
            instance(name, process).model_dump_json(by_alias=True),
        )
    write(state.load_balancing / "listeners" / "1.json", listener.model_dump_json(by_alias=True))
    text = as_text(status(state))
    assert "listener     port 20445, mutual TLS verify" in text
    assert f"i-1 version 2 on port 20443, in service, process {own.pid}" in text
    assert "i-2 version 2 on port 20443, in service, nothing runs" in text
    assert "secret" not in text
