"""The databases, roles and privileges that shall exist: one declaration, whatever applies it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, Literal, get_args

from postgres.extensions import Platform, cron_problems, extension_problems
from postgres.identifiers import SUPERUSER, database_name_problems, quote_identifier, role_name_problems
from postgres.predefined_roles import predefined_role_problems
from postgres.role_settings import role_setting_problems, written_value

SCHEMA_VERSION = 1

GrantTarget = Literal["database", "schema", "tables", "sequences", "functions"]

_IAM_SPECIAL_CHARACTERS = "*?$"

PRIVILEGES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "database": ("connect", "create", "temporary"),
        "schema": ("usage", "create"),
        "tables": ("select", "insert", "update", "delete", "truncate", "references", "trigger", "maintain"),
        "sequences": ("usage", "select", "update"),
        "functions": ("execute",),
    }
)
"""Privileges per target, in the order in which they are granted. `maintain` needs PostgreSQL 17."""

COLUMN_PRIVILEGES = ("select", "insert", "update", "references")
"""Privileges that PostgreSQL knows for single columns."""

OBJECT_TARGETS: frozenset[GrantTarget] = frozenset({"tables", "sequences", "functions"})
"""The targets that are objects of a schema, made by whoever may create in it."""


class DeclarationError(ValueError):
    """A document that is not a declaration."""


@dataclass(frozen=True, kw_only=True)
class Grant:
    """Privileges of a role on something in one database.

    `on` is the database itself, the schema `schema`, or tables (views included), sequences or
    functions of `schema`: those named in `objects`, as soon as they exist, or without names all that exist,
    and all that the administrator, or a declared role that may create there, creates later. With `columns` it
    is those of the named tables alone.
    """

    database: str
    schema: str | None = None
    on: GrantTarget
    privileges: tuple[str, ...]
    objects: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Role:
    """A role that logs in, without a password.

    Attributes:
        name: Name of the role.
        connection_limit: Number of sessions, -1 for no limit.
        databases: Databases it may connect to.
        grants: What it may do in them.
        networks: Networks (CIDR) it may come from, on a server of our own.
        member_of: Predefined roles of PostgreSQL that it is a member of.
        settings: Names and values (role_settings.stored_value) of what its sessions start with.
    """

    name: str
    connection_limit: int
    databases: tuple[str, ...]
    grants: tuple[Grant, ...] = ()
    networks: tuple[str, ...] = ()
    member_of: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Database:
    """A database, owned by the administrator, with the extensions it shall have."""

    name: str
    extensions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """Everything declared for one server.

    Attributes:
        administrator: The role that owns and grants.
        databases: The databases.
        roles: The roles that log in.
        common_names: Roles and common names, where a role's certificate does not name the role itself, on a
            server of our own. Not in `roles`, since a machine that makes no roles has to know them too.
    """

    administrator: str
    databases: tuple[Database, ...] = ()
    roles: tuple[Role, ...] = field(default=())
    common_names: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> str:
        """The document roles.json: compact, camelCase, sorted, so that equal declarations are equal bytes.

        It says what shall be in the catalogues. Networks are not: pg_hba.conf holds them, and nothing else.
        Keys of later versions are there only where they say something, so that nothing else differs.
        """
        document = {"schemaVersion": SCHEMA_VERSION, **asdict(self)}
        if not self.common_names:
            del document["common_names"]
        for role in document["roles"]:
            del role["networks"]
            for value in (role, *role["grants"]):
                for key in [key for key in _LATER_KEYS if key in value and not value[key]]:
                    del value[key]
        return json.dumps(_camel(document), sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @property
    def sha256(self) -> str:
        """SHA-256 of the document roles.json, in hexadecimal."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @classmethod
    def from_json(cls, text: str) -> Declaration:
        """The declaration that `to_json` wrote, without networks.

        Raises:
            DeclarationError: not JSON, another schema version, or missing, unknown or mistyped keys.
        """
        try:
            document = json.loads(text)
        except ValueError as error:
            raise DeclarationError(f"roles.json is not JSON: {error}") from None
        if isinstance(document, dict):
            document = {"commonNames": [], **document}
        values = _fields(document, "roles.json", {"schemaVersion": int, "administrator": str, **_LISTS})
        if values["schemaVersion"] != SCHEMA_VERSION:
            raise DeclarationError(
                f"roles.json has schemaVersion {values['schemaVersion']!r}; "
                f"this program knows {SCHEMA_VERSION}"
            )
        return cls(
            administrator=values["administrator"],
            databases=tuple(_database(item, f"databases[{i}]") for i, item in enumerate(values["databases"])),
            roles=tuple(_role(item, f"roles[{i}]") for i, item in enumerate(values["roles"])),
            common_names=tuple(
                _pair(item, f"commonNames[{i}]") for i, item in enumerate(values["commonNames"])
            ),
        )


