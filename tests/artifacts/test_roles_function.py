from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from importlib import metadata
from io import BytesIO
from pathlib import Path

import boto3
import pytest

from artifacts.roles_function import DISTRIBUTIONS, HANDLER, ArtifactError, function_artifact

PEM = "authorities of the server"
RUNTIME = ("boto3", "botocore", "s3transfer", "jmespath", "urllib3")


def test_it_is_the_same_file_every_time() -> None:
    one, two = function_artifact(PEM), function_artifact(PEM)
    assert one.content == two.content
    assert one.sha256 == hashlib.sha256(one.content).hexdigest()
    assert "content" not in repr(one)
    assert len(one.source_code_hash) == 44
    assert function_artifact("other authorities").sha256 != one.sha256


def test_it_holds_sources_only() -> None:
    with zipfile.ZipFile(BytesIO(function_artifact(PEM).content)) as archive:
        names = archive.namelist()
    assert {"functions/roles/handler.py", "postgres/roles.py", "pg8000/native.py", "six.py"} <= set(names)
    assert not [name for name in names if name.endswith((".pyc", ".so", ".exe")) or "__pycache__" in name]
    assert not [name for name in names if name.startswith(("/", "..", "bin/"))]
    notes = {name for name in names if ".dist-info/" in name}
    assert {name.rpartition("/")[2] for name in notes} == {"METADATA"}
    assert len(notes) == len(DISTRIBUTIONS)


def test_it_runs_with_nothing_but_itself_and_the_runtime(tmp_path: Path) -> None:
    artifact, runtime = tmp_path / "function.zip", tmp_path / "runtime"
    artifact.write_bytes(function_artifact(PEM).content)
    runtime.mkdir()
    installed = Path(boto3.__file__).parent.parent
    for name in RUNTIME:
        (runtime / name).symlink_to(installed / name)
    module, _, name = HANDLER.rpartition(".")
    program = (
        f"import sys; sys.path = [{str(artifact)!r}, {str(runtime)!r}] + sys.path\n"
        f"from {module} import {name} as handle\n"
        "import pg8000.native, scramp\n"
        "assert pg8000.native.__file__.startswith(sys.path[0]), pg8000.native.__file__\n"
        "print(handle({}, None)['outcome'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "refused"), done.stderr


def test_a_missing_distribution_is_named() -> None:
    with pytest.raises(ArtifactError, match="no-such-driver is not installed"):
        function_artifact(PEM, distributions=["no-such-driver"])


def test_a_distribution_for_one_machine_is_named() -> None:
    with pytest.raises(ArtifactError, match=r"psycopg-binary .* holds .*\.so"):
        function_artifact(PEM, distributions=["psycopg-binary"])


def test_a_broken_distribution_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "broken-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    with pytest.raises(ArtifactError, match="broken is installed without a list of its files"):
        function_artifact(PEM, distributions=["broken"], find=lambda _: metadata.PathDistribution(folder))
    (folder / "RECORD").write_text("broken.py,,\n")
    # From Python 3.12 on a file that is gone is not listed.
    if sys.version_info < (3, 12):
        with pytest.raises(ArtifactError, match=r"broken lacks its file broken\.py"):
            function_artifact(PEM, distributions=["broken"], find=lambda _: metadata.PathDistribution(folder))


def test_it_differs_when_a_source_does(tmp_path: Path) -> None:
    for content in ("1", "2"):
        for package in ("function", "postgres"):
            (tmp_path / content / package).mkdir(parents=True)
            (tmp_path / content / package / "module.py").write_text(content)
    one, two = (function_artifact(PEM, tmp_path / content, ()) for content in ("1", "2"))
    assert one.sha256 != two.sha256
