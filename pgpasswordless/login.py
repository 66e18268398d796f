"""How a role of a stack logs in: its files put in place, its token, and the settings of a driver."""

from __future__ import annotations

import shlex
import site
import sys
from datetime import datetime
from pathlib import Path

from pgpasswordless import identity, identity_files
from pgpasswordless.directories import identity_directory
from pgpasswordless.drivers import Driver, DriverSettings, render
from pgpasswordless.errors import IdentityError, NotSupportedError, UnknownNameError
from pgpasswordless.identity_files import IdentityFiles
from pgpasswordless.libpq import CertificateTarget, Target, TokenTarget
from pgpasswordless.stack import CONTEXTS_VARIABLE, DatabaseRole, Stack
from pgpasswordless.tokens import TokenSource


def settings_for(
    driver: Driver | str, stack: Stack, *, database: str, role: str, directory: Path | None = None
) -> DriverSettings:
    """The settings with which `driver` logs in as `role`, its files fetched and in place.

    Args:
        driver: a `Driver` or its value, such as `psycopg`.
        stack: what `load` returned.
        database: name of the database in the connections document.
        role: name of the database role.
        directory: where the role's files go; `.pgpasswordless/<stack>/<database>/<role>` when None.

    Raises:
        UnknownNameError: there is no such driver, database or role.
        NotSupportedError: the driver's connection string cannot carry the database's name.
        IdentityError: the role's certificate and key cannot be fetched, are wrong, or cannot be stored.
        TokenError: the document's host and region contradict each other.
    """
    try:
        known = Driver(driver)
    except ValueError:
        raise UnknownNameError(
            f"there are no settings for the driver {str(driver)!r}; there are for: {', '.join(Driver)}"
        ) from None
    return render(known, target_of(stack.database_role(database, role), directory))


def fetch_identity(
    stack: Stack, database: str, role: str, directory: Path | None = None, *, now: datetime | None = None
) -> IdentityFiles:
    """Fetch, check and store the certificate and key of one role.

    Args:
        stack: what `load` returned.
        database: name of the database in the connections document.
        role: name of the database role.
        directory: where the files go; `.pgpasswordless/<stack>/<database>/<role>` when None.
        now: the moment at which the certificate must be valid; the current one when None.

    Raises:
        UnknownNameError: there is no such database or role.
        NotSupportedError: the database uses IAM tokens, for which there are no files.
        IdentityError: certificate and key cannot be fetched, are wrong, or cannot be stored.
    """
    authentication = stack.database(database).authentication
    if authentication != "certificate":
        raise NotSupportedError(
            f"database {database!r} of stack {stack.name!r} uses authentication {authentication!r}, which has"
            " no identity to fetch; use TokenSource, or `python -m pgpasswordless token`"
        )
    return certificate_target(stack.database_role(database, role), directory, now=now).files


def token_source(stack: Stack, database: str, role: str) -> TokenSource:
    """Makes tokens with which `role` logs in to `database`, signed with the stack's credentials.

    Raises:
        UnknownNameError: there is no such database or role.
        NotSupportedError: the database does not use IAM.
        TokenError: the document's host and region contradict each other.
    """
    return source_of(stack.database_role(database, role))


def target_of(role: DatabaseRole, directory: Path | None = None) -> Target:
    """How `role` logs in, by certificate or token, with its files in place.

    Args:
        role: what `Stack.database_role` returned.
        directory: where the files go; `.pgpasswordless/<stack>/<database>/<role>` when None.

    Raises:
        IdentityError: certificate and key cannot be fetched, are wrong, or cannot be stored.
        TokenError: the document's host and region contradict each other.
    """
    if role.server.authentication == "iam":
        return token_target(role, directory)
    return certificate_target(role, directory)


def certificate_target(
    role: DatabaseRole, directory: Path | None = None, *, now: datetime | None = None
) -> CertificateTarget:
    """How `role` logs in by certificate; see `target_of`, and `fetch_identity` for `now`."""
    secret_arn = role.connection.secret_arn
    if secret_arn is None:
        raise IdentityError(f"role {role.name!r} of database {role.database!r} has no identity secret")
    checked = identity.fetch(role.stack.aws, secret_arn, role.connection.common_name or role.name, now=now)
    return CertificateTarget(
        host=role.server.host,
        port=role.server.port,
        dbname=role.connection.database,
        user=role.name,
        max_lifetime_seconds=role.connection.max_lifetime_seconds,
        psql=role.stack.psql,
        files=identity_files.write(_place(role, directory), checked, role.server.server_ca),
    )


def token_target(role: DatabaseRole, directory: Path | None = None) -> TokenTarget:
    """How `role` logs in by token, with the authorities in place as a file; see `target_of`."""
    source = source_of(role)
    return TokenTarget(
        host=role.server.host,
        port=role.server.port,
        dbname=role.connection.database,
        user=role.name,
        max_lifetime_seconds=role.connection.max_lifetime_seconds,
        psql=role.stack.psql,
        region=source.region or "",
        trust=identity_files.write_trust(_place(role, directory), role.server.server_ca),
        token_command=token_command(role, source),
    )


def source_of(role: DatabaseRole) -> TokenSource:
    """Makes tokens with which `role` logs in; errors as in `token_source`."""
    server, stack = role.server, role.stack
    if server.authentication != "iam":
        raise NotSupportedError(
            f"database {role.database!r} of stack {stack.name!r} uses authentication"
            f" {server.authentication!r}, so there are no tokens for it;"
            f" `show --database {role.database} --role {role.name}` fetches what it needs"
        )
    return TokenSource(
        host=server.host,
        port=server.port,
        user=role.name,
        region=server.region,
        session=stack.aws.session(),
        known_endpoint=True,
    )


def token_command(role: DatabaseRole, source: TokenSource) -> str:
    """A shell command that prints a token, from any directory and without activating an environment.

    A stack that only Pulumi knows can be read in the project's folder alone, so its database is named by
    address there.
    """
    stack = role.stack
    variables = {}
    package = Path(__file__).resolve().parent.parent
    if not _is_installed(package):
        variables["PYTHONPATH"] = str(package)
    if stack.contexts is not None:
        variables[CONTEXTS_VARIABLE] = str(stack.contexts.absolute())
    if stack.contexts is None and "--connections" not in stack.reference:
        address = {
            "--host": source.host,
            "--port": str(source.port),
            "--user": source.user,
            "--region": source.region,
        }
        what = [word for name, value in address.items() if value for word in (name, value)]
    else:
        what = [*stack.reference, "--database", role.database, "--role", role.name]
    words = [sys.executable, "-m", "pgpasswordless", "token", *what]
    return " ".join(
        [*(f"{name}={shlex.quote(value)}" for name, value in variables.items()), shlex.join(words)]
    )


def _place(role: DatabaseRole, directory: Path | None) -> Path:
    if directory is not None:
        return directory.absolute()
    return identity_directory(role.stack.name, role.database, role.name)


def _is_installed(folder: Path) -> bool:
    return any(
        folder == Path(each).resolve() for each in (*site.getsitepackages(), site.getusersitepackages())
    )
