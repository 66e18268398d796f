"""What both kinds of server have: who reaches them, and their databases, roles and grants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Protocol

from pydantic import Field

from postgres import declaration
from settings.section import Section
from settings.values import (
    ClientNetwork,
    Extension,
    Privilege,
    SecurityGroupId,
    unique,
)


class AllowedClients(Section):
    """What may reach the server's port; anything else is dropped by the security group."""

    networks: Annotated[tuple[ClientNetwork, ...], unique] = ()
    """Networks of clients."""
    security_groups: Annotated[tuple[SecurityGroupId, ...], unique] = ()
    """Security groups of clients."""


class Database(Section):
    """One database; the map's key is its name."""

    extensions: Annotated[tuple[Extension, ...], unique] = ()
    """Extensions to create in it."""


class Grant(Section):
    """What a role may do with its database, a schema in it, or everything of one kind in a schema."""

    schema_name: str | None = Field(default=None, alias="schema")
    """Schema the privileges are about; absent: the database."""
    on_all: Literal["tables", "sequences", "functions"] | None = None
    """All objects of this kind in the schema, present and future; absent: the schema itself."""
    privileges: Annotated[tuple[Privilege, ...], unique] = Field(min_length=1)
    """Privileges, as PostgreSQL names them; which ones fit depends on the object."""

    def declared(self, database: str) -> declaration.Grant:
        """The grant as `postgres/` means it."""
        return declaration.Grant(
            database=database,
            schema=self.schema_name,
            on=self.on_all or ("schema" if self.schema_name else "database"),
            privileges=self.privileges,
        )


class DeclaredRole(Protocol):
    """What every role has, however it logs in."""

    @property
    def database(self) -> str:
        """The database it may connect to."""
        ...

    @property
    def connection_limit(self) -> int:
        """Most connections at the same time."""
        ...

    @property
    def grants(self) -> tuple[Grant, ...]:
        """What it may do in its database."""
        ...


def declared(
    administrator: str, databases: Mapping[str, Database], roles: Mapping[str, DeclaredRole]
) -> declaration.Declaration:
    """Databases, roles and grants as `postgres/` means them."""
    return declaration.Declaration(
        administrator=administrator,
        databases=tuple(
            declaration.Database(name=name, extensions=database.extensions)
            for name, database in databases.items()
        ),
        roles=tuple(
            declaration.Role(
                name=name,
                connection_limit=role.connection_limit,
                databases=(role.database,),
                grants=tuple(grant.declared(role.database) for grant in role.grants),
            )
            for name, role in roles.items()
        ),
    )
