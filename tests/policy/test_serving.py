"""The pack as a process: from the checkout, and from the self-contained copy in an empty interpreter."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pulumi.runtime import proto
from pulumi.runtime.proto import analyzer_pb2_grpc

from policy import self_contained
from policy.pack import OWN
from policy.rules import RULES
from tests.policy.examples import OWNED, configured, diagnostics, violated
from tests.policy.test_rules import PASSES, REFUSED

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The self-contained copy."""
    folder = tmp_path_factory.mktemp("pack")
    self_contained.write(folder)
    return folder


def needed(names: Iterable[str]) -> set[str]:
    """The distributions with all of their dependencies on this platform."""
    found: set[str] = set()
    waiting = [canonicalize_name(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        requirements = map(Requirement, metadata.requires(name) or ())
        waiting += [
            canonicalize_name(each.name)
            for each in requirements
            if each.marker is None or each.marker.evaluate({"extra": ""})
        ]
    return found


@pytest.fixture(scope="module")
def empty_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Site-packages with nothing but the requirements of the copy, as after `pulumi install`."""
    folder = tmp_path_factory.mktemp("site-packages")
    for name in needed(self_contained.NEEDS):
        distribution = metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            if not (folder / top).exists():
                (folder / top).symlink_to(str(distribution.locate_file(top)))
    return folder


START = "import runpy, sys; sys.path.append({site!r}); runpy.run_path({pack!r}, run_name='__main__')"


@contextlib.contextmanager
def running(folder: Path, *command: str) -> Iterator[Any]:
    """A pack as a process of its own, with a gRPC stub."""
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, env={}) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        assert port.isdigit(), "the pack did not start"
        try:
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield configured(
                    analyzer_pb2_grpc.AnalyzerStub(channel),
                    accounts=[*OWNED.accounts],
                    organisations=[*OWNED.organisations],
                )
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def copied(copy: Path, empty_environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The self-contained copy, started in an empty interpreter."""
    start = START.format(site=str(empty_environment), pack=str(copy))
    with running(tmp_path_factory.mktemp("elsewhere"), sys.executable, "-I", "-S", "-B", "-c", start) as stub:
        yield stub


def test_the_checkouts_pack_starts_and_refuses(tmp_path: Path) -> None:
    resources, expected = next(iter(REFUSED.values()))
    with running(tmp_path, sys.executable, "-B", str(ROOT / "policy")) as stub:
        assert violated(diagnostics(stub, resources)) == expected
        assert {each.name for each in stub.GetAnalyzerInfo(empty_pb2.Empty()).policies} > {
            rule.id for rule in RULES
        }


def test_an_empty_environment_lacks_what_the_pack_must_not_need(empty_environment: Path) -> None:
    present = {each.name for each in empty_environment.iterdir()}
    assert {"pulumi", "pulumi_policy", "grpc", "yaml"} <= present
    assert not {"pydantic", "boto3", "pulumi_aws", "rich", "typer"} & present


@pytest.mark.long  # test_engine.py sends the same through the engine
def test_every_refusal_holds_over_grpc(copied: Any) -> None:
    for name, (resources, expected) in REFUSED.items():
        assert violated(diagnostics(copied, resources)) == expected, name


def test_what_passes_passes_over_grpc(copied: Any) -> None:
    for name, resources in PASSES.items():
        assert diagnostics(copied, resources) == [], name


def test_the_engine_is_told_every_rule(copied) -> None:
    info = copied.GetAnalyzerInfo(empty_pb2.Empty())
    assert info.supportsConfig
    told = {each.name: each for each in info.policies}
    assert set(told) == {rule.id for rule in RULES} | set(OWN)
    for rule in RULES:
        each = told[rule.id]
        assert each.enforcementLevel == (rule.severity in ("critical", "high"))
        assert each.policy_type == (1 if rule.checks else 2)
        assert each.url == rule.link
    schema = set(told["PGTLS-configuration"].configSchema.properties)
    assert schema == {"enforcement", "exemptions", "accounts", "organisations"}


def test_nothing_is_remediated(copied) -> None:
    assert list(copied.Remediate(proto.AnalyzeRequest(type="aws:rds/instance:Instance")).remediations) == []
