"""`python -m sandbox preview` with the real engine, in a copy of the checkout that it must leave as it is."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from engine import processes
from engine.project import CHECKOUT

# Bytecode is no file of the checkout, and without it each preview would compile all modules.
BYTECODE = {"PYTHONPYCACHEPREFIX": str(Path(sys.prefix) / "pycache")}
# Nothing answers there: whatever wants to leave the machine fails.
NO_NETWORK = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
PACK = """
from pulumi_policy import EnforcementLevel, PolicyPack, ResourceValidationPolicy

def retention(args, report):
    if args.resource_type == "aws:rds/instance:Instance":
        report(f"{args.props['backupRetentionPeriod']:g} days [at most]")

def rule(name, level):
    return ResourceValidationPolicy(
        name=name, description="Kept.", validate=retention, enforcement_level=level
    )

PolicyPack(
    name="tiny",
    policies=[rule("T1-stops", EnforcementLevel.MANDATORY), rule("T2-says", EnforcementLevel.ADVISORY)],
)
"""


def fingerprints(folder: Path) -> dict[str, str]:
    """Every file's mode and content; what the virtual environment holds is not the checkout's."""
    return {
        str(path.relative_to(folder)): f"{path.lstat().st_mode:o} "
        + (hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "")
        for path in folder.rglob("*")
        if ".venv" not in path.relative_to(folder).parts
    }


def preview(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return subprocess.run(
        [sys.executable, "-m", "preview", *arguments],
        cwd=checkout,
        env={**inherited, **BYTECODE, **NO_NETWORK, "PULUMI_ACCESS_TOKEN": "not-ours"},
        capture_output=True,
        text=True,
        check=False,
    )


def stack_file(folder: Path, like: str, **changes: object) -> str:
    """A stack file like one of the checkout, its sections changed, as a key service encrypts it."""
    document = yaml.safe_load((CHECKOUT / "stacks" / f"Pulumi.{like}.yaml").read_text())
    for name, value in changes.items():
        document["config"][f"passwordless-postgres:{name}"] = value
    document |= {"secretsprovider": "awskms://alias/pulumi?region=eu-central-1", "encryptedkey": "AQICAHhAbC"}
    document["config"]["aws:token"] = {"secure": "AAABAKeptByTheKeyService"}
    document["config"]["elsewhere:tokens"] = [{"name": "one", "value": {"secure": "AAABAAnother"}}]
    file = folder / "Pulumi.yaml"
    file.write_text(yaml.safe_dump(document))
    return str(file)


def test_beside_a_sandbox_at_work_the_sandboxs_own_file_passes_and_nothing_changes(checkout: Path) -> None:
    state = checkout / ".sandbox"
    state.mkdir(mode=0o700)
    (state / "serve.json").write_text("{}")
    before = fingerprints(checkout)
    with contextlib.ExitStack() as held:
        for name in ("serve.lock", "command.lock"):
            lock = held.enter_context((state / name).open("a"))
            fcntl.flock(lock, fcntl.LOCK_EX)
            before[f".sandbox/{name}"] = fingerprints(state)[name]
        answer = preview(checkout, "--stack", "sandbox", "--no-policy", "--json")
    assert answer.returncode == 0, answer.stderr
    document = json.loads(answer.stdout)
    assert document["outcome"] == "passed"
    assert document["policyPack"] is None
    assert document["counts"]["aws:ec2/instance:Instance"] == {"create": 1}
    for waiting, count in (("KeptImage", 2), ("NodeReport", 1)):
        resource = f"pulumi-python:dynamic/passwordless-postgres:{waiting}"
        assert document["counts"][resource] == {"create": count}
    assert fingerprints(checkout) == before


def test_an_existing_network_and_secrets_of_a_key_service_need_neither_under_the_checkouts_policies(
    checkout: Path, tmp_path: Path
) -> None:
    before = fingerprints(checkout)
    soon = str(datetime.now(tz=UTC).date() + timedelta(days=9))
    exempt = {"rule": "PGTLS-N01", "scope": "*", "reason": "Waits for values, all of them", "owner": "team"}
    configuration = {"PGTLS-configuration": {"exemptions": [{**exempt, "expires": soon}]}}
    (tmp_path / "policy.prod.json").write_text(json.dumps(configuration))
    answer = preview(checkout, "--stack", "prod", "--stack-file", stack_file(tmp_path, "prod"), "--json")
    assert answer.returncode == 0, answer.stderr
    document = json.loads(answer.stdout)
    assert document["placeholders"] == ["aws:token", "elsewhere:tokens[0].value"]
    assert document["counts"]["aws:ec2/subnet:Subnet"] == {"read": 3}
    server = {"type": "aws:rds/instance:Instance", "name": "rds-instance", "operation": "create"}
    assert server in document["resources"]
    assert document["policyPack"] == str(checkout / "policy")
    assert "PGTLS-N41" in document["rules"]
    [announced] = [each for each in document["findings"] if each["rule"] == "PGTLS-configuration"]
    assert (announced["level"], soon in announced["message"]["explanation"]) == ("advisory", True), (
        "beside the stack file"
    )
    waiting = [each for each in document["findings"] if each["severity"] == "undecided"]
    assert waiting
    for each in waiting:
        file, _, line = each["source"].partition(":")
        assert "(" in (checkout / file).read_text().splitlines()[int(line) - 1], "a call"
    assert "KeptByTheKeyService" not in answer.stdout + answer.stderr
    assert fingerprints(checkout) == before


def test_wrong_settings_are_all_told_as_a_deployment_tells_them(checkout: Path, tmp_path: Path) -> None:
    file = stack_file(
        tmp_path,
        "prod",
        rds={"major": 9, "instanceClas": "db.t4g.micro", "roles": {"app": {"database": "nowhere"}}},
        tags={"owner": {"secure": "AAABAsecret"}},
    )
    answer = preview(checkout, "--stack", "prod", "--stack-file", file)
    assert answer.returncode == 1
    assert "The preview failed." in answer.stderr
    for words in ("rds.major", "rds.instanceClas", "tags", "is encrypted"):
        assert words in answer.stderr
    assert "Traceback" not in answer.stderr + answer.stdout


def test_a_mandatory_finding_of_a_policy_is_status_1_and_names_its_rule(
    checkout: Path, tmp_path: Path
) -> None:
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / "__main__.py").write_text(PACK)
    (pack / "PulumiPolicy.yaml").write_text(
        f"version: 0.0.1\nruntime: {{name: python, options: {{toolchain: pip, virtualenv: {sys.prefix}}}}}\n"
    )
    answer = preview(checkout, "--stack", "prod", "--policy-pack", str(pack))
    assert answer.returncode == 1
    assert answer.stderr.endswith(
        "error: The preview failed.\nerror: policies forbid this deployment: T1-stops\n"
    )
    assert "mandatory: rds-instance (Instance): Kept. 35 days [at most]. [T1-stops]\n" in answer.stdout
    assert "advisory: rds-instance (Instance): Kept. 35 days [at most]. [T2-says]\n" in answer.stdout
    assert re.search(r"^prod: \d+ create, 3 read", answer.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, pytest.param(signal.SIGHUP, marks=pytest.mark.long)]
)
def test_ended_from_outside_it_leaves_neither_engine_nor_folder(
    checkout: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """As CI does it, by Ctrl-C, and by closing the terminal; the last two reach the engine as well."""
    # Under nohup, or in the background of a script, these are ignored from the start.
    with_signals = ["env", "--default-signal=SIGTERM,SIGINT,SIGHUP"]
    process = subprocess.Popen(
        [*with_signals, sys.executable, "-m", "preview", "--stack", "prod", "--no-policy"],
        cwd=checkout,
        env={**os.environ, **BYTECODE, "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    # The engine has begun when it has written its first event.
    while not list(tmp_path.glob("passwordless-postgres-preview-*/pulumi/events")):
        assert process.poll() is None
        time.sleep(0.05)
    (folder,) = tmp_path.glob("passwordless-postgres-preview-*")
    if number is signal.SIGTERM:
        process.terminate()
    else:
        os.killpg(process.pid, number)
    process.communicate()
    assert process.returncode == 128 + number
    assert processes.find(folder) == []
    assert not folder.exists()


def test_a_stack_without_a_file_is_answered_with_those_that_have_one(checkout: Path) -> None:
    answer = preview(checkout, "--stack", "nowhere")
    assert answer.returncode == 1
    assert "Stacks with a file: dev, prod, sandbox, staging." in answer.stderr
    answer = preview(checkout, "--stack", "../prod")
    assert answer.returncode == 1
    assert "'../prod' is not a valid stack name" in answer.stderr


def test_a_folder_that_is_no_policy_pack_is_refused_before_the_engine_starts(
    checkout: Path, tmp_path: Path
) -> None:
    answer = preview(checkout, "--stack", "prod", "--policy-pack", str(tmp_path))
    assert answer.returncode == 1
    assert f"{tmp_path} is not a policy pack: it has no PulumiPolicy.yaml." in answer.stderr


def test_make_preview_asks_for_the_stack() -> None:
    answer = subprocess.run(
        ["make", "preview", "STACK="], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 2
    assert "name the stack, as in make preview STACK=prod" in answer.stderr
