"""Workflows have no more rights than they need, and run what was reviewed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}|\./\.github/workflows/[\w.-]+\.yml")


def read(file: Path) -> dict[Any, Any]:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def jobs(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from read(file)["jobs"].items()


def steps(file: Path) -> Iterator[dict[str, Any]]:
    for _, job in jobs(file):
        yield from job.get("steps", ())


def test_there_are_the_three_workflows_and_a_part_of_one() -> None:
    assert [file.name for file in FILES] == [
        "debian.yml",
        "deploy-stack.yml",
        "deploy.yml",
        "pull-request.yml",
    ]


def test_debian_is_walked_through_every_week_without_an_identity() -> None:
    file = ROOT / ".github" / "workflows" / "debian.yml"
    minute, hour, day, month, weekday = read(file)[True]["schedule"][0]["cron"].split()
    assert (minute.isdigit(), hour.isdigit(), day, month, weekday.isdigit()) == (True, True, "*", "*", True)
    [job] = dict(jobs(file)).values()
    assert job["permissions"] == {"contents": "read"}
    targets = re.findall(r"^(test-debian[a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert sorted(job["strategy"]["matrix"]["target"]) == sorted(targets)
    assert "secrets." not in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_workflow_has_no_rights_but_those_that_each_job_names(file: Path) -> None:
    assert read(file)["permissions"] == {}
    for name, job in jobs(file):
        assert set(job["permissions"].items()) <= {
            ("contents", "read"),
            ("id-token", "write"),
            ("security-events", "write"),
        }, name


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_a_workflow_uses_is_pinned_to_a_commit(file: Path) -> None:
    used = [step["uses"] for step in steps(file) if "uses" in step]
    used += [job["uses"] for _, job in jobs(file) if "uses" in job]
    assert used
    assert [each for each in used if not PINNED.fullmatch(each)] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_script_holds_an_expression_that_somebody_else_could_write(file: Path) -> None:
    assert [step["run"] for step in steps(file) if "${{" in step.get("run", "")] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_checkout_keeps_the_token(file: Path) -> None:
    checkouts = [step for step in steps(file) if step.get("uses", "").startswith("actions/checkout@")]
    assert all(step["with"] == {"persist-credentials": False} for step in checkouts)


def test_no_pull_request_gets_an_identity_or_a_secret() -> None:
    text = (ROOT / ".github" / "workflows" / "pull-request.yml").read_text(encoding="utf-8")
    assert "id-token" not in text
    assert "secrets." not in text
    assert "pull_request_target" not in text


def test_every_stack_file_is_previewed() -> None:
    stacks = sorted(path.stem.removeprefix("Pulumi.") for path in (ROOT / "stacks").glob("Pulumi.*.yaml"))
    preview = dict(jobs(ROOT / ".github" / "workflows" / "pull-request.yml"))["preview"]
    assert sorted(preview["strategy"]["matrix"]["stack"]) == stacks


def test_every_stack_file_has_its_exemptions_beside_it() -> None:
    names = [
        {path.stem.split(".")[1] for path in (ROOT / "stacks").glob(each)}
        for each in ("Pulumi.*", "policy.*")
    ]
    assert names[0] == names[1]
    for file in (ROOT / "stacks").glob("policy.*.json"):
        assert set(json.loads(file.read_text(encoding="utf-8"))) == {"PGTLS-configuration"}


def test_environments_are_deployed_one_after_the_other_with_the_policies() -> None:
    deploy = dict(jobs(ROOT / ".github" / "workflows" / "deploy.yml"))
    assert [(name, job.get("needs"), job["with"]["stack"]) for name, job in deploy.items()] == [
        ("dev", None, "dev"),
        ("staging", "dev", "staging"),
        ("prod", "staging", "prod"),
    ]
    [job] = dict(jobs(ROOT / ".github" / "workflows" / "deploy-stack.yml")).values()
    assert job["environment"] == "${{ inputs.stack }}"
    commands = "\n".join(step.get("run", "") for step in job["steps"])
    for command in ("pulumi preview", "pulumi up"):
        [line] = [line for line in commands.splitlines() if command in line]
        assert line.endswith('"${policies[@]}"')
    assert 'policies=(--policy-pack policy --policy-pack-config "stacks/policy.$STACK.json")' in commands
    assert "verify --stack" in commands


def texts(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a workflow with its place."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from texts(each, f"{place}/{key}")
    elif isinstance(value, list):
        for each in value:
            yield from texts(each, place)
    elif isinstance(value, str):
        yield place, value


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_workflow_runs_the_sandbox(file: Path) -> None:
    # Only a stack may have its name: the preview of its stack file runs no sandbox.
    named = [place for place, text in texts(read(file)) if re.search("sandbox", text, re.IGNORECASE)]
    assert named in ([], ["/jobs/preview/strategy/matrix/stack"])
