"""The gateway's configuration, one versioned document: whom it trusts, as which role, and its database.

The stack puts it into a private bucket, where only the deployer writes. Running instances re-read it, so
that a new authority, a revoked certificate or a changed allow-list replaces no instance. It holds the
header suffixes, which are secret.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from documents.document import Document
from gateway.header_names import header_names
from pgpasswordless.connections import Database
from postgres.identifiers import role_name_problems

SCHEMA_VERSION = 1
MAX_HEADER_SUFFIXES = 2

IdentityKind = Literal["uri", "dns", "commonName"]


class AllowedIdentity(Document):
    """One entry of the allow-list: a name in certificates, and the database role that it maps to.

    `kind` says which name of the certificate must equal `value`, as a whole and case-sensitively: a URI or
    a DNS name among its subject alternative names, or its only common name. A common name counts where
    the certificate has no alternative names of these kinds but such as repeat it, and where the name
    constraints of its authorities would permit it as a DNS name.
    """

    kind: IdentityKind
    value: str = Field(min_length=1, max_length=1024)
    role: str

    @field_validator("role")
    @classmethod
    def _is_a_role_name(cls, value: str) -> str:
        if problems := role_name_problems(value):
            raise ValueError("; ".join(problems))
        return value


class GatewayDocument(Document):
    """The part of a gateway's configuration that changes while it runs.

    Attributes:
        serial: orders documents: an instance refuses one with a lower serial than the one in effect.
        database: where roles log in by IAM, and as which ones.
        client_authorities: PEM certificates of the client authority: roots and intermediates, no blank line.
        revocation_lists: PEM of each certificate revocation list; may be empty when nothing is ever revoked.
        header_suffixes: secret; the listener's current one, and its previous or next one.
        identities: allow-list; names that are not on it are refused.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    serial: int = Field(ge=1)
    database: Database
    client_authorities: str = Field(min_length=1)
    revocation_lists: tuple[str, ...] = ()
    header_suffixes: tuple[str, ...] = Field(min_length=1, max_length=MAX_HEADER_SUFFIXES, repr=False)
    identities: tuple[AllowedIdentity, ...]

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
                f"the gateway's database must have authentication 'iam', not {self.database.authentication!r}"
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
