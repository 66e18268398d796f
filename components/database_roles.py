"""Databases, roles and grants by pulumi-postgresql, for `databaseRoles.through: provider`.

The catalogues end as those of `postgres.roles.statements`, which the machine runs. The provider has
traps (facts on 3.18 with PostgreSQL 15 to 18), and this is how each is kept out of:

- Grants on the same objects race: they are chained, one after the other, within each database.
- A grant or default privilege that is replaced ends revoked: they are deleted before they are replaced.
- A role given by name makes no dependency: roles, databases and schemas are given by their outputs.
- An administrator who is not a superuser must own the database: `owner` is left out.
- Databases, schemas and extensions hold data: they are retained when they are no longer declared, as the
  machine retains them, and nothing that would replace a database is looked at after its creation.
- No password exists anywhere, so the provider never compares one.
- Functions that an extension brings belong to a superuser. The administrator cannot grant on them, and the
  provider would grant on them again after each refresh: where they lie among those that are granted on, it
  does not compare. Grants wait for the extensions.
- A role without `roles` and a `GrantRole` for it undo each other for ever: on RDS, `rds_iam` is said in the
  role's own `roles`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import pulumi
import pulumi_postgresql as postgresql

from components.names import slug
from postgres.administrator import RDS_IAM
from postgres.declaration import (
    PRIVILEGES,
    Declaration,
    GrantTarget,
    Platform,
    Role,
    declaration_problems,
)
from postgres.extensions import EXTENSIONS, with_required
from postgres.privileges import declared_privileges
from postgres.role_settings import PROVIDER_SETTINGS, SEARCH_PATH, schemas_of

_LAST_MAJOR_WITHOUT_SELF_GRANT = 15
_PUBLIC = "public"
_OBJECT_TYPES: dict[GrantTarget, str] = {
    "database": "database",
    "schema": "schema",
    "tables": "table",
    "sequences": "sequence",
    "functions": "function",
}
_FIXED_AT_CREATION = ["encoding", "lcCollate", "lcCtype", "tablespaceName", "template"]


@dataclass(frozen=True, kw_only=True)
class DatabaseRolesArgs:
    """Arguments of `DatabaseRoles`.

    Attributes:
        declaration: What shall exist. Its administrator is who the provider logs in as.
        major: Major release of PostgreSQL.
        platform: Where it runs; on RDS every role logs in by IAM.

    Raises:
        ValueError: The declaration has problems, or wants an extension that only a superuser can create.
    """

    declaration: Declaration
    major: int
    platform: Platform = "server"

    def __post_init__(self) -> None:
        """Check what can be checked before anything is registered."""
        problems = declaration_problems(self.declaration, self.major, self.platform)
        problems += [
            f"database {database.name!r}: the administrator, which the provider is, cannot create extension "
            f"{extension!r}; declare it through the node or the function, or drop it"
            for database in self.declaration.databases
            for extension in database.extensions
            if extension in EXTENSIONS and not EXTENSIONS[extension].trusted
        ]
        problems += [
            f"role {role.name!r}: only a superuser, or the master of RDS, gives membership in {group!r}, and "
            "the provider is the administrator; declare it through the node or the function, or drop it"
            for role in self.declaration.roles
            for group in role.member_of
        ]
        problems += [
            f"role {role.name!r}: the grant on {', '.join(grant.objects)} would fail as long as one of them "
            "does not exist; declare it through the node or the function, or grant on all"
            for role in self.declaration.roles
            for grant in role.grants
            if grant.objects
        ]
        problems += [
            f"role {role.name!r}: pulumi-postgresql has no setting {name!r}; declare it through the node or "
            "the function, or drop it"
            for role in self.declaration.roles
            for name, _ in role.settings
            if name not in PROVIDER_SETTINGS
        ]
        if problems:
            raise ValueError("declaration: " + "; ".join(problems))


@dataclass(frozen=True, kw_only=True)
class _Privileges:
    database: str
    role: str
    schema: str | None
    on: GrantTarget
    later_of: str
    names: tuple[str, ...]

    @property
    def child(self) -> str:
        parts = [self.database, self.schema, self.on, self.role]
        return ".".join(slug(part) for part in parts if part is not None)


def _declared_privileges(declaration: Declaration) -> list[_Privileges]:
    """What each grant names; after the grant on all objects of a kind, what is granted by default."""
    found: dict[tuple[str, str, str | None, GrantTarget, str], set[str]] = {}
    for database, role, schema, on, privilege, later_of, *_ in declared_privileges(declaration):
        found.setdefault((database, role, schema, on, later_of), set()).add(privilege)
    return [
        _Privileges(
            database=database,
            role=role,
            schema=schema,
            on=on,
            later_of=later_of,
            names=tuple(name.upper() for name in PRIVILEGES[on] if name in names),
        )
        for (database, role, schema, on, later_of), names in sorted(
            found.items(), key=lambda item: tuple(map(str, item[0]))
        )
    ]


def _settings(role: Role) -> dict[str, Any]:
    """The role's settings as arguments of `postgresql.Role`."""
    return {
        "search_paths" if name == SEARCH_PATH else name: (
            schemas_of(value) if name == SEARCH_PATH else int(value)
        )
        for name, value in role.settings
    }


@final
@dataclass(frozen=True, kw_only=True)
class DatabaseRolesResources:
    """Children of `DatabaseRoles`; roles, databases and schemas by name, grants in their order."""

    roles: dict[str, postgresql.Role]
    databases: dict[str, postgresql.Database]
    schemas: dict[tuple[str, str], postgresql.Schema]
    grants: tuple[postgresql.Grant | postgresql.DefaultPrivileges, ...]


