"""What is wrong with a configuration, reported as one line per problem."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PROJECT = "passwordless-postgres"

Path = tuple[str | int, ...]

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_SECRET_NAME = re.compile(
    r"password(?!_enc)|passphrase|token|credential|private_?key|secret(?!readers)", re.IGNORECASE
)
_SECRET_VALUE = re.compile(
    r"PRIVATE KEY|^v1:[A-Za-z0-9+/=]+:|\[secret\]|AKIA[0-9A-Z]{16}|://[^/]*:[^/]*@|password\s*=",
    re.IGNORECASE,
)
_LONGEST_SHOWN = 100
ABSENT: Any = object()


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        path: Leads from the section to the place, with the keys as the user wrote them.
        message: What is wrong, and what to do.
        value: What stands there; ABSENT: it is not shown.
        reads: The places that the finding depends on; it is not reported when one of them has a problem
            of its own. Empty: `path`.
    """

    path: Path
    message: str
    value: Any = ABSENT
    reads: tuple[Path, ...] = ()

    def depends_on(self, lost: Iterable[Path]) -> bool:
        """Whether one of the `lost` places is among what this finding reads."""
        reads = self.reads or (self.path,)
        return any(read[: len(path)] == path[: len(read)] for path in lost for read in reads)


class SettingsError(ValueError):
    """A configuration that cannot be used; `str()` is one line for each of `problems`."""

    def __init__(
        self,
        problems: Sequence[Problem],
        *,
        source: str = "",
        lines: Mapping[Path, int] | None = None,
    ) -> None:
        """List the problems; `source` and `lines` say in which file and on which lines they are."""
        self.problems = tuple(problems)
        super().__init__(
            "\n".join(
                _printable(_position(each.path, source, lines or {}) + _line(each)) for each in self.problems
            )
        )


def written(path: Path) -> str:
    """The path as `pulumi config --path` takes it, such as `passwordless-postgres:tags.owner`."""
    section, *rest = path or ("",)
    return f"{PROJECT}:{section}" + "".join(_step(step) for step in rest)


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if _PLAIN_KEY.fullmatch(step) else f"[{json.dumps(step)}]"


def _position(path: Path, source: str, lines: Mapping[Path, int]) -> str:
    # A missing key has no line of its own, so the nearest enclosing one is named.
    line = next((lines[path[:length]] for length in range(len(path), -1, -1) if path[:length] in lines), None)
    if not source:
        return ""
    return f"{source}:{line}: " if line else f"{source}: "


def _line(problem: Problem) -> str:
    where = f"{written(problem.path)}: " if problem.path else ""
    value = "" if problem.value is ABSENT else f"{_shown(problem.value)} "
    return where + value + " ".join(problem.message.split())


def _shown(value: Any) -> str:
    """A value for people: as JSON, cut when long, and only its kind when it has parts."""
    if isinstance(value, (Mapping, list, tuple)):
        return "a mapping" if isinstance(value, Mapping) else "a list"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"


def _printable(line: str) -> str:
    """The line with control characters escaped: a terminal or log would break the line or obey them."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in line
    )


def may_be_secret(path: Path, value: Any) -> bool:
    """Whether a value that is wrong where it stands could be a secret that somebody put there."""
    names = (step for step in path if isinstance(step, str))
    return any(_SECRET_NAME.search(name) for name in names) or (
        isinstance(value, str) and bool(_SECRET_VALUE.search(value))
    )
