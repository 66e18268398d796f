"""Pulumi.yaml, the models and the stack files agree; the engine checks this only when it runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import settings

REPOSITORY = Path(__file__).resolve().parent.parent
PROJECT = yaml.safe_load((REPOSITORY / "Pulumi.yaml").read_text(encoding="utf-8"))
STACKS = sorted((REPOSITORY / "stacks").glob("Pulumi.*.yaml"))


def test_the_project():
    assert PROJECT["name"] == "passwordless-postgres"
    assert PROJECT["runtime"] == {"name": "python", "options": {"toolchain": "pip", "virtualenv": ".venv"}}
    assert PROJECT["stackConfigDir"] == "stacks"
    assert PROJECT["requiredPulumiVersion"].startswith(">=")


def test_each_section_of_the_models_is_declared_as_an_optional_object():
    assert tuple(PROJECT["config"]) == settings.SECTIONS
    for declared in PROJECT["config"].values():
        assert declared["type"] == "object"
        assert declared["default"] == {}
        assert declared["description"]


def test_there_is_a_sandbox():
    assert REPOSITORY / "stacks" / "Pulumi.sandbox.yaml" in STACKS


@pytest.mark.parametrize("path", STACKS, ids=lambda path: path.name)
def test_stack_files_have_declared_sections_a_region_and_no_secrets_provider_of_somebody(path):
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    prefix = f"{PROJECT['name']}:"
    used = {key.removeprefix(prefix) for key in document["config"] if key.startswith(prefix)}
    assert used <= set(PROJECT["config"])
    assert "aws:region" in document["config"]
    assert "encryptionsalt" not in document
