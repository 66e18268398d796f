"""Privileges of declared roles as steps that grant or revoke them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from postgres.declaration import OBJECT_TARGETS, PRIVILEGES, Declaration, GrantTarget
from postgres.identifiers import MAINTENANCE_DATABASE, quote_identifier, quote_literal
from postgres.steps import Check, Step


class Privilege(NamedTuple):
    """One privilege of one role, on what exists, or by default on what `later_of` will create.

    On objects it is about the one named `object`, or about all; on a table, about its column `column`, or
    about the whole.
    """

    database: str
    role: str
    schema: str | None
    target: GrantTarget
    privilege: str
    later_of: str = ""
    object: str = ""
    column: str = ""


@dataclass(frozen=True, kw_only=True)
class _Held:
    """Privileges of one role on one object or kind of objects, those of `later_of` that come later or all.

    Attributes:
        object: The one object, or empty.
        column: The one column of it, or empty.
        kept: Objects that it is not about: they keep the privileges by a grant of their own.
    """

    database: str
    role: str
    schema: str | None
    target: GrantTarget
    later_of: str
    object: str
    column: str
    privileges: tuple[str, ...]
    kept: tuple[str, ...] = ()

    @property
    def listed(self) -> str:
        of_column = f" ({quote_identifier(self.column)})" if self.column else ""
        return ", ".join(f"{privilege.upper()}{of_column}" for privilege in self.privileges)

    def check(self, condition: str) -> Check:
        values = (
            ("role", self.role),
            ("place", self.database if self.target == "database" else self.schema or ""),
            ("privileges", tuple(privilege.upper() for privilege in self.privileges)),
            *([("owner", self.later_of)] if self.later_of else []),
            *([("object", self.object)] if self.object else []),
            *([("column", self.column)] if self.column else []),
            *([("kept", self.kept)] if self.kept else []),
        )
        return Check(condition=condition, values=values)


@dataclass(frozen=True, kw_only=True)
class _Objects:
    """Where the catalogues keep objects of one kind, and how GRANT names one.

    Attributes:
        keyword: What GRANT calls the kind.
        catalogue: Catalogue in which the objects are.
        prefix: How the names of its columns begin.
        condition: Which of its rows `c` GRANT … ON ALL includes (aclchk.c, objectsInSchemaToOids).
        name_type: Type whose text names an object for GRANT.
        letters: How acldefault and pg_default_acl call the kind.
    """

    keyword: str
    catalogue: str
    prefix: str
    condition: str
    name_type: str
    letters: tuple[str, str]


_OBJECTS: Mapping[str, _Objects] = MappingProxyType(
    {
        "tables": _Objects(
            keyword="TABLE",
            catalogue="pg_class",
            prefix="rel",
            condition="c.relkind IN ('r', 'v', 'm', 'f', 'p')",
            name_type="pg_catalog.regclass",
            letters=("r", "r"),
        ),
        "sequences": _Objects(
            keyword="SEQUENCE",
            catalogue="pg_class",
            prefix="rel",
            condition="c.relkind = 'S'",
            name_type="pg_catalog.regclass",
            letters=("s", "S"),
        ),
        "functions": _Objects(
            keyword="FUNCTION",
            catalogue="pg_proc",
            prefix="pro",
            condition="c.prokind <> 'p'",
            name_type="pg_catalog.regprocedure",
            letters=("f", "f"),
        ),
    }
)


def declared_privileges(declaration: Declaration) -> set[Privilege]:
    """Every privilege that the declaration gives to its roles, now and by default.

    Default privileges are those of whoever creates an object: the administrator, and every role that may
    create in the schema, or in the database, and so a schema of that name.
    """
    creators: dict[tuple[str, str | None], set[str]] = {}
    for role in declaration.roles:
        for grant in role.grants:
            if grant.on in ("schema", "database") and "create" in grant.privileges:
                creators.setdefault((grant.database, grant.schema), set()).add(role.name)
    privileges: set[Privilege] = set()
    for role in declaration.roles:
        for database in role.databases:
            privileges.add(Privilege(database, role.name, None, "database", "connect"))
        for grant in role.grants:
            owners = {""}
            if grant.on in OBJECT_TARGETS and not grant.objects:
                owners |= {declaration.administrator}
                owners |= creators.get((grant.database, grant.schema), set())
                owners |= creators.get((grant.database, None), set())
            privileges |= {
                Privilege(grant.database, role.name, grant.schema, grant.on, privilege, owner, name, column)
                for owner in owners - {role.name}
                for privilege in grant.privileges
                for name in grant.objects or [""]
                for column in grant.columns or [""]
            }
    return privileges


@dataclass(frozen=True, kw_only=True)
class _Place:
    """What one GRANT names.

    Attributes:
        on: The object, or the kind of objects, as GRANT names it.
        where: The same for messages.
        database: Database to be in.
        entries: A query for what the catalogues say of it: `name`, `acl` and `owner` of each object. It
            reads the column `place` of `v`.
        several: Whether these are the objects of a schema, each of which takes a GRANT of its own.
    """

    on: str
    where: str
    database: str
    entries: str
    several: bool = False


def grants(privileges: Iterable[Privilege], administrator: str) -> Iterator[Step]:
    """The steps that grant the privileges, now and by default."""
    for held in _grouped(privileges):
        place = _place(held, administrator)
        holds_all = f"NOT EXISTS (SELECT FROM {_PRIVILEGES} WHERE NOT {_GRANTED})"
        if place.several:
            lacking = f"{_ENTRIES.format(entries=place.entries)} WHERE NOT ({holds_all})"
            condition = f"{_HAS_ROLE} AND NOT EXISTS (SELECT FROM {lacking})"
        else:
            lacking = ""
            condition = f"EXISTS (SELECT FROM {_ENTRIES.format(entries=place.entries)} WHERE {holds_all})"
        yield Step(
            database=place.database,
            as_role="administrator",
            sql=_statement("GRANT", held, place, lacking),
            purpose=f"grant {held.listed.lower()} on {place.where} to {held.role}",
            check=held.check(condition),
            routine=place.several,
        )


def revokes(
    former: set[Privilege], declared: set[Privilege], administrator: str, databases: Iterable[str]
) -> Iterator[Step]:
    """The steps that revoke what is not declared any more, where the role and the place still exist.

    A grant that was refused, on somebody else's schema for example, cannot be revoked either: its step
    counts as done, and must not block a declaration without it.

    Args:
        former: What was granted.
        declared: What is granted now.
        administrator: The role that granted it.
        databases: The declared databases; any other may be missing.
    """
    existing = frozenset(databases)
    revoked = {each for each in former - declared if each._replace(object="") not in declared}
    kept: dict[Privilege, list[str]] = {}
    for each in declared:
        if each.object and not each.column:
            kept.setdefault(each._replace(object=""), []).append(each.object)
    for held in _grouped(revoked, kept):
        place = _place(held, administrator)
        holding = (
            f"{_ENTRIES.format(entries=place.entries)} WHERE {acts_for(administrator, 'o.owner')} "
            f"AND o.owner <> r.oid AND EXISTS (SELECT FROM {_PRIVILEGES} WHERE {_GRANTED})"
        )
        yield Step(
            database=place.database,
            as_role="administrator",
            sql=_statement("REVOKE", held, place, holding),
            purpose=f"revoke {held.listed.lower()} on {place.where} from {held.role}",
            check=held.check(f"NOT EXISTS (SELECT FROM {holding})"),
            database_may_be_missing=held.database not in existing,
        )


def oid_of(role: str) -> str:
    """An SQL expression: the OID of a role, NULL if there is none."""
    return f"(SELECT a.oid FROM pg_catalog.pg_roles a WHERE a.rolname = {quote_literal(role)})"  # noqa: S608 - quoted


def acts_for(administrator: str, owner: str) -> str:
    """An SQL condition: whether the administrator may do what the role with the OID `owner` may."""
    return f"pg_catalog.pg_has_role({oid_of(administrator)}, {owner}, 'USAGE')"


_HAS_ROLE = "EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = v.role)"
_ENTRIES = "({entries}) o JOIN pg_catalog.pg_roles r ON r.rolname = v.role"
_PRIVILEGES = "pg_catalog.unnest(v.privileges) AS p(privilege)"
# GRANT by whoever acts for the owner is recorded as the owner's.
_GRANTED = "o.acl OPERATOR(pg_catalog.@>) pg_catalog.makeaclitem(r.oid, o.owner, p.privilege, false)"


def _place(held: _Held, administrator: str) -> _Place:
    if held.target == "database" or held.schema is None:
        return _Place(
            on=f"DATABASE {quote_identifier(held.database)}",
            where=f"database {held.database}",
            database=MAINTENANCE_DATABASE,
            entries="SELECT coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba)) AS acl, "
            "d.datdba AS owner FROM pg_catalog.pg_database d WHERE d.datname = v.place",
        )
    where = f"schema {held.schema} of {held.database}"
    if held.target == "schema":
        return _Place(
            on=f"SCHEMA {quote_identifier(held.schema)}",
            where=where,
            database=held.database,
            entries="SELECT coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner)) AS acl, "
            "n.nspowner AS owner FROM pg_catalog.pg_namespace n WHERE n.nspname = v.place",
        )
    kind = held.target
    objects = _OBJECTS[kind]
    letter, default_letter = objects.letters
    if held.later_of:
        owned_by = "the administrator" if held.later_of == administrator else held.later_of
        return _Place(
            on=kind.upper(),
            where=f"later {kind} of {owned_by} in {where}",
            database=held.database,
            entries="SELECT d.defaclacl AS acl, d.defaclrole AS owner FROM pg_catalog.pg_default_acl d "  # noqa: S608 - constants
            "JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace "
            "JOIN pg_catalog.pg_roles w ON w.oid = d.defaclrole "
            f"WHERE n.nspname = v.place AND d.defaclobjtype = '{default_letter}' AND w.rolname = v.owner",
        )
    owner = f"c.{objects.prefix}owner"
    acl = f"coalesce(c.{objects.prefix}acl, pg_catalog.acldefault('{letter}', {owner}))"
    attributes = column = ""
    if held.column:
        acl = f"coalesce(a.attacl, pg_catalog.acldefault('c', {owner}))"
        attributes = "JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped "
        column = ', a.attname::text AS "column"'
    which = "AND o.object = v.object" if held.object else "AND o.object <> ALL (v.kept)" if held.kept else ""
    of_column = ' AND o."column" = v."column"' if held.column else ""
    return _Place(
        on=objects.keyword,
        where=f"{kind} {held.object} in {where}" if held.object else f"{kind} in {where}",
        database=held.database,
        # Materialised, so that what does not depend on the role is found once for all roles.
        entries=f"WITH o AS MATERIALIZED (SELECT n.nspname AS place, {owner} AS owner, "  # noqa: S608 - constants
        f"c.oid::{objects.name_type}::text AS name, c.{objects.prefix}name::text AS object, "
        f"{acl} AS acl{column} "
        f"FROM pg_catalog.{objects.catalogue} c {attributes}"
        f"JOIN pg_catalog.pg_namespace n ON n.oid = c.{objects.prefix}namespace "
        f"WHERE {objects.condition} AND n.nspname !~ '^pg_' AND {acts_for(administrator, owner)}) "
        f"SELECT o.* FROM o WHERE o.place = v.place {which}{of_column}",
        several=True,
    )


def _statement(verb: str, held: _Held, place: _Place, objects: str) -> str:
    """GRANT … TO or REVOKE … FROM; where the place has several objects, on those in the query `objects`."""
    before = f"{verb} {held.listed} ON {place.on}"
    after = f" {'TO' if verb == 'GRANT' else 'FROM'} {quote_identifier(held.role)}"
    if held.later_of:
        owner, schema = quote_identifier(held.later_of), quote_identifier(held.schema or "")
        return f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema} {before}{after}"
    if place.several:
        record = held.check("").record
        return _on_each(f"SELECT o.name FROM {record} CROSS JOIN LATERAL {objects}", f"{before} ", after)  # noqa: S608 - quoted
    return before + after


def _on_each(objects: str, before: str, after: str) -> str:
    """A statement that runs `before`, an object, `after` for each name that the query `objects` returns.

    GRANT … ON ALL would fail as a whole where one object belongs to a role that the administrator
    cannot act for, such as objects of extensions that only a superuser can create.
    """
    body = f"""
