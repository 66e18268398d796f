"""Databases, roles and grants, as both kinds of server declare them."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from postgres import declaration, extensions, identifiers, versions
from postgres.predefined_roles import PREDEFINED_ROLES, predefined_role_problems
from postgres.role_settings import PROVIDER_SETTINGS, role_setting_problems, stored_value
from settings.problems import Path, Problem
from settings.section import Checked, Section, SettingText, StrictInt, unique

# What the engine makes of keys that YAML does not take as text: 010 arrives as "8", ~ as "<nil>".
_REWRITTEN = re.compile(
    r"[-+]?(\d[\d_]*(\.\d*)?(e[-+]?\d+)?|\.\d+)|0[xob][0-9a-f]+|true|false|null|<nil>|~|on|off|yes|no|y|n"
)


def _rewritten_name_problems(name: str) -> list[str]:
    """Whether a YAML reader takes the unquoted name for a number, a boolean or nothing."""
    if not _REWRITTEN.fullmatch(name):
        return []
    text = "looks like a number, a boolean or nothing, and YAML rewrites such keys (010 becomes 8)"
    return [f"{name!r} {text}; choose another name"]


def _extension_problems(name: str) -> list[str]:
    """Whether neither kind of server has it."""
    if name in extensions.EXTENSIONS:
        return []
    near = difflib.get_close_matches(name, extensions.EXTENSIONS, n=1)
    return ["is no extension that is known here" + (f"; did you mean {near[0]}?" if near else "")]


def _predefined_role_problems(name: str) -> list[str]:
    problems = predefined_role_problems(name, versions.SUPPORTED_MAJORS[-1], rds=False)
    return [problem.removeprefix(f"membership in {name!r} ") for problem in problems]


_EXTENSIONS = ", ".join(extensions.EXTENSIONS)

RoleName = Annotated[str, Checked(identifiers.role_name_problems, "a PostgreSQL role name")]
DatabaseName = Annotated[str, Checked(identifiers.database_name_problems, "a PostgreSQL database name")]
DeclaredRoleName = Annotated[RoleName, Checked(_rewritten_name_problems, "")]
DeclaredDatabaseName = Annotated[DatabaseName, Checked(_rewritten_name_problems, "")]
Extension = Annotated[str, Checked(_extension_problems, _EXTENSIONS)]
PredefinedRole = Annotated[str, Checked(_predefined_role_problems, ", ".join(PREDEFINED_ROLES))]
Privilege = Literal[
    "connect", "create", "delete", "execute", "insert", "maintain", "references", "select", "temporary",
    "trigger", "truncate", "update", "usage",
]  # fmt: skip


class Database(Section):
    """One database; the map's key is its name."""

    extensions: Annotated[tuple[Extension, ...], unique] = ()
    """Extensions to create in it, with those that they need. Their packages are installed and their libraries
    preloaded without further settings. One that is taken out stays in PostgreSQL, and its library is not
    preloaded any more: drop it there first."""


ObjectNames = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], unique]


class Grant(Section):
    """What a role may do with a database, a schema in it, or all or some objects of one kind in a schema."""

    database: DatabaseName | None = None
    """Which of the role's databases; absent: its `database`."""
    schema_name: str | None = Field(default=None, alias="schema")
    """Schema the privileges are about; absent: the database."""
    on_all: Literal["tables", "sequences", "functions"] | None = None
    """All objects of this kind in the schema: those that exist, and those that the administrator, or a role
    that may `create` in the schema or in the database, makes later. Absent, and no object named: the schema
    itself."""
    tables: ObjectNames = ()
    """Tables and views of the schema by name, instead of `onAll`. One that does not exist yet gets the
    privileges with the first run after it does. Not with `through: provider`, as the two that follow."""
    columns: ObjectNames = ()
    """Columns of the named tables: the privileges are about these alone (`select`, `insert`, `update` and
    `references`). Other privileges on other columns are a grant of their own."""
    sequences: ObjectNames = ()
    """Sequences of the schema by name."""
    functions: ObjectNames = ()
    """Functions of the schema by name, whatever their arguments."""
    privileges: Annotated[tuple[Privilege, ...], unique] = Field(min_length=1)
    """Privileges, as PostgreSQL names them; which ones fit depends on the object."""

    def declared(self, database: str) -> declaration.Grant:
        """The grant of a declaration, for a role with this `database`."""
        return declaration.Grant(
            database=self.database or database,
            schema=self.schema_name,
            on=self.on_all or self.named or ("schema" if self.schema_name else "database"),
            privileges=self.privileges,
            objects=() if self.on_all else (*self.tables, *self.sequences, *self.functions),
            columns=self.columns,
        )

    @property
    def named(self) -> Literal["tables", "sequences", "functions"] | None:
        """The kind of the objects that it names."""
        if self.tables:
            return "tables"
        return "sequences" if self.sequences else "functions" if self.functions else None

    @model_validator(mode="after")
    def _one_kind_of_object(self) -> Grant:
        kinds = [bool(self.on_all), bool(self.tables), bool(self.sequences), bool(self.functions)]
        if sum(kinds) > 1:
            raise ValueError("has more than one of onAll, tables, sequences and functions; give each a grant")
        return self


