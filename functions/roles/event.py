"""The event: what the function is asked to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from postgres.declaration import Declaration, DeclarationError, declaration_problems
from postgres.versions import SUPPORTED_MAJORS

SCHEMA_VERSION = 1

_TYPES: Mapping[str, type] = {
    "schemaVersion": int,
    "host": str,
    "port": int,
    "region": str,
    "major": int,
    "administrator": str,
    "masterSecretArn": str,
    "serverCaPem": str,
}


class EventError(ValueError):
    """An invalid event; the text lists everything that is wrong with it."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One instance, its administrator, and the databases and roles that it must have.

    Attributes:
        host: Name of the server; its certificate and the tokens name it exactly so.
        port: TCP port.
        region: Region that tokens are signed for.
        major: Major release of PostgreSQL.
        administrator: Role that owns the databases.
        master_secret_arn: Secret in which RDS keeps the master's password.
        server_ca_pem: Authorities, one of which must have signed the server's certificate.
        declaration: Databases, roles and grants; None for the administrator alone.
    """

    host: str
    port: int
    region: str
    major: int
    administrator: str
    master_secret_arn: str
    server_ca_pem: str
    declaration: Declaration | None

    @property
    def server(self) -> str:
        """The server as messages name it."""
        return f"{self.host}:{self.port}"

    @classmethod
    def from_json(cls, document: Any) -> Event:
        """The event that Lambda hands over.

        Raises:
            EventError: missing, unknown or mistyped keys, another schema version, or a declaration that
                RDS cannot apply.
        """
        if not isinstance(document, dict):
            raise EventError(f"the event is a {type(document).__name__}; it must be an object")
        problems = _key_problems(document)
        if problems:
            raise EventError("; ".join(problems))
        event = cls(
            host=document["host"],
            port=document["port"],
            region=document["region"],
            major=document["major"],
            administrator=document["administrator"],
            master_secret_arn=document["masterSecretArn"],
            server_ca_pem=document["serverCaPem"],
            declaration=_declaration(document["declaration"]),
        )
        problems = _problems(event)
        if problems:
            raise EventError("; ".join(problems))
        return event


def _key_problems(document: Mapping[str, Any]) -> list[str]:
    wanted = {*_TYPES, "declaration"}
    problems = [f"{key}: missing" for key in sorted(wanted - set(document))]
    problems += [f"{key}: unknown" for key in sorted(set(document) - wanted)]
    for key, kind in _TYPES.items():
        value = document.get(key)
        if key in document and (not isinstance(value, kind) or isinstance(value, bool)):
            problems.append(f"{key}: is a {type(value).__name__}; must be a {kind.__name__}")
        elif value == "":
            problems.append(f"{key}: is empty")
    version = document.get("schemaVersion")
    if isinstance(version, int) and version != SCHEMA_VERSION:
        problems.append(f"schemaVersion: {version}; this function knows {SCHEMA_VERSION}")
    return problems


def _declaration(document: Any) -> Declaration | None:
    if document is None:
        return None
    try:
        return Declaration.from_json(json.dumps(document))
    except DeclarationError as error:
        raise EventError(f"declaration: {error}") from error


def _problems(event: Event) -> list[str]:
    if event.major not in SUPPORTED_MAJORS:
        return [f"major: {event.major}; must be one of {', '.join(map(str, SUPPORTED_MAJORS))}"]
    declaration = event.declaration or Declaration(administrator=event.administrator)
    problems = [f"declaration: {text}" for text in declaration_problems(declaration, event.major, "rds")]
    if declaration.administrator != event.administrator:
        problems.append(
            f"administrator: {event.administrator!r}; the declaration's is {declaration.administrator!r}"
        )
    return problems