def declaration_problems(declaration: Declaration, major: int, platform: Platform = "server") -> list[str]:
    """What PostgreSQL `major` cannot apply, or would apply differently; empty when nothing is wrong."""
    problems = [
        f"administrator: {problem}" for problem in _login_problems(declaration.administrator, platform)
    ]
    database_names = [database.name for database in declaration.databases]
    role_names = [role.name for role in declaration.roles]
    problems += _repeated(database_names, "database") + _repeated(role_names, "role")
    for database in declaration.databases:
        problems += database_name_problems(database.name)
        for extension in database.extensions:
            found = extension_problems(extension, platform)
            problems += [f"database {database.name!r}: {text}" for text in found]
        problems += [
            f"database {database.name!r}: {text}" for text in _repeated(database.extensions, "extension")
        ]
    problems += cron_problems(extensions_of(declaration), {})
    for role in declaration.roles:
        found = _login_problems(role.name, platform)
        if role.name == declaration.administrator:
            found.append(f"role {role.name!r} is the administrator; choose another name")
        if role.connection_limit < -1 or role.connection_limit > 2**31 - 1:
            found.append(
                f"connection limit {role.connection_limit} is out of range; give 0 to 2147483647, or -1"
            )
        found += _repeated(role.databases, "database") + _repeated(role.member_of, "membership in")
        for name in role.member_of:
            found += predefined_role_problems(name, major, rds=platform == "rds")
        found += _repeated([name for name, _ in role.settings], "setting")
        for name, value in role.settings:
            texts = role_setting_problems(name, written_value(name, value), major)
            found += [f"setting {name} = {value!r} {text}" for text in texts]
        found += [
            f"database {name!r} is not declared; declare it or drop it"
            for name in role.databases
            if name not in database_names
        ]
        for grant in role.grants:
            found += grant_problems(grant, major)
            if grant.database not in role.databases:
                found.append(f"grant in database {grant.database!r}, to which the role may not connect")
        problems += [f"role {role.name!r}: {text}" for text in found]
    problems += [
        f"common name {name!r} for {role!r}, which no application logs in as; remove it"
        for role, name in declaration.common_names
        if role in (SUPERUSER, declaration.administrator)
    ]
    return problems


def extensions_of(declaration: Declaration) -> dict[str, tuple[str, ...]]:
    """The extensions of each database, by its name."""
    return {database.name: database.extensions for database in declaration.databases}


def grant_problems(grant: Grant, major: int) -> list[str]:
    """Why PostgreSQL `major` cannot apply `grant`; empty when it can."""
    if grant.on not in get_args(GrantTarget):
        return [f"grant on {grant.on!r}: give one of {', '.join(get_args(GrantTarget))}"]
    problems: list[str] = []
    if grant.on == "database" and grant.schema is not None:
        problems.append(f"grant on the database names schema {grant.schema!r}; drop the schema")
    if grant.on != "database" and not grant.schema:
        problems.append(f"grant on {grant.on} names no schema; give one such as public")
    if grant.schema:
        problems += _schema_problems(grant.schema)
    if not grant.privileges:
        problems.append(
            f"grant on {grant.on} has no privileges; give some of {', '.join(PRIVILEGES[grant.on])}"
        )
    known = [name for name in PRIVILEGES[grant.on] if name != "maintain" or major >= 17]
    problems += [
        f"privilege {name!r} on {grant.on} is not one of {', '.join(known)} (PostgreSQL {major})"
        for name in grant.privileges
        if name not in known
    ]
    if grant.objects and grant.on not in OBJECT_TARGETS:
        problems.append(f"grant on {grant.on} names objects; drop them")
    if grant.columns and not (grant.on == "tables" and grant.objects):
        problems.append("columns are those of tables that the grant names; name them, or drop the columns")
    problems += [
        f"privilege {name!r} on columns is not one of {', '.join(COLUMN_PRIVILEGES)}"
        for name in grant.privileges
        if grant.columns and name not in COLUMN_PRIVILEGES
    ]
    problems += [text for name in grant.objects for text in _object_problems(name)]
    problems += [text for name in grant.columns for text in _object_problems(name, "column")]
    problems += _repeated(grant.privileges, "privilege")
    return problems + _repeated(grant.objects, "object") + _repeated(grant.columns, "column")


