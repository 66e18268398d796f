"""What `show` prints: how one role connects."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pgpasswordless.connections import Document
from pgpasswordless.drivers import Driver, DriverSettings, render
from pgpasswordless.libpq import conninfo, keywords, psql_command
from pgpasswordless.settings import fetch_identity, target_for
from pgpasswordless.stack import Stack


class Files(Document):
    """Paths of the role's files."""

    root_certificate: str
    certificate: str
    key: str
    key_der: str


class Shown(Document):
    """The answer of `show` as a document.

    Attributes:
        certificate_not_after: end of the certificate's validity, RFC 3339 UTC.
        connection_string: libpq's keyword/value form.
        psql: shell command that works as it stands.
        driver: settings of the driver that was asked for.
    """

    schema_version: Literal[1] = 1
    stack: str
    database: str
    role: str
    host: str
    port: int
    dbname: str
    files: Files
    certificate_not_after: str
    max_lifetime_seconds: int
    connection_string: str
    psql: str
    driver: DriverSettings | None


def show(
    stack: Stack, *, database: str, role: str, driver: Driver | None = None, directory: Path | None = None
) -> Shown:
    """Fetch the role's files and say how it connects; errors as in `settings.settings_for`."""
    files = fetch_identity(stack, database, role, directory)
    target = target_for(stack, database, role, files)
    return Shown(
        stack=stack.name,
        database=database,
        role=role,
        host=target.host,
        port=target.port,
        dbname=target.dbname,
        files=Files(
            root_certificate=str(files.root_certificate),
            certificate=str(files.certificate),
            key=str(files.key),
            key_der=str(files.key_der),
        ),
        certificate_not_after=f"{files.not_after:%Y-%m-%dT%H:%M:%SZ}",
        max_lifetime_seconds=target.max_lifetime_seconds,
        connection_string=conninfo(keywords(target)),
        psql=psql_command(target),
        driver=render(driver, target) if driver else None,
    )


def as_text(shown: Shown) -> str:
    """The answer for people; connection string and command stand alone on their lines, for copying."""
    subject = f"{shown.role} on {shown.database} ({shown.stack})"
    parts = [f"# {subject}, certificate valid until {shown.certificate_not_after}"]
    if shown.driver is None:
        parts += [shown.connection_string, "", shown.psql]
        return "\n".join(parts)
    settings = shown.driver
    if settings.pool:
        pool = settings.pool
        parts.append(f"# pool: {pool.setting} {pool.value} {pool.unit} or less")
    parts += [f"# file: {path}" for path in settings.files]
    parts += [f"# note: {note}" for note in settings.notes]
    return "\n".join([*parts, "", settings.snippet])
