"""The build from Go modules: its refusals, its surroundings, its progress."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from engine import go_modules
from engine.progress import Step

GO = """#!/bin/sh
case "$1" in
version) echo go version go1.26.8 linux/amd64 ;;
build)
    echo "go: downloading example.org/module v1.2.3" >&2
    echo "example.org/module/package" >&2
    while [ "$1" != -o ]; do shift; done
    printf '%s\\n' "$GOMODCACHE $GOFLAGS $GOTOOLCHAIN" >"$2"; chmod 755 "$2" ;;
mod) printf '{"Dir": "%s"}' "$SDK" ;;
esac
"""


@pytest.fixture
def step() -> Step:
    return Step(Console(file=io.StringIO()), "engine")


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "go" / "go"
    program.parent.mkdir()
    program.write_text(GO)
    program.chmod(0o755)
    sdk = tmp_path / "sdk"
    for script in go_modules.SCRIPTS:
        (sdk / script).parent.mkdir(parents=True)
        (sdk / script).write_text("#!/bin/sh\n")
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("SDK", str(sdk))
    return program


def test_a_build_leaves_two_programs_two_scripts_and_no_cache(go: Path, tmp_path: Path, step: Step) -> None:
    target = tmp_path / "target"
    go_modules.build(target, "3.259.0", step)
    assert sorted(path.name for path in (target / "bin").iterdir()) == [
        "pulumi",
        "pulumi-language-python",
        "pulumi-language-python-exec",
        "pulumi-resource-pulumi-python",
    ]
    assert sorted(path.name for path in target.iterdir()) == ["bin"]
    assert (target / "bin" / "pulumi").read_text() == f"{target}/modules -modcacherw local\n"


def test_a_failing_build_tells_the_last_words_of_go(go: Path, tmp_path: Path, step: Step) -> None:
    go.write_text(
        GO.replace("build)\n", "build)\n    echo 'verifying m@v1: checksum mismatch' >&2; exit 1\n", 1)
    )
    with pytest.raises(go_modules.BuildError, match=r"status 1: verifying m@v1: checksum mismatch"):
        go_modules.build(tmp_path / "target", "3.259.0", step)


def test_without_go_it_says_so(tmp_path: Path, step: Step, monkeypatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(go_modules.BuildError, match="no `go` on PATH"):
        go_modules.build(tmp_path, "3.259.0", step)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("go version go1.25.11 linux/amd64", None),
        ("go version go1.26 linux/arm64", None),
        ("go version go1.25.10 linux/amd64", "Go 1.25.10 is too old: >= 1.25.11 is needed"),
        ("go version go1.19.8 linux/amd64", "Go 1.19.8 is too old: >= 1.25.11 is needed"),
        ("go version devel", "`go version` answers 'go version devel', which contains no release"),
    ],
)
def test_old_releases_of_go_are_refused(answer: str, problem: str | None) -> None:
    assert go_modules.go_problem(answer) == problem


def test_settings_of_the_user_that_would_change_the_build_do_not_reach_it(tmp_path: Path) -> None:
    inherited = {
        "HOME": "/home/somebody",
        "GOFLAGS": "-mod=vendor",
        "GOWORK": "/elsewhere/go.work",
        "GOPROXY": "direct",
    }
    environment = go_modules.go_environment(tmp_path, inherited)
    assert environment["GOFLAGS"] == "-modcacherw"
    assert environment["GOWORK"] == "off"
    assert environment["GOPROXY"] == "direct"
    assert environment["GOENV"] == "/home/somebody/.config/go/env"
    for name in ("GOPATH", "GOMODCACHE", "GOCACHE", "GOTMPDIR", "XDG_CONFIG_HOME"):
        assert Path(environment[name]).is_relative_to(tmp_path)


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        ("go: downloading github.com/a/b v1.2.3", "downloading github.com/a/b v1.2.3"),
        ("github.com/a/b/internal", "compiling github.com/a/b/internal"),
        ("# github.com/a/b", None),
        ("x.go:1:2: undefined: y", None),
    ],
)
def test_progress_tells_what_go_is_at(line: str, detail: str | None) -> None:
    assert go_modules._progress(line) == detail
