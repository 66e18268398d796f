"""What is large and within AWS's quotas deploys."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import yaml

from tests.behaviour.conftest import ROOT, discard, make_sandbox

NAMES = [f"r{number:062d}" for number in range(1000)]
# Each makes nine resources, and the engine writes its whole state after each resource.
WITH_CERTIFICATES = NAMES[:20]
CLIENTS = 60
TAGS = 49
NETWORKS = 57


def enlarge(config: dict[str, Any]) -> None:
    """1,000 roles with names of 63 characters, 60 clients, and as many networks and tags as there can be."""
    sections = {name.removeprefix("passwordless-postgres:"): section for name, section in config.items()}
    for section in ("selfManaged", "rds", "gateway"):
        networks = sections[section]["allowedClients"]["networks"]
        networks += [f"10.{number}.0.0/24" for number in range(1, NETWORKS - len(networks))]
    grants = [{"schema": "public", "privileges": ["usage"]}]
    for name in NAMES:
        sections["rds"]["roles"][name] = {"database": "app"}
    for name in WITH_CERTIFICATES:
        sections["rds"]["roles"][name]["newIamRole"] = {
            "trustedPrincipals": ["arn:aws:iam::123456789012:user/operator"]
        }
        sections["selfManaged"]["roles"][name] = {
            "database": "app",
            "networks": ["127.0.0.1/32"],
            "grants": grants,
        }
    clients = sections["gateway"]["clients"]
    for number in range(CLIENTS - len(clients)):
        role = WITH_CERTIFICATES[number % len(WITH_CERTIFICATES)]
        clients[f"c{number:039d}"] = {"uri": f"spiffe://sandbox.passwordless/{number}", "role": role}
    tags = sections["tags"]
    tags.update({f"t{number}": "x" for number in range(TAGS - len(tags))})


@pytest.mark.long
def test_a_thousand_roles_sixty_clients_and_every_tag_deploy() -> None:
    sandbox = make_sandbox(17, "selfManaged", "rds", "gateway")
    document = yaml.safe_load(sandbox.stack_file.read_text())
    enlarge(document["config"])
    sandbox.stack_file.write_text(yaml.safe_dump(document, sort_keys=False))
    try:
        completed = sandbox.run("up", "--stack-file", str(sandbox.stack_file), timeout=7200)
        assert completed.returncode == 0, completed.stdout
        role = WITH_CERTIFICATES[-1]
        with sandbox.login(role, sandbox.client_files(role)) as connection:
            assert connection.execute("SELECT current_user").fetchone() == (role,)
        verified = subprocess.run(
            [sys.executable, "-m", "pgpasswordless", "verify", "--stack", "sandbox"],
            cwd=ROOT,
            env=sandbox.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert verified.returncode == 0, verified.stdout
        completed = sandbox.run("up", "--stack-file", str(sandbox.stack_file), timeout=7200)
        assert "unchanged" in completed.stdout
    finally:
        discard(sandbox)