def iam_name_problems(role: str) -> list[str]:
    """Why IAM could not allow a login as `role` and as no other; empty when it can."""
    problem = (
        f"role name {role!r} has one of {' '.join(_IAM_SPECIAL_CHARACTERS)}, which IAM policies read as "
        "wildcards or variables; choose another"
    )
    return [problem] if set(role) & set(_IAM_SPECIAL_CHARACTERS) else []


def _login_problems(role: str, platform: Platform) -> list[str]:
    return role_name_problems(role) + (iam_name_problems(role) if platform == "rds" else [])


def _schema_problems(schema: str) -> list[str]:
    if schema == "information_schema" or schema.startswith("pg_"):
        return [f"schema {schema!r} belongs to PostgreSQL; choose another"]
    try:
        quote_identifier(schema)
    except ValueError as error:
        return [f"schema {error}"]
    return (
        [f"schema {schema!r} has upper-case letters, which unquoted SQL folds"]
        if schema != schema.lower()
        else []
    )


def _object_problems(name: str, kind: str = "object") -> list[str]:
    try:
        quote_identifier(name)
    except ValueError as error:
        return [f"{kind} {error}"]
    return (
        [f"{kind} {name!r} has upper-case letters, which unquoted SQL folds"] if name != name.lower() else []
    )


def _repeated(names: tuple[str, ...] | list[str], what: str) -> list[str]:
    return [f"{what} {name!r} is given twice" for name in sorted(set(names)) if names.count(name) > 1]


_LISTS: dict[str, type] = {"databases": list, "roles": list, "commonNames": list}
_LATER_KEYS = ("member_of", "settings", "objects", "columns")


def _camel(value: Any) -> Any:
    if isinstance(value, dict):
        return {_camel_key(key): _camel(item) for key, item in value.items()}
    return [_camel(item) for item in value] if isinstance(value, list | tuple) else value


def _camel_key(key: str) -> str:
    head, *tail = key.split("_")
    return head + "".join(part.capitalize() for part in tail)


def _fields(document: Any, where: str, types: Mapping[str, type | tuple[type, ...]]) -> dict[str, Any]:
    if not isinstance(document, dict) or set(document) != set(types):
        keys = sorted(document) if isinstance(document, dict) else type(document).__name__
        raise DeclarationError(f"{where} has {keys}; it must have exactly the keys {sorted(types)}")
    for key, wanted in types.items():
        if not isinstance(document[key], wanted) or isinstance(document[key], bool):
            raise DeclarationError(
                f"{where}.{key} is a {type(document[key]).__name__}; see roles.json's model"
            )
    return document


def _texts(values: list[Any], where: str) -> tuple[str, ...]:
    if not all(isinstance(value, str) for value in values):
        raise DeclarationError(f"{where} must hold strings only")
    return tuple(values)


def _database(item: Any, where: str) -> Database:
    values = _fields(item, where, {"name": str, "extensions": list})
    return Database(name=values["name"], extensions=_texts(values["extensions"], f"{where}.extensions"))


def _role(item: Any, where: str) -> Role:
    later: dict[str, Any] = {"memberOf": [], "settings": []}
    types = {"name": str, "connectionLimit": int, "databases": list, "grants": list}
    types |= dict.fromkeys(later, list)
    values = _fields({**later, **item} if isinstance(item, dict) else item, where, types)
    return Role(
        name=values["name"],
        connection_limit=values["connectionLimit"],
        databases=_texts(values["databases"], f"{where}.databases"),
        grants=tuple(_grant(grant, f"{where}.grants[{i}]") for i, grant in enumerate(values["grants"])),
        member_of=_texts(values["memberOf"], f"{where}.memberOf"),
        settings=tuple(_pair(pair, f"{where}.settings[{i}]") for i, pair in enumerate(values["settings"])),
    )


def _pair(item: Any, where: str) -> tuple[str, str]:
    if not isinstance(item, list) or len(item) != 2:
        raise DeclarationError(f"{where} must be a name and a value")
    name, value = _texts(item, where)
    return name, value


def _grant(item: Any, where: str) -> Grant:
    types: dict[str, type | tuple[type, ...]] = {"database": str, "schema": (str, type(None)), "on": str}
    types |= dict.fromkeys(("privileges", "objects", "columns"), list)
    values = _fields({"objects": [], "columns": [], **item} if isinstance(item, dict) else item, where, types)
    if values["on"] not in get_args(GrantTarget):
        raise DeclarationError(
            f"{where}.on is {values['on']!r}; it must be one of {', '.join(get_args(GrantTarget))}"
        )
    return Grant(
        database=values["database"],
        schema=values["schema"],
        on=values["on"],
        privileges=_texts(values["privileges"], f"{where}.privileges"),
        objects=_texts(values["objects"], f"{where}.objects"),
        columns=_texts(values["columns"], f"{where}.columns"),
    )
