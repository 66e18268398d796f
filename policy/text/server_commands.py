"""Commands that change a server's files or settings: sed, tee, cp, curl, ALTER SYSTEM, -c and their like.

What a script writes by `cat`, `echo` or `printf` can be read, and is a file of its own. What these commands
leave behind cannot be read, except for a setting that they state.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from policy.text.weakenings import without_comments

# From where a word begins, and bounded, so that no text can make the search slow.
_PATH = r"[^\s'\"|;&<>()=]{0,200}"
_FILE = (
    rf"(?P<file>(?<![^\s'\"|;&<>()=]){_PATH}(?:pg_hba|pg_ident|postgresql(?:\.auto|\.base)?)\.conf(?![\w.~-])"
    rf"|(?<![^\s'\"|;&<>()=])(?={_PATH}(?:postgres|pgsql|PGDATA)){_PATH}/(?:postgresql\.)?conf\.d/[\w.-]{{1,100}}\.conf(?![\w.~-])"
    r"|\$\{?\w{0,40}(?:HBA|hba)\w{0,40}\}?)"
)
_QUOTED = rf"['\"]?{_FILE}['\"]?"
_END = r"[ \t]*(?:[;&|)'\"]|$)"

_MODULES = r"\b(?:lineinfile|blockinfile|replace|template|copy|get_url|ini_file)\b"

_EDITS = (
    ("sed", rf"\bsed\b[^\n]{{0,400}}?\s(?:-[A-Za-z]*i\S*|--in-place\S*)[^\n]{{0,400}}?{_FILE}"),
    ("perl", rf"\bperl\b[^\n]{{0,400}}?\s-[A-Za-z]*i\S*[^\n]{{0,400}}?{_FILE}"),
    ("ruby", rf"\bruby\b[^\n]{{0,400}}?\s-[A-Za-z]*i\S*[^\n]{{0,400}}?{_FILE}"),
    ("awk", rf"\bg?awk\b[^\n]{{0,400}}?-i\s*inplace[^\n]{{0,400}}?{_FILE}"),
    ("an editor", rf"(?:^|[;&|]|\bsudo)[ \t]*(?:ed|ex|vim?|nano)\s[^\n]{{0,400}}?{_FILE}"),
    ("patch", rf"\bpatch\b[^\n]{{0,400}}?{_FILE}"),
    ("tee", rf"\btee\s+(?:-\S+\s+)*{_QUOTED}"),
    ("a redirection", rf"(?<![&<-])>{{1,2}}[ \t]*{_QUOTED}"),
    (
        "a copy",
        rf"(?<![\w./-])(?:cp|mv|install|ln|rsync|scp)\s[^\n;&|]{{0,400}}?\s{_QUOTED}{_END}",
    ),
    (
        "a download",
        rf"\b(?:curl|wget)\b[^\n;&|]{{0,400}}?\s(?:-\w*[oO]|--output|--output-document)[ \t=]*{_QUOTED}",
    ),
    ("a download", rf"\baws\s+s3(?:api)?\s+(?:cp|mv|sync|get-object)\b[^\n;&|]{{0,400}}?\s{_QUOTED}{_END}"),
    (
        "Ansible",
        rf"{_MODULES}[^\n]{{0,300}}?(?:\n[ \t]+[^\n]{{0,300}}){{0,8}}?\b(?:path|dest)\s*[:=]\s*{_QUOTED}",
    ),
    ("Ansible", r"(?P<file>\bpostgresql_pg_hba\b)"),
    ("a program", rf"\bopen\([^)\n]{{0,300}}?{_FILE}['\"]\s*,\s*['\"][wax]"),
    ("a program", rf"{_FILE}['\"]\)\.write_(?:text|bytes)\("),
)
# Where a file of the server is named: only what is around it is searched for commands.
_NAMED = re.compile(
    r"(?:pg_hba|pg_ident|postgresql(?:\.auto|\.base)?)\.conf(?![\w.~-])|/conf\.d/|\$\{?\w{0,40}(?:HBA|hba)"
    r"|\bpostgresql_pg_hba\b"
)
_BEFORE, _AFTER = 2400, 300
_PATTERNS = tuple((by, re.compile(pattern, re.MULTILINE)) for by, pattern in _EDITS)

_SETTING = r"(?P<name>(?:ssl[\w-]{0,60}|password[_-]encryption|log[_-]connections|hba[_-]file|ident[_-]file))"
_VALUE = r"(?P<value>'[^'\n]*'|\\?\"[^\"\n\\]*\\?\"|[^\s'\";,)\]]+)"
_STATEMENTS = tuple(
    re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    for pattern in (
        rf"\bALTER\s+SYSTEM\s+SET\s+{_SETTING}\s*(?:=|\sTO\b)\s*{_VALUE}",
        rf"(?:^|[\s'\"=])-c[ \t]*['\"]?{_SETTING}[ \t]*=[ \t]*{_VALUE}",
        rf"\b(?:postgres|pg_ctl|initdb|PGOPTIONS)\b[^\n]{{0,400}}?--(?:set[ =])?{_SETTING}={_VALUE}",
        rf"\bpg_createcluster\b[^\n]{{0,400}}?\s(?:-o|--pgoption)[ =]*{_SETTING}={_VALUE}",
        rf"\bpg_conftool\b[^\n]{{0,400}}?\sset\s+{_SETTING}\s+{_VALUE}",
    )
)
_FILES = ("hba_file", "ident_file")


class Edit(NamedTuple):
    """A change of a file by a command whose result cannot be read.

    Attributes:
        offset: Where the command is.
        file: The file, as the command names it.
        by: What changes it.
        command: The command.
    """

    offset: int
    file: str
    by: str
    command: str


class Stated(NamedTuple):
    """A setting that a command states.

    Attributes:
        offset: Where it is.
        name: The setting, in lower case.
        value: Its value, without quotes.
    """

    offset: int
    name: str
    value: str


@lru_cache(maxsize=1024)
def edits(content: str) -> tuple[Edit, ...]:
    """The changes in a script, in its order; the first one of those at one place."""
    searched = _joined(content)
    found: dict[int, Edit] = {}
    for start, end in _around_names(searched):
        for by, pattern in _PATTERNS:
            for match in pattern.finditer(searched, start, end):
                at = match.start("file")
                found.setdefault(at, Edit(at, match["file"], by, match[0]))
    for each in _statements(searched):
        if each.name in _FILES or each.value.startswith("$"):
            found.setdefault(each.offset, Edit(each.offset, each.name, "a command", each.value))
    return tuple(found[start] for start in sorted(found))


def _around_names(content: str) -> list[tuple[int, int]]:
    """Where the content names files of the server, from some lines before to the end of the command."""
    spans: list[tuple[int, int]] = []
    for named in _NAMED.finditer(content):
        first = content.rfind("\n", 0, max(named.start() - _BEFORE, 0)) + 1
        start, end = max(first, named.start() - 2 * _BEFORE), named.end() + _AFTER
        if spans and start <= spans[-1][1]:
            start = spans.pop()[0]
        spans.append((start, end))
    return spans


@lru_cache(maxsize=1024)
def stated(content: str) -> tuple[Stated, ...]:
    """The settings that the commands in a text state, in its order."""
    if "ssl" not in content and "_enc" not in content and "_conn" not in content and "SYSTEM" not in content:
        return ()
    found = (each for each in _statements(_joined(content)) if not each.value.startswith("$"))
    return tuple(sorted(each for each in found if each.name not in _FILES))


def _statements(content: str) -> Iterator[Stated]:
    for pattern in _STATEMENTS:
        for match in pattern.finditer(content):
            name = match["name"].lower().replace("-", "_")
            yield Stated(match.start("name"), name, match["value"].strip("\\'\""))


def _joined(content: str) -> str:
    """The text without comments, and with what a backslash continues on one line; offsets stay."""
    return without_comments(content).replace("\\\n", "  ")
