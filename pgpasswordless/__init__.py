"""For applications and people: the connections document, settings per driver, show and verify.

An application needs three lines::

    import psycopg, pgpasswordless

    stack = pgpasswordless.load("prod")
    settings = pgpasswordless.settings_for("psycopg", stack, database="self-managed", role="app_user")
    connection = psycopg.connect(**settings.keywords)

`settings_for` fetches the role's certificate and key from Secrets Manager into a private
directory and reuses them while they are unchanged; call it again to pick up a renewed
certificate. A database of RDS takes a token instead, a new one for each connection::

    token = pgpasswordless.token_source(stack, database="rds", role="app_user")
    connection = psycopg.connect(**settings.keywords, password=token())

Every expected error is a `PgpasswordlessError`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pgpasswordless.connections import Connections, Database, RoleConnection
    from pgpasswordless.drivers import Driver, DriverSettings
    from pgpasswordless.errors import (
        IdentityError,
        NotSupportedError,
        PgpasswordlessError,
        StackError,
        TokenError,
        UnknownNameError,
    )
    from pgpasswordless.identity_files import IdentityFiles
    from pgpasswordless.login import fetch_identity, settings_for, token_source
    from pgpasswordless.stack import Stack, load
    from pgpasswordless.tokens import TokenSource

__all__ = [
    "Connections",
    "Database",
    "Driver",
    "DriverSettings",
    "IdentityError",
    "IdentityFiles",
    "NotSupportedError",
    "PgpasswordlessError",
    "RoleConnection",
    "Stack",
    "StackError",
    "TokenError",
    "TokenSource",
    "UnknownNameError",
    "fetch_identity",
    "load",
    "settings_for",
    "token_source",
]

_MODULES = {
    "connections": ("Connections", "Database", "RoleConnection"),
    "drivers": ("Driver", "DriverSettings"),
    "errors": (
        "IdentityError",
        "NotSupportedError",
        "PgpasswordlessError",
        "StackError",
        "TokenError",
        "UnknownNameError",
    ),
    "identity_files": ("IdentityFiles",),
    "login": ("fetch_identity", "settings_for", "token_source"),
    "stack": ("Stack", "load"),
    "tokens": ("TokenSource",),
}


# Modules are imported at first use: a program that needs only the document's model (a Pulumi program)
# does not wait for boto3 and psycopg.
def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