class DeclaredRole(Section):
    """What every role has, however it logs in; the map's key is its name."""

    database: DatabaseName = Field(examples=["app"])
    """The database it connects to, one of `databases`."""
    other_databases: Annotated[tuple[DatabaseName, ...], unique] = ()
    """Further databases that it may connect to, of `databases`. What reads `connections` connects to
    `database`, and gives another name itself; the gateway always connects to `database`."""
    connection_limit: StrictInt = Field(default=20, ge=1, le=10000)
    """Most connections at the same time."""
    grants: tuple[Grant, ...] = ()
    """What it may do in its databases."""
    member_of: Annotated[tuple[PredefinedRole, ...], unique] = ()
    """Predefined roles of PostgreSQL that it is a member of, such as `pg_monitor`. Not with
    `through: provider`; on RDS fewer than on a server of our own."""
    settings: Mapping[str, SettingText] = {}
    """What its sessions start with and may change, such as `statement_timeout: 30s` or
    `search_path: app, public`, from the list in `postgres/role_settings.py`. With `through: provider` only
    `search_path`, `statement_timeout` and `idle_in_transaction_session_timeout`."""

    def declared(self, name: str) -> declaration.Role:
        """The role of a declaration."""
        return declaration.Role(
            name=name,
            connection_limit=self.connection_limit,
            databases=(self.database, *self.other_databases),
            grants=tuple(grant.declared(self.database) for grant in self.grants),
            member_of=self.member_of,
            settings=tuple(
                (setting, stored_value(setting, value)) for setting, value in sorted(self.settings.items())
            ),
        )


def declared(
    administrator: str, databases: Mapping[str, Database], roles: Mapping[str, DeclaredRole]
) -> declaration.Declaration:
    """The declaration of a section's databases, roles and grants."""
    return declaration.Declaration(
        administrator=administrator,
        databases=tuple(
            declaration.Database(name=name, extensions=database.extensions)
            for name, database in databases.items()
        ),
        roles=tuple(role.declared(name) for name, role in roles.items()),
    )


def role_problems(
    section: Path, name: str, role: DeclaredRole, databases: Collection[str], major: int
) -> Iterator[Problem]:
    """A role in a database that is not declared, and grants that `major` does not know or that repeat."""
    path = (*section, "roles", name)
    others = [((*path, "otherDatabases", index), name) for index, name in enumerate(role.other_databases)]
    for place, database in [((*path, "database"), role.database), *others]:
        if database not in databases:
            allowed = f"allowed: {', '.join(databases)}" if databases else "there are none"
            yield Problem(
                place,
                f"is not one of databases; {allowed}; correct it, or add it to databases",
                database,
                (place, (*section, "databases")),
            )
    for place, database in others:
        if database == role.database:
            yield Problem(
                place, "is the role's database already; remove it", database, (place, (*path, "database"))
            )
    own = (role.database, *role.other_databases)
    earlier: dict[tuple[str | None, ...], int] = {}
    for index, grant in enumerate(role.grants):
        place = (*path, "grants", index)
        wanted = grant.declared(role.database)
        for problem in declaration.grant_problems(wanted, major):
            yield Problem(place, problem, reads=(place, (*section, "major")))
        if wanted.database not in own:
            yield Problem(
                (*place, "database"),
                f"is not one that the role may connect to; allowed: {', '.join(own)}; correct it, or add it "
                "to otherDatabases",
                wanted.database,
                (place, (*path, "database"), (*path, "otherDatabases")),
            )
        subjects = [
            (wanted.database, wanted.schema, wanted.on, each, *of_column)
            for each in wanted.objects or ("",)
            for of_column in [*itertools.product(wanted.columns, wanted.privileges)] or [()]
        ]
        first = min(earlier.setdefault(subject, index) for subject in subjects)
        if first != index:
            yield Problem(
                place,
                f"is about the same as grants[{first}]; put the privileges of both in one",
                reads=((*path, "grants"),),
            )


