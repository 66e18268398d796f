"""Building the engine from the Go modules that `tools/pulumi` pins: two programs and two scripts.

Everything that Go writes (modules, build cache, settings, temporary files) stays below the target folder, so
that an interrupted build continues where it stopped, and nothing is left elsewhere.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from engine.progress import Step

MODULES = Path(__file__).parent.parent / "tools" / "pulumi"
MINIMUM_GO = (1, 25, 11)
MINIMUM_GO_TEXT = "1.25.11"
# Modules 1.7 GB, build cache 1.8 GB, programs 0.2 GB.
NEEDED_BYTES = 4_000_000_000
ENGINE_PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
LANGUAGE_PACKAGE = "github.com/pulumi/pulumi/sdk/python/cmd/pulumi-language-python/v3"
SDK_MODULE = "github.com/pulumi/pulumi/sdk/v3"
VERSION_VARIABLE = f"{SDK_MODULE}/go/common/version.Version"
SCRIPTS = ("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python")


class BuildError(Exception):
    """Go is missing, too old, or failed; the text says what happened."""


def go_environment(target: Path, inherited: dict[str, str]) -> dict[str, str]:
    """The environment of Go's commands: caches below `target`, proxies as the user has set them."""
    configuration = Path(inherited.get("XDG_CONFIG_HOME") or Path(inherited.get("HOME", "/")) / ".config")
    return {
        **inherited,
        # Settings made with `go env -w` apply; Go's telemetry goes to a folder that is removed.
        "GOENV": inherited.get("GOENV") or str(configuration / "go" / "env"),
        "XDG_CONFIG_HOME": str(target / "configuration"),
        "GOPATH": str(target / "path"),
        "GOMODCACHE": str(target / "modules"),
        "GOCACHE": str(target / "build"),
        "GOTMPDIR": str(target / "temporary"),
        # Exclude everything that is not pinned: other toolchains, vendor folders, workspaces.
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-modcacherw",
        "GOWORK": "off",
        "GO111MODULE": "on",
    }


def go_problem(version_line: str) -> str | None:
    """Why a Go with this output of `go version` cannot be used; None when it can."""
    match = re.search(r"go(\d+)\.(\d+)(?:\.(\d+))?", version_line)
    if match is None:
        return f"`go version` answers {version_line.strip()!r}, which contains no release"
    if (int(match[1]), int(match[2]), int(match[3] or 0)) < MINIMUM_GO:
        return f"Go {match[0][2:]} is too old: >= {MINIMUM_GO_TEXT} is needed"
    return None


def _progress(line: str) -> str | None:
    """The progress that a line of Go's output reports, if any."""
    match = re.match(r"go: downloading (\S+) (\S+)", line)
    if match:
        return f"downloading {match[1]} {match[2]}"
    if re.fullmatch(r"[\w./~+-]+", line):
        return f"compiling {line}"
    return None


def _run(arguments: list[str], folder: Path, environment: dict[str, str], step: Step) -> None:
    """Run Go, showing what it is at.

    Raises:
        BuildError: it failed; the text has its own last words.
    """
    complaints: list[str] = []
    process = subprocess.Popen(
        arguments,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    with process:
        for line in process.stderr or ():
            detail = _progress(line.strip())
            if detail:
                step.detail = detail
            else:
                complaints.append(line.rstrip())
    if process.returncode != 0:
        raise BuildError(
            f"`{' '.join(arguments[:2])}` in {folder} ended with status {process.returncode}: "
            + " / ".join(complaints[-5:])
        )


def _ask(arguments: list[str], folder: Path, environment: dict[str, str]) -> str:
    """Run a short command of Go, and return its output.

    Raises:
        BuildError: it fails.
    """
    try:
        return subprocess.run(
            arguments,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            stdin=subprocess.DEVNULL,
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        output = getattr(error, "stderr", None) or error
        raise BuildError(f"`{' '.join(arguments)}` fails: {output}") from error


def build(target: Path, version: str, step: Step) -> None:
    """Build engine `version` and its Python language host to `target`/bin.

    Raises:
        BuildError: Go is missing, too old, or failed.
        OSError: `target` cannot be written.
    """
    go = shutil.which("go")
    if go is None:
        raise BuildError("there is no `go` on PATH")
    environment = go_environment(target, dict(os.environ))
    for name in ("bin", "temporary", "configuration"):
        (target / name).mkdir(parents=True, exist_ok=True)
    problem = go_problem(_ask([go, "version"], target, environment))
    if problem:
        raise BuildError(f"{problem} ({go})")
    missing = NEEDED_BYTES - shutil.disk_usage(target).free
    if missing > 0 and not (target / "build").exists():
        raise BuildError(
            f"{target} needs {NEEDED_BYTES >> 30} GiB while it builds; {missing >> 20} MiB more must be free"
        )
    step.say(
        "engine: building from Go modules, about 5 minutes on 2 cores the first time "
        "(needs 4 GB while it runs, keeps 0.2 GB)"
    )
    programs = (
        ("engine", ENGINE_PACKAGE, "pulumi", f"-s -w -X {VERSION_VARIABLE}=v{version}"),
        ("language", LANGUAGE_PACKAGE, "pulumi-language-python", "-s -w"),
    )
    for module, package, name, flags in programs:
        step.detail = f"reading the modules of {name}"
        output = str(target / "bin" / name)
        _run(
            [go, "build", "-mod=readonly", "-v", "-ldflags", flags, "-o", output, package],
            MODULES / module,
            environment,
            step,
        )
    answer = _ask([go, "mod", "download", "-json", SDK_MODULE], MODULES / "engine", environment)
    sources = Path(json.loads(answer)["Dir"])
    for script in SCRIPTS:
        copy = target / "bin" / Path(script).name
        shutil.copyfile(sources / script, copy)
        copy.chmod(0o755)
    # The caches are ten times the size of the engine, and nothing needs them again.
    step.detail = "removing Go's caches"
    for name in ("modules", "build", "path", "temporary", "configuration"):
        shutil.rmtree(target / name, ignore_errors=True)
