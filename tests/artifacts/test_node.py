"""The node's artifact: the same bytes from the same source, and everything that it imports."""

from __future__ import annotations

import hashlib
import zipfile
from io import BytesIO
from pathlib import Path

from artifacts.node import node_artifact
from artifacts.sources import PACKAGES, pack


def test_the_artifact_is_the_same_whenever_and_wherever_it_is_made(tmp_path: Path) -> None:
    for root in ("one", "two"):
        for name, text in (
            ("node/__init__.py", ""),
            ("node/apply.py", "x = 1\n"),
            ("postgres/hba_rule.py", ""),
        ):
            path = tmp_path / root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    (tmp_path / "two/node/__pycache__").mkdir()
    (tmp_path / "two/node/__pycache__/apply.cpython-313.pyc").write_bytes(b"compiled")
    one, two = node_artifact(tmp_path / "one"), node_artifact(tmp_path / "two")
    assert one == two
    assert one.sha256 == hashlib.sha256(one.content).hexdigest()
    with zipfile.ZipFile(BytesIO(one.content)) as archive:
        assert archive.namelist() == [
            "__main__.py",
            "node/__init__.py",
            "node/apply.py",
            "postgres/hba_rule.py",
        ]
        assert archive.read("__main__.py") == b"from node.__main__ import main\n\nmain()\n"
        assert {each.date_time for each in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {each.compress_type for each in archive.infolist()} == {zipfile.ZIP_STORED}


def test_a_changed_file_is_another_artifact() -> None:
    assert pack({"a.py": b"1"}) != pack({"a.py": b"2"})


def test_the_project_s_artifact_holds_what_node_imports() -> None:
    with zipfile.ZipFile(BytesIO(node_artifact().content)) as archive:
        names = archive.namelist()
    assert {"__main__.py", "node/desired_state.py", "postgres/hba_rule.py", "runtime/files.py"} <= set(names)
    assert {name.split("/")[0] for name in names} == {"__main__.py", *PACKAGES["node"]}
