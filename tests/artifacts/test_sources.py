"""What is shipped imports only what is shipped with it and what its runtime offers.

The gateway's artifact holds its dependencies and takes longest to make: see test_gateway.py.
"""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping
from importlib import metadata
from io import BytesIO
from pathlib import Path

import pytest

from artifacts.node import node_artifact
from artifacts.roles_function import function_artifact
from policy import self_contained

# What the runtime offers: user-data's Debian packages, Lambda's runtime, the pack's own requirements.
OFFERED = {
    "node": ("boto3", "pydantic", "cryptography"),
    "functions": ("boto3",),
    "policy": self_contained.NEEDS,
}


def unpacked(archive: bytes, folder: Path) -> None:
    with zipfile.ZipFile(BytesIO(archive)) as opened:
        opened.extractall(folder)


def make(package: str, folder: Path) -> None:
    if package == "node":
        unpacked(node_artifact().content, folder)
    elif package == "functions":
        unpacked(function_artifact("authorities").content, folder)
    else:
        self_contained.write(folder)


def with_dependencies(distributions: Iterable[str]) -> set[str]:
    found: set[str] = set()
    waiting = list(distributions)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            requirements = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            # Of another platform or version of Python.
            continue
        found.add(name)
        waiting += [re.split(r"[^A-Za-z0-9_.-]", each)[0] for each in requirements if "extra ==" not in each]
    return found


def offer(distributions: Iterable[str], folder: Path) -> None:
    """Fill a folder with what these distributions, and nothing else, install."""
    folder.mkdir()
    for name in with_dependencies(distributions):
        for file in metadata.files(name) or []:
            top = file.parts[0]
            source = Path(str(metadata.distribution(name).locate_file(top)))
            if top not in {"..", "__pycache__"} and not (folder / top).exists():
                (folder / top).symlink_to(source)


def run_alone(
    *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """An interpreter that finds nothing but the standard library and what its arguments name."""
    return subprocess.run(
        [sys.executable, "-I", "-S", "-B", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=dict(environment or {}),
    )


@pytest.mark.parametrize("package", OFFERED)
def test_every_module_is_imported_in_an_empty_interpreter(package: str, tmp_path: Path) -> None:
    artifact, offered = tmp_path / "artifact", tmp_path / "offered"
    make(package, artifact)
    offer(OFFERED[package], offered)
    modules = sorted(
        ".".join(path.relative_to(artifact).with_suffix("").parts).removesuffix(".__init__")
        for path in artifact.rglob("*.py")
        if path.relative_to(artifact).parts[0] in {package, "postgres", "runtime", "documents"}
    )
    assert any(name.startswith(f"{package}.") for name in modules)
    program = (
        "import importlib, sys\n"
        f"sys.path = [{str(artifact)!r}, {str(offered)!r}, *sys.path]\n"
        f"for name in {modules!r}:\n"
        "    importlib.import_module(name)\n"
        "print(len(sys.modules))\n"
    )
    done = run_alone("-c", program, environment={"HOME": str(tmp_path)})
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > len(modules)


def test_a_run_of_node_that_finds_nothing_to_do_needs_the_standard_library_alone(tmp_path: Path) -> None:
    artifact = tmp_path / "node.zip"
    artifact.write_bytes(node_artifact().content)
    root = tmp_path / "root"
    root.mkdir()
    done = run_alone(str(artifact), "apply", environment={"PASSWORDLESS_POSTGRES_ROOT": str(root)})
    assert done.returncode == 75, done.stderr
    assert "machine.json is missing" in done.stderr
    program = (
        f"import sys; sys.path.insert(0, {str(artifact)!r})\n"
        "import node.apply\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names))\n"
    )
    done = run_alone("-c", program)
    assert done.stdout.strip() == "['__main__', 'node', 'postgres', 'runtime']", done.stderr