DECLARE
  object text;
BEGIN
  FOR object IN
    {objects} ORDER BY 1
  LOOP
    EXECUTE {quote_literal(before)} || object || {quote_literal(after)};
  END LOOP;
END
"""
    return f"DO {quote_literal(body)}"


def _grouped(
    privileges: Iterable[Privilege], kept: Mapping[Privilege, Sequence[str]] = MappingProxyType({})
) -> list[_Held]:
    """Privileges by role and object, those of one session together, in an order that content alone decides.

    `kept` has the objects that a privilege on all of them is not about.
    One privilege does not depend on another.
    """
    groups: dict[tuple[str, str, str, GrantTarget, str, str, str, tuple[str, ...]], list[str]] = {}
    for each in privileges:
        database, role, schema, target, privilege, later_of, name, column = each
        others = tuple(sorted(kept.get(each, ())))
        key = (database, role, schema or "", target, later_of, name, column, others)
        groups.setdefault(key, []).append(privilege)
    targets = list(PRIVILEGES)
    return [
        _Held(
            database=database,
            role=role,
            schema=schema or None,
            target=target,
            later_of=later_of,
            object=name,
            column=column,
            kept=others,
            privileges=tuple(sorted(names, key=PRIVILEGES[target].index)),
        )
        for (database, role, schema, target, later_of, name, column, others), names in sorted(
            groups.items(), key=lambda item: (*item[0][:3], targets.index(item[0][3]), *item[0][4:])
        )
    ]
