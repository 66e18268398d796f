"""What `show` prints: how a role connects to its database, or a client to the gateway."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from documents.document import Document
from pgpasswordless.connections import Authentication
from pgpasswordless.drivers import Driver, DriverSettings, render
from pgpasswordless.gateway_client import curl_command, gateway_target
from pgpasswordless.libpq import CertificateTarget, Target, Tunnel, conninfo, keywords, psql_command
from pgpasswordless.login import target_of
from pgpasswordless.stack import Stack


class Files(Document):
    """Paths of the role's files; a role that logs in by token has none of its own."""

    root_certificate: str
    certificate: str | None = None
    key: str | None = None
    key_der: str | None = None


class Shown(Document):
    """The answer of `show` as a document.

    Attributes:
        authentication: how the role logs in.
        common_name: the certificate's, where it is not the role's name.
        certificate_not_after: end of the certificate's validity, RFC 3339 UTC; None without one.
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
    authentication: Authentication
    files: Files
    common_name: str | None = Field(default=None, exclude_if=lambda value: value is None)
    certificate_not_after: str | None
    max_lifetime_seconds: int
    connection_string: str
    psql: str
    driver: DriverSettings | None


def show(
    stack: Stack,
    *,
    database: str,
    role: str,
    driver: Driver | None = None,
    directory: Path | None = None,
    tunnel: Tunnel | None = None,
) -> Shown:
    """Put the role's files in place and say how it connects, through `tunnel` where there is one.

    Errors as in `login.settings_for`.
    """
    resolved = stack.database_role(database, role)
    target = replace(target_of(resolved, directory), tunnel=tunnel)
    return Shown(
        stack=stack.name,
        database=database,
        role=role,
        host=target.host,
        port=target.port,
        dbname=target.dbname,
        authentication=resolved.server.authentication,
        files=_files(target),
        common_name=resolved.connection.common_name,
        certificate_not_after=target.files.valid_until if isinstance(target, CertificateTarget) else None,
        max_lifetime_seconds=target.max_lifetime_seconds,
        connection_string=conninfo(keywords(target)),
        psql=psql_command(target),
        driver=render(driver, target) if driver else None,
    )


def _files(target: Target) -> Files:
    if not isinstance(target, CertificateTarget):
        return Files(root_certificate=str(target.root_certificate))
    files = target.files
    return Files(
        root_certificate=str(files.root_certificate),
        certificate=str(files.certificate),
        key=str(files.key),
        key_der=str(files.key_der),
    )


def as_text(shown: Shown) -> str:
    """The answer for people; connection string and command have lines of their own, for copying."""
    proof = (
        f"certificate {f'of {shown.common_name} ' if shown.common_name else ''}valid until "
        f"{shown.certificate_not_after}"
        if shown.certificate_not_after
        else "by IAM token, a new one for each login"
    )
    parts = [f"# {shown.role} on {shown.database} ({shown.stack}), {proof}"]
    if shown.driver is None:
        return "\n".join([*parts, shown.connection_string, "", shown.psql])
    settings = shown.driver
    if settings.pool:
        pool = settings.pool
        parts.append(f"# pool: {pool.setting} {pool.value} {pool.unit} or less")
    parts += [f"# file: {path}" for path in settings.files]
    parts += [f"# note: {note}" for note in settings.notes]
    return "\n".join([*parts, "", settings.snippet])


class ShownClient(Document):
    """The answer of `show --client` as a document.

    Attributes:
        certificate_not_after: end of the certificate's validity, RFC 3339 UTC.
        curl: shell command that works as it stands.
    """

    schema_version: Literal[1] = 1
    stack: str
    client: str
    role: str
    url: str
    root_certificate: str | None
    certificate: str
    key: str
    certificate_not_after: str | None
    curl: str


def show_client(stack: Stack, client: str, directory: Path | None = None) -> ShownClient:
    """Put the client's files in place and say how it calls; errors as in `gateway_target`."""
    target = gateway_target(stack, client, directory)
    return ShownClient(
        stack=stack.name,
        client=client,
        role=target.role,
        url=target.url,
        root_certificate=str(target.root_certificate) if target.root_certificate else None,
        certificate=str(target.files.certificate),
        key=str(target.files.key),
        certificate_not_after=target.files.valid_until,
        curl=curl_command(target),
    )


def client_as_text(shown: ShownClient) -> str:
    """The answer for people; the command has a line of its own, for copying."""
    return (
        f"# {shown.client} of {shown.stack}, as database role {shown.role}, certificate valid until "
        f"{shown.certificate_not_after}\n{shown.curl}"
    )
