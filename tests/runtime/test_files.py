"""Files are replaced as a whole, with the permissions asked for, and never through a link."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime import files


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize(("content", "held"), [("\u00e4", b"\xc3\xa4"), (b"\0", b"\0")])
def test_a_file_is_written_whole(content: str | bytes, held: bytes, durable: bool, tmp_path: Path) -> None:
    files.replace_file(tmp_path / "a", "before")
    files.replace_file(tmp_path / "a", content, 0o640, durable=durable)
    assert (tmp_path / "a").read_bytes() == held
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
    assert names(tmp_path) == ["a"]


def test_permissions_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        files.replace_file(tmp_path / "a", "", 0o666)
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666


def test_a_link_in_the_place_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("kept")
    (tmp_path / "a").symlink_to("elsewhere")
    files.replace_file(tmp_path / "a", "new")
    assert not (tmp_path / "a").is_symlink()
    assert (tmp_path / "elsewhere").read_text() == "kept"


def test_a_link_in_the_place_of_the_partial_file_ends_the_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "urandom", lambda count: b"\1" * count)
    (tmp_path / "elsewhere").write_text("kept")
    (tmp_path / f".a.{'01' * 8}").symlink_to("elsewhere")
    with pytest.raises(FileExistsError):
        files.replace_file(tmp_path / "a", "new")
    assert (tmp_path / "elsewhere").read_text() == "kept"


def test_what_cannot_be_put_in_place_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "a" / "inside").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        files.replace_file(tmp_path / "a", "new")
    with pytest.raises(IsADirectoryError):
        files.replace_link(tmp_path / "a", Path("target"))
    assert names(tmp_path) == ["a"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_is_given_to_its_owner(tmp_path: Path) -> None:
    files.replace_file(tmp_path / "a", "", owner=(65534, 65534))
    status = (tmp_path / "a").stat()
    assert (status.st_uid, status.st_gid) == (65534, 65534)


def test_a_link_is_replaced(tmp_path: Path) -> None:
    files.replace_link(tmp_path / "current", Path("one"))
    files.replace_link(tmp_path / "current", Path("two"))
    assert (tmp_path / "current").readlink() == Path("two")
    assert names(tmp_path) == ["current"]


def test_folders_above_are_enterable(tmp_path: Path) -> None:
    files.make_directory(tmp_path / "a" / "b", 0o700)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(("text", "value"), [('{"a": 1}', {"a": 1}), ("[]", None), ("{", None), (None, None)])
def test_a_json_object_or_nothing(text: str | None, value: object, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "a").write_text(text)
    assert files.read_json_object(tmp_path / "a") == value
