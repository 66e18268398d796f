"""The gateway's artifact: one file per platform, the same bytes from the same input, and it runs."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifacts import dependencies
from artifacts import gateway as artifacts
from artifacts.dependencies import DEBIAN_13, DependenciesError, Platform, this_platform
from artifacts.gateway import ApplicationSourceError, gateway_artifact

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="module")
def artifact(cache) -> artifacts.GatewayArtifact:
    return gateway_artifact(this_platform(), cache=cache)


def test_the_file_has_the_sha256_that_is_said(artifact) -> None:
    assert hashlib.sha256(artifact.path.read_bytes()).hexdigest() == artifact.sha256


def test_the_same_input_gives_the_same_bytes(artifact, tmp_path) -> None:
    again = gateway_artifact(this_platform(), cache=tmp_path)
    assert again.path.read_bytes() == artifact.path.read_bytes()


def test_what_is_made_already_is_not_made_again(artifact, cache, monkeypatch) -> None:
    def fail(*_: object) -> dict[str, bytes]:
        raise AssertionError("dependencies were gathered again")

    monkeypatch.setattr(artifacts, "dependency_files", fail)
    assert gateway_artifact(this_platform(), cache=cache) == artifact


def test_it_needs_nothing_that_is_not_in_it(artifact, tmp_path) -> None:
    with zipfile.ZipFile(artifact.path) as archive:
        archive.extractall(tmp_path)
    ours = ", ".join(
        ".".join(path.relative_to(tmp_path).with_suffix("").parts)
        for package in ("gateway", "runtime", "documents")
        for path in sorted((tmp_path / package).glob("[!_]*.py"))
    )
    script = (
        f"import gateway.__main__, {ours}, pgpasswordless.tokens\n"
        "import psycopg, psycopg_pool, uvicorn, uvloop, httptools, starlette, prometheus_client, boto3, sys\n"
        "boto3.Session().client('rds', region_name='eu-central-1')\n"
        "print({module.__file__.startswith(sys.argv[1]) for module in (gateway, psycopg, uvloop, boto3)})"
    )
    # -S: without this, what is installed beside the interpreter would help out.
    said = subprocess.run(
        [sys.executable, "-S", "-P", "-c", script, str(tmp_path)],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (said.stdout.strip(), said.stderr) == ("{True}", "")


def test_it_holds_nothing_that_depends_on_the_installer(artifact) -> None:
    names = zipfile.ZipFile(artifact.path).namelist()
    assert not [name for name in names if name.endswith((".pyc", "RECORD", "INSTALLER", "direct_url.json"))]
    assert not [name for name in names if name.startswith(("bin/", "../", "/"))]
    assert "gateway/document.py" in names
    assert not [name for name in names if name.startswith(("components/", "sandbox/", "policy/"))]


def test_its_versions_are_those_that_the_tests_run_with() -> None:
    ours = dependencies.pinned((PROJECT / "requirements-gateway.txt").read_text())
    tested = dependencies.pinned((PROJECT / "requirements-dev.txt").read_text())
    assert ours == {name: tested[name] for name in ours}
    assert {"psycopg", "psycopg-binary", "psycopg-pool", "uvloop", "starlette", "cryptography"} <= ours.keys()
    assert "tzdata" not in ours


def test_another_version_than_the_locks_is_refused(tmp_path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("starlette==0.0.1 \\\n    --hash=sha256:00\n")
    with pytest.raises(DependenciesError, match=r"starlette .* is installed, and .* asks for 0\.0\.1"):
        dependencies.dependency_files(this_platform(), tmp_path, lock)


def test_wheels_that_cannot_be_had_are_an_error_in_pips_words(tmp_path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("not a requirement at all\n")
    other = Platform(python="3.12" if this_platform().python != "3.12" else "3.13", machine="aarch64")
    with pytest.raises(DependenciesError, match=f"for {other} cannot be fetched: .*nvalid requirement"):
        dependencies.dependency_files(other, tmp_path, lock)
    assert not list(tmp_path.glob("wheels/cpython*"))


def test_debian_13_has_its_own_interpreter_on_both_processors() -> None:
    assert [str(platform) for platform in DEBIAN_13.values()] == [
        "cpython-3.13-x86_64",
        "cpython-3.13-aarch64",
    ]


@pytest.mark.long
@pytest.mark.parametrize("architecture", sorted(DEBIAN_13))
def test_debians_artifacts_hold_code_for_its_processor(architecture, tmp_path) -> None:
    platform = DEBIAN_13[architecture]
    made = gateway_artifact(platform, cache=tmp_path)
    names = zipfile.ZipFile(made.path).namelist()
    compiled = [name for name in names if name.endswith(f"-{platform.machine}-linux-gnu.so")]
    assert {name.split("/")[0] for name in compiled} >= {"uvloop", "httptools", "psycopg_binary"}
    other = "x86_64" if platform.machine == "aarch64" else "aarch64"
    assert not [name for name in names if other in name and name.endswith(".so")]
    assert gateway_artifact(platform, cache=tmp_path / "again").sha256 == made.sha256


class TestApplicationOfTheUsersOwn:
    def test_it_lies_beside_ours(self, tmp_path, cache) -> None:
        source = tmp_path / "source"
        (source / "shop" / "__pycache__").mkdir(parents=True)
        (source / "shop" / "web.py").write_text("application = None\n")
        (source / "shop" / "__pycache__" / "web.pyc").write_bytes(b"x")
        (source / ".env").write_text("x")
        made = gateway_artifact(this_platform(), application_source=source, cache=cache)
        names = zipfile.ZipFile(made.path).namelist()
        assert "shop/web.py" in names
        assert not [name for name in names if ".env" in name or "__pycache__" in name]
        assert any(name.startswith("botocore/data/dynamodb/") for name in names)

    @pytest.mark.parametrize("name", ["gateway", "psycopg", "pgpasswordless"])
    def test_a_package_of_a_name_that_is_taken_is_refused(self, tmp_path, cache, name) -> None:
        (tmp_path / name).mkdir()
        (tmp_path / name / "own.py").write_text("")
        with pytest.raises(ApplicationSourceError, match=f"holds {name}, and so does the gateway itself"):
            gateway_artifact(this_platform(), application_source=tmp_path, cache=cache)

    def test_a_folder_that_is_not_there_or_empty_is_refused(self, tmp_path, cache) -> None:
        for folder, words in ((tmp_path / "none", "is not a folder"), (tmp_path, "is empty")):
            with pytest.raises(ApplicationSourceError, match=words):
                gateway_artifact(this_platform(), application_source=folder, cache=cache)


def artifacts_of_sources(folder: Path, count: int) -> Iterator[Path]:
    """Artifacts that differ in a user's application, made one after the other."""
    source = folder / "source"
    source.mkdir(exist_ok=True)
    for number in range(count):
        (source / "own.py").write_text(f"NUMBER = {number}\n")
        yield gateway_artifact(this_platform(), application_source=source, cache=folder / "cache").path


@pytest.fixture
def no_dependencies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "dependency_files", lambda *_: {"a.py": b""})


def unused_for_days(path: Path) -> Path:
    then = time.time() - 2 * 86_400
    os.utime(path, (then, then))
    return path


def test_old_artifacts_make_room(tmp_path: Path, no_dependencies: None) -> None:
    made = [unused_for_days(path) for path in artifacts_of_sources(tmp_path, 6)]
    assert set((tmp_path / "cache").glob("*.zip")) == set(made[-4:])


def test_what_another_deployment_may_still_read_stays(tmp_path: Path, no_dependencies: None) -> None:
    """A deployment of half an hour failed, since others had made four artifacts meanwhile."""
    made = list(artifacts_of_sources(tmp_path, 6))
    assert all(path.exists() for path in made)


def test_an_artifact_that_is_used_counts_as_new(tmp_path: Path, no_dependencies: None) -> None:
    first = unused_for_days(next(artifacts_of_sources(tmp_path, 1)))
    for path in artifacts_of_sources(tmp_path, 6):
        if path != first:
            unused_for_days(path)
    assert first.exists()
