"""Files are replaced as a whole, with the permissions asked for, and never through a link."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime import files
from runtime.files import PlantedError


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


def give(path: Path, user: int = 65534) -> Path:
    """Give it to another user, as if that user had put it there."""
    os.chown(path, user, user, follow_symlinks=False)
    return path


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A folder of another user."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    return give(folder)


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A folder of ours, with a file that nobody else reads."""
    folder = tmp_path / "victim"
    (folder / "inside").mkdir(parents=True)
    (folder / "a").write_text("kept")
    (folder / "a").chmod(0o600)
    return folder


CALLS: dict[str, Callable[[Path], object]] = {
    "replace_file": lambda folder: files.replace_file(folder / "a", "new", owner=(65534, 65534)),
    "replace_link": lambda folder: files.replace_link(folder / "a", Path("elsewhere")),
    "make_directory": lambda folder: files.make_directory(folder / "b", 0o777, owner=(65534, 65534)),
    "make_directory, the link itself": lambda folder: files.make_directory(folder, 0o777),
    "make_directory above": lambda folder: files.make_directory(folder / "b/c", 0o777),
    "read_file": lambda folder: files.read_file(folder / "a"),
    "read_end": lambda folder: files.read_end(folder / "a", 10),
    "read_json_object": lambda folder: files.read_json_object(folder / "a"),
    "names": files.names,
    "regular_files": lambda folder: files.regular_files(folder, ""),
    "sync_directory": files.sync_directory,
    "remove_file": lambda folder: files.remove_file(folder / "a"),
    "remove_tree": lambda folder: files.remove_tree(folder / "inside"),
    "change_owner": lambda folder: files.change_owner(folder / "inside", 0, (65534, 65534)),
}
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of another user")


def state_of(folder: Path) -> list[tuple[str, int, int, str]]:
    return [
        (str(path), path.lstat().st_uid, path.lstat().st_mode, path.read_text() if path.is_file() else "")
        for path in [folder, *sorted(folder.rglob("*"))]
    ]


@only_root
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("relative", [False, True])
def test_another_users_link_is_not_followed(call: str, relative: bool, theirs: Path, victim: Path) -> None:
    link = theirs / "link"
    link.symlink_to(Path("..") / "victim" if relative else victim)
    before = state_of(victim)
    # Whoever may write the folder may also rename a link of ours that is in it.
    for owner in (65534, 0):
        give(link, owner)
        with pytest.raises(PlantedError, match="leads through the link link"):
            CALLS[call](link)
    # Not even once the folder is ours.
    give(theirs, 0)
    give(link)
    with pytest.raises(PlantedError, match="leads through the link link"):
        CALLS[call](link)
    assert state_of(victim) == before


@only_root
@pytest.mark.parametrize("mode", [0o1777, 0o1775, 0o775])
def test_a_link_in_a_folder_that_others_may_write_is_not_followed(
    mode: int, tmp_path: Path, victim: Path
) -> None:
    """Such as /tmp, and Debian's log folder, which is its group's."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(mode)
    (shared / "link").symlink_to(victim)
    give(shared / "link")
    with pytest.raises(PlantedError):
        files.read_file(shared / "link" / "a")
    give(shared / "link", 0)
    if mode & 0o1000:
        assert files.read_file(shared / "link" / "a") == b"kept"
    else:
        with pytest.raises(PlantedError):
            files.read_file(shared / "link" / "a")


@pytest.mark.parametrize("target", ["real", "./real", "../own/real", "{}/own/real"])
def test_our_own_links_are_followed(target: str, tmp_path: Path) -> None:
    (tmp_path / "own/real").mkdir(parents=True)
    (tmp_path / "own/link").symlink_to(target.format(tmp_path))
    folder = tmp_path / "own/link"
    files.replace_file(folder / "a", "new")
    files.make_directory(folder / "b", 0o700)
    files.make_directory(folder, 0o711)
    assert files.read_file(folder / "a") == b"new"
    assert sorted(files.names(folder)) == ["a", "b"]
    assert (tmp_path / "own/real").stat().st_mode & 0o777 == 0o711
    (tmp_path / "own/file").symlink_to("real/a")
    assert files.read_file(tmp_path / "own/file") == b"new"
    (tmp_path / "own/here").symlink_to(".")
    assert files.names(tmp_path / "own/here") == files.names(tmp_path / "own")


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="Too many levels"):
        files.read_file(tmp_path / "a" / "x")


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "device").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for name in ("fifo", "folder", "device", "socket"):
            with pytest.raises(PlantedError, match="is not a regular file"):
                files.read_file(tmp_path / name)
    assert files.regular_files(tmp_path, "") == {}


def test_no_more_is_read_than_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    os.truncate(tmp_path / "a", 1024**4)
    with pytest.raises(PlantedError, match="holds more than 100 bytes"):
        files.read_file(tmp_path / "a", most=100)
    assert files.read_end(tmp_path / "a", 3) == b"\0\0\0"
    (tmp_path / "b").write_text("abc")
    assert files.read_file(tmp_path / "b", most=3) == files.read_end(tmp_path / "b", 9) == b"abc"


@only_root
def test_a_further_name_of_our_file_is_not_read(theirs: Path, victim: Path) -> None:
    """Where the kernel does not forbid it, another user makes such a name."""
    os.link(victim / "a", theirs / "a")
    with pytest.raises(PlantedError, match="has 2 names"):
        files.read_file(theirs / "a")
    # Among our own names it is harmless.
    assert files.read_file(victim / "a") == b"kept"


@only_root
def test_a_folder_of_somebody_else_is_not_given_away(theirs: Path) -> None:
    (theirs / "roots").mkdir()
    with pytest.raises(PlantedError, match="belongs to user 0, not to 65534"):
        files.make_directory(theirs / "roots", 0o700, owner=(65534, 65534))
    assert (theirs / "roots").stat().st_uid == 0
    files.make_directory(theirs / "new", 0o700, owner=(65534, 65534))
    files.make_directory(theirs / "new", 0o750, owner=(65534, 65534))
    assert (theirs / "new").stat().st_uid == 65534


def test_what_is_removed_is_not_what_a_link_names(tmp_path: Path) -> None:
    (tmp_path / "tree/inside").mkdir(parents=True)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/a").touch()
    (tmp_path / "tree/inside/link").symlink_to(tmp_path / "kept")
    files.remove_tree(tmp_path / "tree")
    files.remove_tree(tmp_path / "tree")
    (tmp_path / "link").symlink_to("kept")
    with pytest.raises(OSError, match="symbolic link"):
        files.remove_tree(tmp_path / "link")
    files.remove_file(tmp_path / "link")
    files.remove_file(tmp_path / "link")
    assert names(tmp_path) == ["kept"]
    assert names(tmp_path / "kept") == ["a"]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    for call in (files.read_file, files.names, lambda path: files.replace_file(path / "a", "")):
        with pytest.raises(FileNotFoundError, match=str(tmp_path / "missing")):
            call(tmp_path / "missing")