@dataclass(frozen=True, kw_only=True)
class _Made:
    roles: dict[str, postgresql.Role]
    databases: dict[str, postgresql.Database]
    schemas: dict[tuple[str, str], postgresql.Schema]
    extensions: dict[str, list[postgresql.Extension]]


class DatabaseRoles(pulumi.ComponentResource):
    """`passwordless-postgres:index:DatabaseRoles`: a declaration carried out by pulumi-postgresql.

    Makes a `postgresql.Role` per role, a `postgresql.Database` per database, the `postgresql.Schema`s
    that grants name, `postgresql.Extension`s, `postgresql.Grant`s and, for grants on all objects of a
    kind, a `postgresql.DefaultPrivileges` for each role that may create some; up to PostgreSQL 15 also a
    `postgresql.GrantRole` per role.
    The provider is the caller's.

    Attributes:
        resources: The children.
    """

    resources: DatabaseRolesResources

    def __init__(
        self, name: str, args: DatabaseRolesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Carry the declaration out."""
        super().__init__("passwordless-postgres:index:DatabaseRoles", name, {}, opts)
        roles, memberships = self._roles(name, args)
        databases = {
            database.name: postgresql.Database(
                f"{name}-{slug(database.name)}",
                name=database.name,
                template="template0",
                encoding="UTF8",
                opts=pulumi.ResourceOptions(
                    parent=self,
                    retain_on_delete=True,
                    ignore_changes=_FIXED_AT_CREATION,
                    depends_on=[*roles.values(), *memberships],
                ),
            )
            for database in args.declaration.databases
        }
        schemas = self._schemas(name, args, databases)
        extensions = {
            database.name: [
                postgresql.Extension(
                    f"{name}-{slug(database.name)}.{slug(extension)}",
                    name=extension,
                    database=databases[database.name].name,
                    opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
                )
                for extension in with_required(database.extensions)
            ]
            for database in args.declaration.databases
        }
        made = _Made(roles=roles, databases=databases, schemas=schemas, extensions=extensions)
        grants = [
            grant
            for database in args.declaration.databases
            for grant in self._grants(name, args, database.name, made)
        ]
        self.resources = DatabaseRolesResources(
            roles=roles, databases=databases, schemas=schemas, grants=tuple(grants)
        )
        self.register_outputs({"databases": sorted(databases), "roles": sorted(roles)})

    def _roles(
        self, name: str, args: DatabaseRolesArgs
    ) -> tuple[dict[str, postgresql.Role], list[postgresql.GrantRole]]:
        roles: dict[str, postgresql.Role] = {}
        memberships: list[postgresql.GrantRole] = []
        for declared in args.declaration.roles:
            role = postgresql.Role(
                f"{name}-{slug(declared.name)}",
                name=declared.name,
                login=True,
                inherit=True,
                create_database=False,
                create_role=False,
                connection_limit=declared.connection_limit,
                roles=[RDS_IAM] if args.platform == "rds" else None,
                **_settings(declared),
                opts=pulumi.ResourceOptions(parent=self),
            )
            roles[declared.name] = role
            if args.major <= _LAST_MAJOR_WITHOUT_SELF_GRANT:
                membership = postgresql.GrantRole(
                    f"{name}-{slug(declared.name)}-administrator",
                    role=args.declaration.administrator,
                    grant_role=role.name,
                    opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
                )
                memberships.append(membership)
        return roles, memberships

    def _schemas(
        self, name: str, args: DatabaseRolesArgs, databases: dict[str, postgresql.Database]
    ) -> dict[tuple[str, str], postgresql.Schema]:
        named = {
            (grant.database, grant.schema)
            for role in args.declaration.roles
            for grant in role.grants
            if grant.schema is not None and grant.schema != _PUBLIC
        }
        return {
            (database, schema): postgresql.Schema(
                f"{name}-{slug(database)}.{slug(schema)}",
                name=schema,
                database=databases[database].name,
                opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
            )
            for database, schema in sorted(named)
        }

    def _grants(
        self, name: str, args: DatabaseRolesArgs, database: str, made: _Made
    ) -> list[postgresql.Grant | postgresql.DefaultPrivileges]:
        in_database: dict[str, Any] = {"database": made.databases[database].name}
        chain: list[postgresql.Grant | postgresql.DefaultPrivileges] = []
        chain.append(
            # PUBLIC may connect to every new database and make temporary tables in it.
            postgresql.Grant(
                f"{name}-{slug(database)}.database.public",
                role=_PUBLIC,
                object_type="database",
                privileges=[],
                **in_database,
                opts=self._after(made.extensions[database]),
            )
        )
        for privileges in _declared_privileges(args.declaration):
            if privileges.database != database:
                continue
            on: dict[str, Any] = {
                **in_database,
                "role": made.roles[privileges.role].name,
                "object_type": _OBJECT_TYPES[privileges.on],
                "privileges": list(privileges.names),
            }
            if privileges.schema is not None:
                schema = made.schemas.get((database, privileges.schema))
                on["schema"] = schema.name if schema is not None else privileges.schema
            child, owner = f"{name}-{privileges.child}", privileges.later_of
            options = self._after(chain[-1:])
            if not owner:
                if (
                    privileges.on == "functions"
                    and privileges.schema == _PUBLIC
                    and made.extensions[database]
                ):
                    options.ignore_changes = ["privileges"]
                chain.append(postgresql.Grant(child, **on, opts=options))
                continue
            by_a_role = owner in made.roles
            chain.append(
                postgresql.DefaultPrivileges(
                    f"{child}.{slug(owner)}-later" if by_a_role else f"{child}-later",
                    owner=made.roles[owner].name if by_a_role else owner,
                    **on,
                    opts=options,
                )
            )
        return chain

    def _after(self, made: Sequence[pulumi.Resource]) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, delete_before_replace=True, depends_on=made)
