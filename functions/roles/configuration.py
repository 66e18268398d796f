"""The function's configuration: the server that it works on, and which declaration it may apply.

Only the deployer writes it. Whoever may invoke the function chooses none of it, for the function sends
the master's proof of password and the administrator's tokens to the server that is named here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import NoneType

from functions.roles.document import key_problems
from postgres.hold import held, hold_problems
from postgres.versions import SUPPORTED_MAJORS

VARIABLE = "CONFIGURATION"
SERVER_CA_FILE = "server-ca.pem"
"""In the artifact: with the authorities of a region, the environment would exceed Lambda's 4 KiB."""

_ARTIFACT = Path(__file__).resolve().parents[2]
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "host": str,
    "port": int,
    "region": str,
    "major": int,
    "administrator": str,
    "masterSecretArn": str,
    "declarationSha256": (str, NoneType),
}
# Both or none.
_HOLD_TYPES: Mapping[str, type] = {"holdUntil": str, "holdReason": str}


class ConfigurationError(ValueError):
    """An invalid configuration; the text lists everything that is wrong with it."""


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """One instance, its administrator, and the declaration that it must have.

    Attributes:
        host: Name of the server; its certificate and the tokens name it exactly so.
        port: TCP port.
        region: Region that tokens are signed for.
        major: Major release of PostgreSQL.
        administrator: Role that owns the databases.
        master_secret_arn: Secret in which RDS keeps the master's password.
        server_ca_pem: Authorities, one of which must have signed the server's certificate.
        declaration_sha256: SHA-256 of the declaration that may be applied; None for the administrator alone.
        held: Why this run only reports drift, access apart; empty: it puts it back.
    """

    host: str
    port: int
    region: str
    major: int
    administrator: str
    master_secret_arn: str
    server_ca_pem: str = field(repr=False)
    declaration_sha256: str | None
    held: str = ""

    @property
    def server(self) -> str:
        """The server as messages name it."""
        return f"{self.host}:{self.port}"

    @classmethod
    def from_json(cls, text: str, server_ca_pem: str) -> Configuration:
        """The configuration that the component wrote.

        Raises:
            ConfigurationError: not JSON, another schema version, or a hold that is too long, or missing,
                unknown or mistyped keys.
        """
        try:
            document = json.loads(text)
        except ValueError as error:
            raise ConfigurationError(f"not JSON: {error}") from None
        if not isinstance(document, dict):
            raise ConfigurationError(f"is a {type(document).__name__}; it must be an object")
        has_hold = not document.keys().isdisjoint(_HOLD_TYPES)
        problems = key_problems(document, {**_TYPES, **_HOLD_TYPES} if has_hold else _TYPES)
        if not problems and document["major"] not in SUPPORTED_MAJORS:
            known = ", ".join(map(str, SUPPORTED_MAJORS))
            problems.append(f"major: {document['major']}; must be one of {known}")
        now = datetime.now(UTC)
        if not problems and has_hold:
            until = document["holdUntil"]
            problems += [f"holdUntil: {until} {text}" for text in hold_problems(until, now)]
        if problems:
            raise ConfigurationError("; ".join(problems))
        return cls(
            host=document["host"],
            port=document["port"],
            region=document["region"],
            major=document["major"],
            administrator=document["administrator"],
            master_secret_arn=document["masterSecretArn"],
            server_ca_pem=server_ca_pem,
            declaration_sha256=document["declarationSha256"],
            held=held((document["holdUntil"], document["holdReason"]), now) if has_hold else "",
        )

    @classmethod
    def deployed(cls, environment: Mapping[str, str], artifact: Path | None = None) -> Configuration:
        """The configuration with which the function was deployed.

        Args:
            environment: The function's environment variables.
            artifact: Folder of the unpacked artifact; None for the one that this module is in.

        Raises:
            ConfigurationError: there is none, or it is invalid.
        """
        if VARIABLE not in environment:
            raise ConfigurationError(f"there is no environment variable {VARIABLE}; deploy the stack again")
        try:
            server_ca_pem = ((artifact or _ARTIFACT) / SERVER_CA_FILE).read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{SERVER_CA_FILE} of the artifact cannot be read: {error}") from None
        return cls.from_json(environment[VARIABLE], server_ca_pem)
