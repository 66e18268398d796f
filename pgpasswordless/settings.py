"""From a stack, a database and a role to settings that a driver takes."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pgpasswordless import identity, identity_files
from pgpasswordless.directories import identity_directory
from pgpasswordless.drivers import Driver, DriverSettings, render
from pgpasswordless.errors import IdentityError, NotSupportedError, UnknownNameError
from pgpasswordless.identity_files import IdentityFiles
from pgpasswordless.libpq import ServerTarget, Target
from pgpasswordless.stack import Stack
from pgpasswordless.token_login import token_target


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
        NotSupportedError: the driver cannot carry a name.
        IdentityError: the role's certificate and key cannot be had, are wrong, or cannot be stored.
        TokenError: the document's host and region do not fit each other.
    """
    try:
        known = Driver(driver)
    except ValueError:
        raise UnknownNameError(
            f"there are no settings for the driver {str(driver)!r}; there are for: {', '.join(Driver)}"
        ) from None
    return render(known, target_of(stack, database, role, directory))


def target_of(stack: Stack, database: str, role: str, directory: Path | None = None) -> ServerTarget:
    """How `role` logs in to `database`, by certificate or token; arguments and errors of `settings_for`."""
    if stack.database(database).authentication == "iam":
        return token_target(stack, database, role, directory)
    return target_for(stack, database, role, fetch_identity(stack, database, role, directory))


def fetch_identity(
    stack: Stack, database: str, role: str, directory: Path | None = None, *, now: datetime | None = None
) -> IdentityFiles:
    """Fetch, check and store the files of one role; see `settings_for` for arguments and errors.

    `now` is the moment at which the certificate must be valid, the current one when None.
    """
    require_certificates(stack, database)
    secret_arn = stack.role(database, role).secret_arn
    if secret_arn is None:
        raise IdentityError(f"role {role!r} of database {database!r} has no identity secret")
    checked = identity.fetch(stack.aws, secret_arn, role, now=now)
    place = directory.absolute() if directory else identity_directory(stack.name, database, role)
    return identity_files.write(place, checked, stack.database(database).server_ca)


def target_for(stack: Stack, database: str, role: str, files: IdentityFiles) -> Target:
    """Where and as whom `role` logs in to `database` with `files`."""
    server = stack.database(database)
    connection = stack.role(database, role)
    return Target(
        host=server.host,
        port=server.port,
        dbname=connection.database,
        user=role,
        files=files,
        max_lifetime_seconds=connection.max_lifetime_seconds,
        psql=stack.psql,
    )


def require_certificates(stack: Stack, database: str) -> None:
    """Refuse a database that is not reached by certificate.

    Raises:
        UnknownNameError: there is no such database.
        NotSupportedError: it uses IAM tokens, for which there are no files.
    """
    authentication = stack.database(database).authentication
    if authentication != "certificate":
        raise NotSupportedError(
            f"database {database!r} of stack {stack.name!r} uses authentication {authentication!r}, which has"
            " no identity to fetch; use TokenSource, or `python -m pgpasswordless token`"
        )
