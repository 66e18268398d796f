"""Files, folders and archives are read where they lie, or reported as undecided."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from policy.text import assets
from tests.policy.examples import ids, in_process, sent
from tests.policy.fixtures.carriers import ARCHIVE, LAMBDA
from tests.policy.fixtures.server_files import ASSET, HBA, PEM

OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"
WEAK = HBA.replace(" cert", " trust")
UNREAD = {"N86", "N87", "N88"}


def stored(source: Mapping[str, Any], key: str = "main/pg_hba.conf") -> set[tuple[str, str]]:
    """Rules and verdicts for an object with an asset."""
    found = in_process([sent(OBJECT, "object", {"bucket": "b", "key": key, "source": dict(source)})])
    return {(rule, verdict) for rule, _, verdict in found}


def violated(source: Mapping[str, Any], key: str = "main/pg_hba.conf") -> set[str]:
    return {rule for rule, verdict in stored(source, key) if verdict == "violated"}


def undecided(source: Mapping[str, Any], key: str = "main/pg_hba.conf") -> set[str]:
    return {rule for rule, verdict in stored(source, key) if verdict == "undecided"}


def function(code: Mapping[str, Any]) -> set[str]:
    return ids(in_process([sent(LAMBDA, "function", {"code": dict(code)})]))


def zipped(files: Mapping[str, str]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return made.getvalue()


def tarred(files: Mapping[str, str]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return made.getvalue()


def test_a_file_is_read_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "weak").write_text(WEAK)
    (tmp_path / "good").write_text(HBA)
    monkeypatch.chdir(tmp_path)
    digest = hashlib.sha256(WEAK.encode()).hexdigest()
    assert violated({**ASSET, "path": "weak", "hash": digest}) == {"N04"}
    assert stored({**ASSET, "path": "good"}) == set()
    assert violated({**ASSET, "path": str(tmp_path / "weak")}) == {"N04"}


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "hba"
    file.write_text(WEAK)
    assert violated({**ASSET, "path": str(file)}) == {"N04"}
    file.write_text(HBA + "\n")
    assert stored({**ASSET, "path": str(file)}) == set()


@pytest.mark.parametrize("name", ["absent", "other", "large", "uri"])
def test_what_cannot_be_read_is_undecided(name: str, tmp_path: Path) -> None:
    (tmp_path / "other").write_text(HBA)
    (tmp_path / "large").write_text("# x\n" * (assets.LARGEST_FILE // 4 + 1))
    source = {**ASSET, "path": str(tmp_path / name), "hash": "0" * 64 if name == "other" else ""}
    source = {**ASSET, "uri": "https://example.com/pg_hba.conf"} if name == "uri" else source
    assert {"N01", "N04", "N09", *UNREAD} <= undecided(source)
    assert violated(source) == set()


def test_a_large_picture_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\0" * assets.LARGEST_FILE)
    assert stored({**ASSET, "path": str(tmp_path / "a.png")}, "a.png") == set()


def test_archives_and_folders_are_read(tmp_path: Path) -> None:
    files = {"app/.env": "PGSSLMODE=disable\n", "app/main.py": "x = 1\n", "data/pg_hba.conf": WEAK}
    (tmp_path / "a.zip").write_bytes(zipped(files))
    (tmp_path / "a.tgz").write_bytes(tarred(files))
    for name, text in files.items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_text(text)
    for name in ("a.zip", "a.tgz", "folder"):
        assert function({**ARCHIVE, "path": str(tmp_path / name)}) == {"N04", "N86"}, name
    inner = {"x": {**ARCHIVE, "path": str(tmp_path / "a.zip")}, "y": {**ASSET, "text": "x"}}
    assert function({**ARCHIVE, "assets": inner}) == {"N04", "N86"}
    packed = base64.b64encode(zipped(files)).decode()
    made = [sent(OBJECT, "object", {"bucket": "b", "key": "a.zip", "contentBase64": packed})]
    assert ids(in_process(made)) == {"N04", "N86"}


def test_secrets_in_source_are_found_and_what_is_quoted_is_not(tmp_path: Path) -> None:
    def judged(name: str, text: str) -> set[str]:
        file = tmp_path / f"{abs(hash((name, text)))}.zip"
        file.write_bytes(zipped({name: text}))
        return function({**ARCHIVE, "path": str(file)})

    assert judged("a.py", f"KEY = '''{PEM.replace('MC4C', 'MC4C' * 9)}'''\n") == {"N31"}
    assert judged("a.py", 'KEY = "-----BEGIN PRIVATE KEY-----"\n') == set()
    assert judged("a.js", 'connect("postgres://app:swordfish@db.example/app")\n') == {"N85", "N88"}
    assert judged("a.py", 'password = "sw0rdfish"\n') == {"N88"}
    assert judged("a.py", 'PASSWORD = "password"\n') == set()
    assert judged("a.py", '"""Such as postgres://app:swordfish@db.example/app."""\n# PGPASSWORD=a\n') == set()
    assert judged("a.js", "// postgres://app:swordfish@db.example/app\nconst a = 1\n") == set()
    assert judged("README.md", "PGPASSWORD=swordfish\n") == set()


def test_packages_of_others_are_left_out(tmp_path: Path) -> None:
    text = 'connect("postgres://app:swordfish@db.example/app")\n'
    files = {
        "node_modules/pg/index.js": text,
        "lib/site-packages/x.py": text,
        "psycopg/__init__.py": text,
        "psycopg-3.3.dist-info/METADATA": text,
        "dateutil/a.py": text,
        "python_dateutil-2.9.dist-info/top_level.txt": "dateutil\n",
        "six.py": text,
        "six-1.17.dist-info/RECORD": "six.py,sha256=x,1\n",
    }
    (tmp_path / "a.zip").write_bytes(zipped(files))
    assert function({**ARCHIVE, "path": str(tmp_path / "a.zip")}) == set()
    (tmp_path / "b.zip").write_bytes(zipped({**files, "own.js": text}))
    assert function({**ARCHIVE, "path": str(tmp_path / "b.zip")}) == {"N85", "N88"}


def test_what_is_left_of_an_archive_is_undecided(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped({"inner.zip": "x", "a.txt": "x"}))
    (tmp_path / "b.zip").write_bytes(b"PK\x03\x04 damaged")
    for name in ("a.zip", "b.zip"):
        given = sent(LAMBDA, "function", {"code": {**ARCHIVE, "path": str(tmp_path / name)}})
        assert ids(in_process([given]), "undecided") >= UNREAD, name
    given = sent(LAMBDA, "function", {"code": {**ARCHIVE, "uri": "https://example.com/a.zip"}})
    assert ids(in_process([given]), "undecided") >= UNREAD


def test_a_copy_from_elsewhere_is_undecided_by_its_name() -> None:
    copy = {"bucket": "b", "source": "other/x", "key": "main/pg_hba.conf"}
    assert ids(in_process([sent("aws:s3/objectCopy:ObjectCopy", "copy", copy)]), "undecided") >= UNREAD
    file = {"localPath": "x", "remotePath": "/etc/postgresql/17/main/pg_hba.conf"}
    assert ids(in_process([sent("command:remote:CopyFile", "copy", file)]), "undecided") >= UNREAD
