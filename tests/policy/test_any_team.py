"""Another team's programs under a self-contained pack, by the commands that its writer prints."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.core.servicer import ProviderServer
from policy import self_contained
from policy.pack import OWN
from policy.profiles import Profile
from tests.emulator.conftest import empty_stack
from tests.policy.examples import Sent, sent
from tests.policy.registering import program, stand_ins
from tests.policy.test_engine import shown

pytestmark = pytest.mark.long

# What many public programs register, each with one or two mistakes of its kind.
WEBSITE: list[Sent] = [
    sent(
        "aws:lb/listener:Listener",
        "https",
        {
            "loadBalancerArn": "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/a/1",
            "port": 443,
            "protocol": "HTTPS",
            "sslPolicy": "ELBSecurityPolicy-2016-08",
            "certificateArn": "arn:aws:acm:eu-central-1:123456789012:certificate/1",
            "defaultActions": [{"type": "fixed-response", "fixedResponse": {"contentType": "text/plain"}}],
        },
    ),
]
DATABASE: list[Sent] = [
    sent(
        "aws:rds/parameterGroup:ParameterGroup",
        "group",
        {"family": "postgres14", "parameters": [{"name": "rds.force_ssl", "value": "0"}]},
    ),
]
NETWORK: list[Sent] = [
    sent(
        "aws:ec2/securityGroup:SecurityGroup",
        "web",
        {
            "description": "web",
            "ingress": [{"protocol": "tcp", "fromPort": 22, "toPort": 22, "cidrBlocks": ["0.0.0.0/0"]}],
        },
    ),
]


@pytest.fixture
def serve() -> Iterator[Any]:
    with contextlib.ExitStack() as servers:

        def start(provider: Any) -> ProviderServer:
            server = ProviderServer(provider)
            server.start()
            servers.callback(server.stop, 0)
            return server

        yield start


@pytest.mark.parametrize(
    "case",
    [
        (Profile.TLS, WEBSITE, "PGTLS-P099"),
        (Profile.POSTGRES, DATABASE, "PGTLS-N41"),
        (Profile.BASELINE, NETWORK, "PGTLS-P056"),
    ],
)
def test_the_printed_commands_work(
    tmp_path: Path, pulumi: Path, serve: Any, case: tuple[Profile, list[Sent], str]
) -> None:
    profile, resources, expected = case
    pack = tmp_path / "pack"
    self_contained.write(pack, profile)
    (tmp_path / "stack").mkdir()
    stack = empty_stack(tmp_path / "stack", pulumi)
    installed = subprocess.run(
        [str(pulumi), "install"],
        cwd=pack,
        env=stack.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert installed.returncode == 0, installed.stdout + installed.stderr
    stack.providers.update(stand_ins({"other": resources}, serve))
    stack.program(program({"other": resources}))
    for command in ("preview", "up"):
        run = stack.run(command, *(("--yes",) if command == "up" else ()), "--policy-pack", str(pack))
        found = {each.rule for each in shown(run.output)} - OWN.keys()
        assert run.status != 0, run.output
        assert expected in found, run.output
