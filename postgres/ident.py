"""pg_ident.conf: who, by certificate or operating system, may log in as which role."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from postgres.authentication_file import (
    Line,
    literal_of_regex,
    logical_lines,
    quote,
    quote_where_needed,
    regex_of_literal,
    unquotable,
)
from postgres.syntax_error import FileSyntaxError
from postgres.versions import SUPPORTED_MAJORS, require_supported

HEADER = "# Written by passwordless-postgres: MAP, SYSTEM USER, DATABASE USER. Changes by hand are lost."

# What matches itself. A backslash before a letter, digit or underscore means a class or a reference.
_LITERAL = r"(?:[^\\^$.*+?()\[\]{}|]|\\[^A-Za-z0-9_\u0080-\U0010ffff])"
_EXPRESSION = re.compile(rf"\^({_LITERAL}*)(?:\(({_LITERAL}+)\)({_LITERAL}*))?\$")
_LEGAL_BEGINNING = re.compile(rf"\^{_LITERAL}*(?:\({_LITERAL}+(?:\){_LITERAL}*)?)?")


class IdentSyntaxError(FileSyntaxError):
    """A pg_ident.conf that PostgreSQL would refuse, or that maps more than the names it contains."""


@dataclass(frozen=True, kw_only=True)
class IdentMapping:
    r"""One line. `system_user` is exactly the name that the system or the certificate gives.

    For `clientname=DN` that is the subject in RFC 2253 order, `CN=app,OU=unit,O=organisation`. With
    `regex` it is an expression that matches one name, without the leading slash: `^`, the name, `$`, where
    a backslash precedes each special character. It may have one group, which `database_user` takes as
    `\1`. `database_user` is a role's name, never a keyword.
    """

    map_name: str
    system_user: str
    database_user: str
    regex: bool = False

    @property
    def login(self) -> tuple[str, str]:
        """The one name that the line lets in, and the role that it lets it in as.

        Raises:
            ValueError: ident_problems finds something.
        """
        if problems := ident_problems(self):
            raise ValueError("; ".join(problems))
        if not self.regex:
            return self.system_user, self.database_user
        matched = _EXPRESSION.fullmatch(self.system_user)
        assert matched is not None  # noqa: S101 - ident_problems found nothing
        before, group, after = (_unescaped(part or "") for part in matched.groups())
        return before + group + after, self.database_user.replace(r"\1", group, 1)


def ident_problems(mapping: IdentMapping) -> list[str]:
    """Why `mapping` must not be written; empty when it may."""
    problems: list[str] = []
    named = {
        "map": mapping.map_name,
        "system user": mapping.system_user,
        "database user": mapping.database_user,
    }
    for what, text in named.items():
        if not text:
            problems.append(f"{what} is empty; give a name")
        elif unquotable(text):
            problems.append(
                f"{what} {text!r} has a line end, a carriage return or NUL, which cannot be quoted"
            )
    if mapping.map_name.startswith("/"):
        problems.append(f"map {mapping.map_name!r} begins with '/'; choose a name")
    if mapping.regex and not problems:
        problems += _expression_problems(mapping.system_user, mapping.database_user)
    return problems


def render_ident(mappings: Iterable[IdentMapping], major: int = SUPPORTED_MAJORS[-1]) -> str:
    """The file with `mappings`; parse_ident gives them back.

    Raises:
        ValueError: ident_problems finds something; the message lists everything.
    """
    require_supported(major)
    mappings = list(mappings)
    problems = [
        f"mapping {number}: {problem}"
        for number, mapping in enumerate(mappings, start=1)
        for problem in ident_problems(mapping)
    ]
    if problems:
        raise ValueError("; ".join(problems))
    return "\n".join([HEADER, "", *(_mapping_line(mapping, major) for mapping in mappings)]) + "\n"


def parse_ident(text: str, major: int = SUPPORTED_MAJORS[-1]) -> list[IdentMapping]:
    """The mappings of `text` in order.

    Stricter than PostgreSQL: includes, expressions that do not spell out one name, and `all`, `+group` or
    `/…` as database user are refused, because they match more than one name.

    Raises:
        IdentSyntaxError: with every fault of the file.
    """
    require_supported(major)
    mappings: list[IdentMapping] = []
    problems: list[str] = []
    for line in logical_lines(text):
        found = list(line.problems) or _shape_problems(line, major)
        if not found:
            mapping = _mapping(line, major)
            found = ident_problems(mapping)
            mappings.append(mapping)
        problems += [f"pg_ident.conf line {line.number}: {problem}" for problem in found]
    if problems:
        raise IdentSyntaxError(problems)
    return mappings


def _mapping_line(mapping: IdentMapping, major: int) -> str:
    if mapping.regex:
        system_user = quote("/" + mapping.system_user)
    elif mapping.system_user.startswith("/"):
        system_user = quote(regex_of_literal(mapping.system_user))
    else:
        system_user = quote_where_needed(mapping.system_user)
    database_user = mapping.database_user
    if database_user.startswith("/") and major >= 16:
        database_user = quote(regex_of_literal(database_user))
    elif database_user == "all":
        database_user = quote(database_user)
    else:
        database_user = quote_where_needed(database_user)
    return f"{quote_where_needed(mapping.map_name)} {system_user} {database_user}"


def _shape_problems(line: Line, major: int) -> list[str]:
    if len(line.fields) != 3:
        return [f"has {len(line.fields)} fields; give map, system user and database user"]
    if any(len(tokens) > 1 for tokens in line.fields):
        return ["has a comma outside quotes; quote the name"]
    database_user = line.fields[2][0]
    if major < 16:
        return []
    grants_many = database_user.is_keyword("all") or (
        not database_user.quoted and database_user.text.startswith("+")
    )
    expression = database_user.text.startswith("/") and not (
        literal_of_regex(database_user.text) or ""
    ).startswith("/")
    if grants_many or expression:
        return [f"database user {database_user.text!r} means more than one role; name the role"]
    return []


def _mapping(line: Line, major: int) -> IdentMapping:
    map_name, system_user, database_user = (tokens[0].text for tokens in line.fields)
    regex = system_user.startswith("/")
    if regex:
        literal = literal_of_regex(system_user)
        if literal is not None and literal.startswith("/"):
            system_user, regex = literal, False
        else:
            system_user = system_user[1:]
    if major >= 16 and database_user.startswith("/"):
        database_user = literal_of_regex(database_user) or database_user
    return IdentMapping(map_name=map_name, system_user=system_user, database_user=database_user, regex=regex)


def _expression_problems(expression: str, database_user: str) -> list[str]:
    """Why an expression could match another name than the one it spells out."""
    if not (matched := _EXPRESSION.fullmatch(expression)):
        legal = _LEGAL_BEGINNING.match(expression)
        position = legal.end() if legal else 0
        character = expression[position : position + 1] or "missing"
        problem = f"expression {expression!r} is not one name between ^ and $: character {position + 1} is "
        problem += f"{character!r}, which matches other names too or ends the name early; write one line "
        return [problem + r"per name, with a backslash before each of \ ^ $ . * + ? ( ) [ ] { } |"]
    if r"\1" in database_user and matched[2] is None:
        problem = rf"database user {database_user!r} takes \1, but expression {expression!r} has no group"
        return [f"{problem}; put the name into parentheses"]
    return []


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)
