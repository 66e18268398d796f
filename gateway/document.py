"""What the gateway lives by, one versioned document: whom it trusts, as whom, and its database.

The stack puts it to a private bucket and names it in an SSM parameter (`Pointer`). Running
instances re-read it, so that a new authority, a revoked certificate or a changed allow-list
replaces no instance. It holds the header suffixes, which are secret.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator
from pydantic.alias_generators import to_camel

from gateway.header_names import header_names
from pgpasswordless.connections import Database

SCHEMA_VERSION = 1
MAX_HEADER_SUFFIXES = 2

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
IdentityKind = Literal["uri", "dns", "commonName"]

_ROLE = re.compile(r"[a-z_][a-z0-9_]{0,62}")


class Document(BaseModel):
    """Base of the document's parts: camelCase in JSON, unknown keys refused, immutable."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
    )

    def to_json(self) -> str:
        """The document as compact JSON with camelCase keys."""
        return self.model_dump_json(by_alias=True)


class Pointer(Document):
    """The value of the SSM parameter: which version of which object is the document now."""

    bucket: str = Field(min_length=1)
    key: str = Field(min_length=1)
    version: str = Field(min_length=1)
    sha256: Sha256


class Identity(Document):
    """Who may come, and as which database role.

    `kind` says what of the certificate has to equal `value`, whole and in its own case: a URI or a
    DNS name among its subject alternative names, or its one common name.
    """

    kind: IdentityKind
    value: str = Field(min_length=1, max_length=1024)
    role: str

    @field_validator("role")
    @classmethod
    def _is_a_role_name(cls, value: str) -> str:
        if not _ROLE.fullmatch(value):
            raise ValueError(
                f"{value!r} is no name of a database role: lower case letters, digits and _ alone"
            )
        return value


class GatewayDocument(Document):
    """Everything of a gateway that changes while it runs.

    Attributes:
        database: where roles log in by IAM, and as which ones.
        client_authorities: PEM certificates of the client authority: roots and intermediates, no blank line.
        revocation_lists: PEM of each certificate revocation list; may be empty when nothing is ever revoked.
        header_suffixes: secret; the listener's now, and the one it had before or will have next.
        identities: allow-list; what it does not name is refused.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    database: Database
    client_authorities: str = Field(min_length=1)
    revocation_lists: tuple[str, ...] = ()
    header_suffixes: tuple[str, ...] = Field(min_length=1, max_length=MAX_HEADER_SUFFIXES, repr=False)
    identities: tuple[Identity, ...]

    @field_validator("header_suffixes")
    @classmethod
    def _are_suffixes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for suffix in value:
            header_names(suffix)
        if len(set(value)) != len(value):
            raise ValueError("the same header suffix is given twice")
        return value

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> GatewayDocument:
        if "PRIVATE KEY" in self.client_authorities:
            raise ValueError("clientAuthorities holds certificates only, and this one holds a private key")
        if self.database.authentication != "iam":
            raise ValueError(
                f"the gateway's database needs authentication 'iam', and has {self.database.authentication!r}"
            )
        unknown = sorted({identity.role for identity in self.identities} - self.database.roles.keys())
        if unknown:
            raise ValueError(
                f"identities name roles that the database does not have: {', '.join(unknown)};"
                f" it has: {', '.join(sorted(self.database.roles)) or 'none'}"
            )
        named = [(identity.kind, identity.value) for identity in self.identities]
        twice = sorted({f"{kind} {value!r}" for kind, value in named if named.count((kind, value)) > 1})
        if twice:
            raise ValueError(f"identities name the same certificate twice: {', '.join(twice)}")
        return self
