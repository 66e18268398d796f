"""`python -m policy.self_contained [--profile NAME] [FOLDER]` writes a pack that does not need the checkout.

The folder is for `pulumi policy publish` and `--policy-pack`: the pack with what it imports, its own
requirements, a virtual environment of its own, the rules of one profile, and a document about these.
"""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import sys
from pathlib import Path

from policy.catalogue import catalogue
from policy.profiles import FILE as PROFILE_FILE
from policy.profiles import Profile, rules_of
from policy.rules import RULES

CHECKOUT = Path(__file__).resolve().parent.parent
DEFAULT = CHECKOUT / "dist" / "policy-pack"
PACKAGES = ("policy", "postgres")
TOP = ("__main__.py", "PulumiPolicy.yaml")
NEEDS = ("cryptography", "grpcio", "protobuf", "pulumi", "pulumi-policy", "pyyaml")
# These write the copy and its documentation, or measure it, and need the checkout.
_LEFT_OUT = ("bench.py", "catalogue.py", "left_out.py", "self_contained.py", *TOP)
USE = """\
Install its requirements once, and pass it to preview and update:
  (cd {folder} && pulumi install)
  pulumi preview --policy-pack {folder}
  pulumi up --policy-pack {folder}"""
_PINNED = re.compile(r"^([a-z0-9-]+)==([^\s;\\]+)", re.MULTILINE)


def requirements(locked: str) -> str:
    """The pack's requirements, with the versions that the checkout's requirements.txt locks.

    Raises:
        ValueError: A requirement is not locked there.
    """
    versions = dict(_PINNED.findall(locked))
    missing = [name for name in NEEDS if name not in versions]
    if missing:
        raise ValueError(f"requirements.txt does not lock {', '.join(missing)}; the pack imports it")
    return "".join(f"{name}=={versions[name]}\n" for name in NEEDS)


def write(folder: Path, profile: Profile = Profile.EVERYTHING) -> list[Path]:
    """Write the copy, in place of an older one, and return its files relative to the folder.

    Raises:
        ValueError: The folder is not empty and holds no policy pack; it is left as it is.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / TOP[1]).exists():
        raise ValueError(f"{folder} is not empty and holds no policy pack; name another folder, or empty it")
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for package in PACKAGES:
        for source in sorted((CHECKOUT / package).rglob("*.py")):
            relative = source.relative_to(CHECKOUT)
            if source.parent != CHECKOUT / "policy" or source.name not in _LEFT_OUT:
                target = folder / relative
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(source.read_bytes())
    for name in TOP:
        text = (CHECKOUT / "policy" / name).read_text(encoding="utf-8")
        (folder / name).write_text(text.replace("virtualenv: ../.venv", "virtualenv: venv"), encoding="utf-8")
    locked = (CHECKOUT / "requirements.txt").read_text(encoding="utf-8")
    (folder / "requirements.txt").write_text(requirements(locked), encoding="utf-8")
    (folder / PROFILE_FILE.name).write_text(f"{profile}\n", encoding="utf-8")
    (folder / "policies.md").write_text(catalogue(rules_of(profile, RULES)), encoding="utf-8")
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def main(arguments: list[str]) -> int:
    """Write the copy and print how to use it; return 1 where the folder is refused."""
    parser = argparse.ArgumentParser(prog="python -m policy.self_contained")
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT)
    parser.add_argument("--profile", type=Profile, choices=list(Profile), default=Profile.EVERYTHING)
    given = parser.parse_args(arguments)
    folder = given.folder.resolve()
    try:
        files = write(folder, given.profile)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    rules = len(rules_of(given.profile, RULES))
    print(f"{folder}: {len(files)} files, profile {given.profile}, {rules} rules (policies.md)")
    print(USE.format(folder=shlex.quote(str(folder))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
