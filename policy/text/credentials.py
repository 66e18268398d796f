"""Credentials in text: passwords, keys and tokens by their form, and by the name of a variable.

Only literals count. A reference to a variable or to a secret store, and a placeholder, are what a text should
have instead.
"""

from __future__ import annotations

import re
from functools import lru_cache

from policy.rule import Problem
from policy.text.connection_strings import connection_strings
from policy.text.embedded_text import Text

_CREDENTIALS = (
    ("an AWS access key", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    ("an AWS secret key", re.compile(r"(?i)aws_secret_access_key\s*[=:]\s*[\"']?[A-Za-z0-9/+]{40}\b")),
    ("a PostgreSQL password", re.compile(r"\bPGPASSWORD\s*=\s*[\"']?(?P<value>[^\s\"']+)")),
    (
        "a role's password",
        re.compile(r"(?i)\b(?:CREATE|ALTER)\s+(?:USER|ROLE)\b[^;\n]*\bPASSWORD\s+'(?![:])(?P<value>[^']+)'"),
    ),
    (
        # Without quotes only as in shell and systemd files: in a program this would be an expression.
        "a password",
        re.compile(
            r"(?m)^[ \t]*(?:export[ \t]+|Environment=[\"']?|ENV[ \t]+)?"
            r"[A-Z0-9_]*(?:PASSWORD|PASSWD|SECRET|TOKEN)[A-Z0-9_]*"
            r"=[\"']?(?P<value>[^\s\"'(),]{6,})[\"']?[ \t]*$"
        ),
    ),
    (
        "a password",
        re.compile(
            r"(?im)^[ \t]*[\w.-]*(?:password|passwd|secret|token)\w*[ \t]*[=:][ \t]*"
            r"(?P<quote>[\"'])(?P<value>[^\s\"']{6,})(?P=quote)[ \t]*,?[ \t]*$"
        ),
    ),
    ("a GitHub token", re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36,}\b")),
)
# Settings whose names contain such a word, although their values are not secret, and references.
_NOT_SECRET = re.compile(
    r"(?im)^[ \t]*(?:export[ \t]+)?(?:password_encryption|http_?tokens?"
    r"|\w*(?:secret|password|token)_?(?:arn|id|name|file|path|version|command)\w*)[ \t]*[=:].*$"
    r"|^[ \t]*(?:export[ \t]+|ENV[ \t]+)?\w+[ \t]*[=:][ \t]*[\"']?"
    r"(?:arn:|/(?!/)|REPLACE|CHANGE_ME|resolve:).*$"
)
_PASSWORD_NAME = re.compile(
    r"[A-Z0-9_]*(?:PASSWORD|PASSWD|PASSPHRASE)"
    r"|(?:[A-Z0-9_]*_)?(?:SECRET|TOKEN|API_?KEY|ACCESS_KEY|SECRET_KEY)|MYSQL_PWD"
    r"|(?i:[\w./-]*(?:password|passwd))"
)
_REFERENCE = re.compile(
    r"[$<{%!*\[]|arn:|/|(?:file|https?|vault|ssm|secretsmanager|awssm|op|env|resolve)[:.]|ENC\["
    r"|(?i:lock|replace|change_me|your[-_ ]|x{3,}"
    r"|(?:none|null|nil|true|false|yes|no|on|off|[01]?|required|optional|enabled|disabled)$)"
)
"""What a value begins with that is no literal password: a variable, a placeholder, a path, a reference."""


_IS_WORD = re.compile(r"[A-Za-z_. -]*|\W*")
"""In a program: the name of a thing rather than a secret."""


def has_password_name(name: str) -> bool:
    """Whether a variable's or key's name says that its value is a password, a key or a token."""
    return _PASSWORD_NAME.fullmatch(name) is not None


def credential_in(text: Text) -> Problem | None:
    """The first credential in a text; neither it nor the text around it is shown."""
    if text.is_documentation:
        return None
    if has_password_name(text.name.rpartition("/")[2]) and _is_literal(text.content):
        return Problem(at=text.place(), reason="it is a password")
    found = _found(text.content, text.is_source)
    return Problem(at=text.place_of(found[0]), reason=f"it holds {found[1]}") if found else None


def _is_literal(content: str) -> bool:
    value = content.strip().strip("\"'")
    return value != "" and re.search(r"\s", value) is None and _REFERENCE.match(value) is None


@lru_cache(maxsize=1024)
def _found(content: str, is_source: bool) -> tuple[int, str] | None:
    """Offset and kind of the first credential."""
    searched = _NOT_SECRET.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), content)
    for what, pattern in _CREDENTIALS:
        for match in pattern.finditer(searched):
            if "value" not in pattern.groupindex or (
                _is_literal(match["value"]) and not (is_source and _IS_WORD.fullmatch(match["value"]))
            ):
                return match.start(), what
    for each in connection_strings(searched):
        if each.has_password and not (is_source and each.is_local):
            return each.offset, "a password in a connection string"
    return None
