"""Log in as every role, try what must be refused, and say what was seen."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from pgpasswordless.errors import StackError
from pgpasswordless.gateway_client import GATEWAY
from pgpasswordless.stack import Stack
from pgpasswordless.verify import certificate_login, token_login
from pgpasswordless.verify.gateway import verify_gateway
from pgpasswordless.verify.result import Check, Findings, Verification

RULE_DEADLINE_SECONDS = 30.0


def verify(
    stack: Stack,
    *,
    databases: Sequence[str] = (),
    require_rule: bool = False,
    rule_deadline_seconds: float = RULE_DEADLINE_SECONDS,
) -> Verification:
    """Verify the databases of a stack.

    Keys are kept in a temporary private directory and removed at the end.

    Args:
        stack: what `load` returned.
        databases: names in the connections document, `gateway` for the gateway; everything when empty.
        require_rule: an unreadable server log is a failed check, where roles log in by certificate.
        rule_deadline_seconds: how long to wait for the server's log, per database.

    Raises:
        UnknownNameError: the stack has no database of a given name.
        StackError: the stack has no database at all.
    """
    names = list(dict.fromkeys(databases)) or _everything(stack)
    if not names:
        raise StackError(f"stack {stack.name!r} has no database to verify; deploy one")
    found: list[Findings] = []
    for name in names:
        with tempfile.TemporaryDirectory(prefix="pgpasswordless-") as directory:
            folder = Path(directory)
            if name == GATEWAY:
                found.append(verify_gateway(stack, folder))
                continue
            server = stack.database(name)
            if not server.roles:
                lacking = Check(name="roles", database=name, passed=False, detail="no role to log in as")
                found.append(Findings(logins=(), checks=(lacking,), notes=()))
            elif server.authentication == "iam":
                found.append(token_login.verify_database(stack, name, folder))
            else:
                found.append(
                    certificate_login.verify_database(
                        stack,
                        name,
                        folder,
                        require_rule=require_rule,
                        rule_deadline_seconds=rule_deadline_seconds,
                    )
                )
    checks = tuple(check for each in found for check in each.checks)
    return Verification(
        stack=stack.name,
        passed=all(check.passed for check in checks),
        logins=tuple(login for each in found for login in each.logins),
        checks=checks,
        notes=tuple(note for each in found for note in each.notes),
    )


def _everything(stack: Stack) -> list[str]:
    gateway = [GATEWAY] if stack.connections.gateway else []
    return [*sorted(stack.connections.databases), *gateway]
