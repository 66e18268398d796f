"""From a stack, a database and a role to a login by IAM token."""

from __future__ import annotations

import shlex
import site
import sys
from pathlib import Path

from pgpasswordless import identity_files
from pgpasswordless.directories import identity_directory
from pgpasswordless.errors import NotSupportedError
from pgpasswordless.libpq import TokenTarget
from pgpasswordless.stack import CONTEXTS_VARIABLE, Stack
from pgpasswordless.tokens import TokenSource


def token_source(stack: Stack, database: str, role: str) -> TokenSource:
    """Makes tokens with which `role` logs in to `database`, with the stack's credentials.

    Raises:
        UnknownNameError: there is no such database or role.
        NotSupportedError: the database does not use IAM.
        TokenError: the document's host and region do not fit each other.
    """
    server = stack.database(database)
    stack.role(database, role)
    if server.authentication != "iam":
        raise NotSupportedError(
            f"database {database!r} of stack {stack.name!r} uses authentication {server.authentication!r}, "
            f"so there are no tokens for it; `show --database {database} --role {role}` fetches what it needs"
        )
    return TokenSource(
        host=server.host, port=server.port, user=role, region=server.region, session=stack.aws.session()
    )


def token_target(stack: Stack, database: str, role: str, directory: Path | None = None) -> TokenTarget:
    """Where and as whom `role` logs in by token, with the authorities in place as a file.

    Args:
        stack: what `load` returned.
        database: name in the connections document.
        role: name of the database role.
        directory: where the file goes; `.pgpasswordless/<stack>/<database>/<role>` when None.

    Raises:
        UnknownNameError, NotSupportedError, TokenError: as `token_source`.
        IdentityError: the file cannot be stored.
    """
    source = token_source(stack, database, role)
    server, connection = stack.database(database), stack.role(database, role)
    place = directory.absolute() if directory else identity_directory(stack.name, database, role)
    return TokenTarget(
        host=server.host,
        port=server.port,
        dbname=connection.database,
        user=role,
        max_lifetime_seconds=connection.max_lifetime_seconds,
        psql=stack.psql,
        region=source.region or "",
        trust=identity_files.write_trust(place, server.server_ca),
        token_command=token_command(stack, database, role),
    )


def token_command(stack: Stack, database: str, role: str) -> str:
    """A shell command that prints a token, from any directory and without activating an environment.

    What only Pulumi knows of, which it tells in the project's folder alone, is named by its address.
    """
    variables = {}
    package = Path(__file__).resolve().parent.parent
    if not _is_installed(package):
        variables["PYTHONPATH"] = str(package)
    if stack.contexts is not None:
        variables[CONTEXTS_VARIABLE] = str(stack.contexts.absolute())
    if stack.contexts is None and not {"--connections", "--parameter"} & set(stack.reference):
        source = token_source(stack, database, role)
        place = {"--host": source.host, "--port": str(source.port), "--user": role, "--region": source.region}
        what = [word for name, value in place.items() if value for word in (name, value)]
    else:
        what = [*stack.reference, "--database", database, "--role", role]
    words = [sys.executable, "-m", "pgpasswordless", "token", *what]
    return " ".join(
        [*(f"{name}={shlex.quote(value)}" for name, value in variables.items()), shlex.join(words)]
    )


def _is_installed(folder: Path) -> bool:
    return any(
        folder == Path(each).resolve() for each in (*site.getsitepackages(), site.getusersitepackages())
    )
