"""The lexical rules of pg_hba.conf and pg_ident.conf (hba.c: tokenize_auth_file, next_token)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

LONGEST_VALUE = 10240
"""PostgreSQL 15 refuses a line with a value of this many bytes or more (hba.c, MAX_TOKEN)."""

_BLANK = " \t\r"
_INCLUDE_DIRECTIVES = frozenset({"include", "include_if_exists", "include_dir"})
_REGEX_SPECIAL = re.compile(r"([^A-Za-z0-9_\u0080-\U0010ffff])")
_REGEX_OF_LITERAL = re.compile(r"/\^((?:[A-Za-z0-9_\u0080-\U0010ffff]|\\[^A-Za-z0-9_\u0080-\U0010ffff])*)\$")


@dataclass(frozen=True, kw_only=True)
class Token:
    """One value of a field. `quoted`: it began with a quote, so it has no special meaning."""

    text: str
    quoted: bool

    def is_keyword(self, keyword: str) -> bool:
        """Whether PostgreSQL reads this token as `keyword`, not as a name."""
        return not self.quoted and self.text == keyword


@dataclass(frozen=True, kw_only=True)
class Line:
    """One logical line: its first physical line (from 1), the comment directly above it, its fields.

    `problems` are lexical faults that make the line unusable.
    """

    number: int
    comment: str | None
    fields: tuple[tuple[Token, ...], ...]
    problems: tuple[str, ...] = field(default=())


def quote(text: str) -> str:
    """`text` in double quotes: one token without special meaning.

    Raises:
        ValueError: it has a character that cannot be quoted (line end, carriage return, NUL).
    """
    if unquotable(text):
        raise ValueError(
            f"{text!r} cannot be written in this file: it has a line end, a carriage return or NUL"
        )
    return '"' + text.replace('"', '""') + '"'


def quote_where_needed(text: str) -> str:
    """`text` unchanged where every reader takes it for one plain word, else quoted."""
    return text if re.fullmatch(r"[A-Za-z0-9_.:/=-]+", text) else quote(text)


def unquotable(text: str) -> bool:
    """Whether no quoting can express `text`: a line end, a carriage return, a NUL or a lone surrogate."""
    return any(character in "\n\r\0" or "\ud800" <= character <= "\udfff" for character in text)


def regex_of_literal(text: str) -> str:
    """The `/…` token that matches exactly `text`."""
    return "/^" + _REGEX_SPECIAL.sub(r"\\\1", text) + "$"


def literal_of_regex(token_text: str) -> str | None:
    """The text for which regex_of_literal gives `token_text`; None for any other expression."""
    match = _REGEX_OF_LITERAL.fullmatch(token_text)
    return re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL) if match else None


def comment_problems(comment: str) -> list[str]:
    """Why `comment` cannot precede a line; a trailing backslash would swallow the next line."""
    if not comment or comment != comment.strip() or unquotable(comment) or comment.endswith("\\"):
        text = f"comment {comment!r} must be one line of text, without white space around it"
        return [f"{text} and without a backslash at its end"]
    return []


def logical_lines(text: str) -> Iterator[Line]:
    """The lines of `text` that are neither blank nor comments.

    Includes (`include…` lines and `@file` tokens) are reported as problems, never followed: this text
    does not say what an included file contains.
    """
    comment: str | None = None
    for number, content in _joined(text):
        stripped = content.strip(_BLANK)
        if stripped.startswith("#"):
            comment = stripped[1:].strip() or None
            continue
        if not stripped.strip(","):
            comment = None
            continue
        yield _line(number, content, comment)
        comment = None


def _joined(text: str) -> Iterator[tuple[int, str]]:
    content, first, continued_at = "", 0, 0
    for number, raw in enumerate(text.split("\n"), start=1):
        first = first or number
        content = (content + raw).rstrip("\r")
        # An earlier line's backslash does not continue this one.
        if content.endswith("\\") and len(content) > continued_at:
            content = content[:-1]
            continued_at = len(content)
            continue
        yield first, content
        content, first, continued_at = "", 0, 0
    if first:
        yield first, content


def _line(number: int, content: str, comment: str | None) -> Line:
    fields: list[tuple[Token, ...]] = []
    problems: list[str] = []
    if "\0" in content:
        problems.append("has a NUL, at which PostgreSQL would stop reading")
    position = 0
    while True:
        tokens, position = _field(content, position)
        if not tokens:
            break
        fields.append(tokens)
    tokens = [token for tokens in fields for token in tokens]
    problems += [
        f"{token.text!r} includes another file; write the names themselves, quoted where needed"
        for token in tokens
        if not token.quoted and len(token.text) > 1 and token.text.startswith("@")
    ]
    problems += [
        f"value {token.text[:32]!r}… has {LONGEST_VALUE} bytes or more, which PostgreSQL 15 refuses"
        for token in tokens
        if len(token.text.encode(errors="surrogatepass")) >= LONGEST_VALUE
    ]
    if fields and fields[0][0].text in _INCLUDE_DIRECTIVES:
        problems.append(f"{fields[0][0].text!r} includes other files; write the lines themselves")
    return Line(number=number, comment=comment, fields=tuple(fields), problems=tuple(problems))


def _field(content: str, position: int) -> tuple[tuple[Token, ...], int]:
    tokens: list[Token] = []
    more = True
    while more:
        token, position, more = _token(content, position)
        if token is None:
            break
        tokens.append(token)
    return tuple(tokens), position


def _token(content: str, position: int) -> tuple[Token | None, int, bool]:
    """The next token, the position after it, and whether a comma ended it. Follows hba.c, next_token."""
    end = len(content)
    while position < end and content[position] in _BLANK + ",":
        position += 1
    characters: list[str] = []
    in_quote = was_quote = saw_quote = initial_quote = comma = False
    while position < end:
        character = content[position]
        if character in _BLANK and not in_quote:
            break
        if character == "#" and not in_quote:
            position = end
            break
        if character == "," and not in_quote:
            comma = True
            position += 1
            break
        if character != '"' or was_quote:
            characters.append(character)
        was_quote = in_quote and character == '"' and not was_quote
        if character == '"':
            in_quote = not in_quote
            saw_quote = True
            initial_quote = initial_quote or not characters
        position += 1
    if not saw_quote and not characters:
        return None, position, False
    return Token(text="".join(characters), quoted=initial_quote), position, comma
