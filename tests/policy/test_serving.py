"""The pack as a process, as the engine starts it: from the checkout and from a self-contained copy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime import proto
from pulumi.runtime.proto import analyzer_pb2_grpc

from policy import self_contained
from policy.rules import RULES
from tests.policy.examples import configured, diagnostics, violated
from tests.policy.test_rules import PASSES, REFUSED

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy that needs nothing of the checkout."""
    folder = tmp_path_factory.mktemp("pack")
    self_contained.write(folder)
    return folder


@pytest.fixture(scope="module", params=["checkout", "copy"])
def stub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A running pack, asked over gRPC."""
    folder = ROOT / "policy" if request.param == "checkout" else request.getfixturevalue("copy")
    command = [sys.executable, "-B", str(folder)]
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with subprocess.Popen(command, cwd=elsewhere, stdout=subprocess.PIPE, text=True, env={}) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        assert port.isdigit(), "the pack did not start"
        try:
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield configured(analyzer_pb2_grpc.AnalyzerStub(channel))
        finally:
            process.terminate()


def test_every_refusal_holds_over_grpc(stub: object) -> None:
    for name, (resources, expected) in REFUSED.items():
        assert violated(diagnostics(stub, resources)) == expected, name


def test_what_passes_passes_over_grpc(stub: object) -> None:
    for name, resources in PASSES.items():
        assert diagnostics(stub, resources) == [], name


def test_the_engine_is_told_every_rule(stub) -> None:
    info = stub.GetAnalyzerInfo(empty_pb2.Empty())
    assert info.supportsConfig
    told = {each.name: each for each in info.policies}
    assert set(told) == {rule.id for rule in RULES} | {"PGTLS-configuration"}
    for rule in RULES:
        each = told[rule.id]
        assert each.enforcementLevel == (rule.severity in ("critical", "high"))
        assert each.policy_type == (2 if rule.is_about_the_stack else 1)
        assert each.url == rule.link
    assert set(told["PGTLS-configuration"].configSchema.properties) == {"enforcement", "exemptions"}


def test_nothing_is_remediated(stub) -> None:
    assert list(stub.Remediate(proto.AnalyzeRequest(type="aws:rds/instance:Instance")).remediations) == []
