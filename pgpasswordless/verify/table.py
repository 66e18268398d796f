"""The tables that `verify` prints for people."""

from __future__ import annotations

from pathlib import PurePosixPath

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pgpasswordless.verify.result import Check, Login, Verification

# Wide enough for every column where no terminal limits the width: a file, a pipe, a CI log.
PLAIN_WIDTH = 400
# Columns of short values, which are not wrapped in a narrow terminal.
UNWRAPPED = frozenset({"database", "TLS", "certificate expiry", "check"})


def print_verification(verification: Verification, console: Console) -> None:
    """Print logins, checks and the result. The server's text is printed as it is, never as markup."""
    if verification.logins:
        logins = _table(
            "role", "database", "result", "TLS", "cipher", "certificate expiry", "rule used", "identity seen"
        )
        for login in verification.logins:
            logins.add_row(*(_plain(cell) for cell in _cells(login)))
        console.print(logins)
        console.print()
    checks = _table("check", "database", "role", "result", "detail")
    for check in verification.checks:
        checks.add_row(*_row(check))
    console.print(checks)
    for note in verification.notes:
        console.print(_plain(f"note: {note}"))
    failed = sum(not check.passed for check in verification.checks)
    if failed:
        console.print(Text(f"{failed} of {len(verification.checks)} checks failed", style="bold red"))
    else:
        console.print(Text(f"all {len(verification.checks)} checks passed", style="bold green"))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in UNWRAPPED)
    return table


def _cells(login: Login) -> list[str]:
    rule = f"unknown: {login.rule_missing}" if login.rule_missing else ""
    if login.rule:
        rule = f"{login.rule.method} {PurePosixPath(login.rule.file).name}:{login.rule.line}"
    by_token = login.authentication == "iam"
    return [
        login.role,
        login.database,
        "logged in" if login.succeeded else f"failed: {login.detail}",
        login.tls_version or "",
        login.cipher or "",
        "n/a" if by_token else login.certificate_not_after or "",
        "n/a" if by_token else rule,
        login.identity or "",
    ]


def _row(check: Check) -> list[Text]:
    result = Text("passed", style="green") if check.passed else Text("FAILED", style="bold red")
    return [
        _plain(check.name),
        _plain(check.database),
        _plain(check.role or ""),
        result,
        _plain(check.detail),
    ]


def _plain(text: str) -> Text:
    # Control characters in the server's text must not reach the terminal.
    return Text("".join(character if character.isprintable() else "�" for character in text))
