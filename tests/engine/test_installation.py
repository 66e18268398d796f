"""Which engine is taken, and that a half-made one never is."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import pytest
from rich.console import Console

from engine import go_modules, official_installer
from engine import installation as engine
from engine.progress import Progress


def make_engine(folder: Path, version: str = engine.ENGINE_VERSION, *, without: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in engine.COMMANDS:
        if name != without:
            (folder / name).write_text(f"#!/bin/sh\necho v{version}\n")
            (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty PATH and cache; the makers fail unless a test says otherwise."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.delenv(engine.ENGINE_VARIABLE, raising=False)

    def unreachable(target: Path, version: str, step: object) -> None:
        raise official_installer.InstallerError("no reach")

    def no_go(target: Path, version: str, step: object) -> None:
        raise go_modules.BuildError("there is no `go` on PATH")

    monkeypatch.setattr(official_installer, "install", unreachable)
    monkeypatch.setattr(go_modules, "build", no_go)
    return tmp_path


@pytest.fixture
def progress() -> Progress:
    return Progress(Console(file=io.StringIO()))


def test_an_engine_on_the_path_is_preferred_to_the_cache(surroundings, progress, monkeypatch) -> None:
    make_engine(engine.cache_folder() / "bin")
    installed = make_engine(surroundings / "installed", "3.300.1")
    monkeypatch.setenv("PATH", f"{installed}:/usr/bin:/bin")
    found = engine.ensure(progress)
    assert (found.folder, found.version, found.origin) == (installed, "3.300.1", "PATH")


def test_a_link_on_the_path_leads_to_the_language_host_beside_the_real_file(
    surroundings, progress, monkeypatch
) -> None:
    installed = make_engine(surroundings / "installed")
    links = surroundings / "links"
    links.mkdir()
    (links / "pulumi").symlink_to(installed / "pulumi")
    monkeypatch.setenv("PATH", f"{links}:/usr/bin:/bin")
    assert engine.ensure(progress).folder == installed


@pytest.mark.parametrize(
    ("version", "without"),
    [("3.258.9", ""), ("4.0.0", ""), (engine.ENGINE_VERSION, "pulumi-language-python")],
)
def test_an_unsuitable_engine_on_the_path_gives_way_to_the_cache(
    surroundings, progress, monkeypatch, version: str, without: str
) -> None:
    cached = make_engine(engine.cache_folder() / "bin")
    installed = make_engine(surroundings / "installed", version, without=without)
    monkeypatch.setenv("PATH", f"{installed}:/usr/bin:/bin")
    assert engine.ensure(progress).folder == cached


def test_the_installer_comes_before_go(surroundings, progress, monkeypatch) -> None:
    monkeypatch.setattr(
        official_installer, "install", lambda target, version, step: make_engine(target / "bin", version)
    )
    found = engine.ensure(progress)
    assert found.origin == "the official installer"
    assert found.folder == engine.cache_folder() / "bin"


def test_go_builds_it_when_the_installer_cannot_be_reached(surroundings, progress, monkeypatch) -> None:
    def build(target: Path, version: str, step: object) -> None:
        (target / "modules").mkdir()
        make_engine(target / "bin", version)

    monkeypatch.setattr(go_modules, "build", build)
    found = engine.ensure(progress)
    assert found.origin == "Go modules"
    assert sorted(path.name for path in engine.cache_folder().iterdir()) == ["bin"]
    assert sorted(path.name for path in engine.cache_folder().parent.iterdir()) == [
        engine.cache_folder().name,
        f"{engine.cache_folder().name}.lock",
    ]


def test_a_half_finished_build_is_gone_on_with_and_never_used(surroundings, progress, monkeypatch) -> None:
    partial = engine.cache_folder().with_name(f"{engine.cache_folder().name}.partial")
    make_engine(partial / "bin", without="pulumi-language-python-exec")
    (partial / "build").mkdir()

    def build(target: Path, version: str, step: object) -> None:
        assert target == partial
        assert (target / "build").is_dir()
        make_engine(target / "bin", version)

    monkeypatch.setattr(go_modules, "build", build)
    assert engine.ensure(progress).folder == engine.cache_folder() / "bin"
    assert not partial.exists()


def test_a_finished_build_that_was_not_yet_renamed_is_not_built_again(surroundings, progress) -> None:
    partial = engine.cache_folder().with_name(f"{engine.cache_folder().name}.partial")
    make_engine(partial / "bin")
    assert engine.ensure(progress).folder == engine.cache_folder() / "bin"


def test_a_maker_whose_engine_does_not_answer_is_not_believed(surroundings, progress, monkeypatch) -> None:
    monkeypatch.setattr(
        official_installer, "install", lambda target, version, step: make_engine(target / "bin", "3.1.0")
    )
    with pytest.raises(engine.EngineError, match=r"has version 3\.1\.0, needed is >= 3\.259\.0"):
        engine.ensure(progress)
    assert not engine.cache_folder().exists()


def test_without_any_way_the_error_names_all_that_was_tried_and_what_to_install(
    surroundings, progress
) -> None:
    with pytest.raises(engine.EngineError) as caught:
        engine.ensure(progress)
    text = str(caught.value)
    for part in (
        "no pulumi on PATH",
        "no reach",
        "there is no `go` on PATH",
        "Install Pulumi >= 3.259.0",
        "1.25.11",
    ):
        assert part in text


def test_a_named_folder_comes_first(surroundings, progress, monkeypatch) -> None:
    named = make_engine(surroundings / "named")
    make_engine(engine.cache_folder() / "bin")
    monkeypatch.setenv(engine.ENGINE_VARIABLE, str(named))
    assert engine.ensure(progress).folder == named


def test_two_set_ups_at_once_make_it_once(surroundings, progress, monkeypatch) -> None:
    builds: list[Path] = []
    building = threading.Barrier(2, timeout=5)

    def build(target: Path, version: str, step: object) -> None:
        builds.append(target)
        building.wait()
        make_engine(target / "bin", version)

    monkeypatch.setattr(go_modules, "build", build)
    threads = [threading.Thread(target=engine.ensure, args=(progress,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    building.wait()
    for thread in threads:
        thread.join(10)
    assert len(builds) == 1


def test_a_cache_that_cannot_be_written_is_explained(surroundings, progress, monkeypatch) -> None:
    blocked = surroundings / "file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    with pytest.raises(engine.EngineError, match="set XDG_CACHE_HOME"):
        engine.ensure(progress)


@pytest.mark.parametrize(
    ("given", "expected"), [("/x/cache", "/x/cache"), ("", "~/.cache"), ("relative", "~/.cache")]
)
def test_the_cache_follows_the_xdg_rules(given: str, expected: str) -> None:
    wanted = Path(expected).expanduser() / "passwordless-postgres" / "engine"
    assert engine.cache_root({"XDG_CACHE_HOME": given}) == wanted


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v3.259.0", (3, 259, 0)),
        ("3.260.0-alpha.1+dirty", (3, 260, 0)),
        ("go version go1.26 linux", (1, 26, 0)),
    ],
)
def test_versions_are_read(text: str, version: tuple[int, int, int]) -> None:
    assert engine.parse_version(text) == version


def test_asking_for_its_version_leaves_nothing_in_the_users_home(surroundings, progress, monkeypatch) -> None:
    home = surroundings / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("PULUMI_HOME", raising=False)
    installed = make_engine(surroundings / "installed")
    (installed / "pulumi").write_text(
        f'#!/bin/sh\nmkdir -p "${{PULUMI_HOME:-$HOME/.pulumi}}/logs"\necho v{engine.ENGINE_VERSION}\n'
    )
    monkeypatch.setenv("PATH", f"{installed}:/usr/bin:/bin")
    assert engine.ensure(progress).folder == installed
    assert list(home.iterdir()) == []
