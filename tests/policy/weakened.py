"""The program with one of its sources weakened, judged by the pack: `python -m tests.policy.weakened`.

Each case runs in a process of its own, forked once the SDKs are loaded and before anything of ours is. So the
program and the pack see the same weakened module, as they would in a copy of the checkout. It reads cases as
JSON from standard input and writes the rules that stop each as JSON.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module with one text in it replaced, and keeps no bytecode of that."""

    def __init__(self, name: str, path: str, old: str, new: str) -> None:
        super().__init__(name, path)
        self._old, self._new = old, new

    def get_code(self, fullname: str) -> Any:
        text = self.get_data(self.path).decode()
        if self._old not in text:
            raise AssertionError(f"{self.path} has no {self._old!r}: state how it is weakened now")
        return self.source_to_code(text.replace(self._old, self._new).encode(), self.path)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, edit: Mapping[str, str]) -> None:
        self._name = edit["file"].removesuffix(".py").replace("/", ".")
        self._edit = edit

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> Any:
        if fullname != self._name:
            return None
        file = str(ROOT / self._edit["file"])
        loader = _Loader(fullname, file, self._edit["old"], self._edit["new"])
        return importlib.util.spec_from_file_location(fullname, file, loader=loader)


def stopping(case: Mapping[str, Any]) -> list[str]:
    """The rules that stop the stack of a case."""
    sys.meta_path[:0] = map(_Finder, case["edits"])
    from policy.enforcement import Level
    from policy.pack import Pack
    from policy.resources import Stack
    from policy.rules import RULES
    from tests.policy.examples import resource
    from tests.policy.test_program import registered
    from tests.test_program import run, sections_of

    pack = Pack(rules=RULES)
    resources = [resource(each) for each in registered(run(sections_of(case["stack"]), case["stack"]))]
    reported = [found for each in resources for found in pack.of_resource(each)]
    reported += pack.of_stack(Stack(resources))
    return sorted({each.finding.rule.id for each in reported if each.level is Level.MANDATORY})


def _in_a_process_of_its_own(case: Mapping[str, Any]) -> list[str] | str:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            said: list[str] | str = stopping(case)
        except Exception as error:  # noqa: BLE001 - the parent says which case failed, and how
            said = f"{type(error).__name__}: {error}"
        with os.fdopen(writing, "w") as pipe:
            json.dump(said, pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = json.load(pipe)
    os.waitpid(child, 0)
    return said


if __name__ == "__main__":
    # The SDKs take seconds to load, so they are loaded before the first fork.
    for sdk in ("pulumi_aws", "pulumi_postgresql", "pulumi_tls"):
        importlib.import_module(sdk)
    json.dump([_in_a_process_of_its_own(case) for case in json.load(sys.stdin)], sys.stdout)