def extension_problems(
    section: Path, databases: Mapping[str, Database], given: Mapping[str, str], *, by_provider: bool
) -> Iterator[Problem]:
    """Extensions that this kind of server lacks, or that pulumi-postgresql cannot create."""
    platform = "rds" if section == ("rds",) else "server"
    for name, database in databases.items():
        for index, extension in enumerate(database.extensions):
            path = (*section, "databases", name, "extensions", index)
            for problem in extensions.extension_problems(extension, platform):
                yield Problem(path, problem.removeprefix(f"extension {extension!r} "), extension)
            if by_provider and not extensions.EXTENSIONS[extension].trusted:
                through = (*section, "databaseRoles", "through")
                yield Problem(
                    path,
                    "is not for the administrator to create, which pulumi-postgresql is here; remove it, or "
                    f"set databaseRoles.through: {'function' if platform == 'rds' else 'node'}",
                    extension,
                    (path, through),
                )
    of_databases = {name: database.extensions for name, database in databases.items()}
    for problem in extensions.cron_problems(of_databases, given):
        yield Problem((*section, "databases"), problem)


def executor_problems(
    section: Path, name: str, role: DeclaredRole, major: int, *, by_provider: bool
) -> Iterator[Problem]:
    """Memberships and settings that this server does not take, or not from pulumi-postgresql."""
    through, other = (*section, "databaseRoles", "through"), "function" if section == ("rds",) else "node"
    for index, grant in enumerate(role.grants):
        if by_provider and grant.named:
            path = (*section, "roles", name, "grants", index, grant.named)
            text = (
                "would fail by pulumi-postgresql as long as one of them does not exist; use onAll, or set "
                f"databaseRoles.through: {other}"
            )
            yield Problem(path, text, reads=(path, through))
    for setting, value in role.settings.items():
        path = (*section, "roles", name, "settings", setting)
        problems = role_setting_problems(setting, value, major)
        if by_provider and not problems and setting not in PROVIDER_SETTINGS:
            known = ", ".join(PROVIDER_SETTINGS)
            ways = f"remove it, or set databaseRoles.through: {other}"
            problems = [f"is not known to pulumi-postgresql, which has {known}; {ways}"]
        for problem in problems:
            yield Problem(path, problem, reads=(path, (*section, "major"), through))
    for index, group in enumerate(role.member_of):
        path = (*section, "roles", name, "memberOf", index)
        problems = [
            problem.removeprefix(f"membership in {group!r} ")
            for problem in predefined_role_problems(group, major, rds=section == ("rds",))
        ]
        if by_provider:
            giver = "the master of RDS" if section == ("rds",) else "a superuser"
            problems.append(
                f"is given by {giver}, which pulumi-postgresql is not here; remove it, or set "
                f"databaseRoles.through: {other}"
            )
        for problem in problems:
            yield Problem(path, problem, group, (path, (*section, "major"), through))


def administrator_problems(section: Path, administrator: str, roles: Collection[str]) -> Iterator[Problem]:
    """An administrator that is also an application's role."""
    if administrator in roles:
        place = (*section, "databaseRoles", "administrator")
        yield Problem(
            place,
            "is also one of roles; the administrator owns the databases, so no application logs in as it: "
            "rename one",
            administrator,
            (place, (*section, "roles", administrator)),
        )
