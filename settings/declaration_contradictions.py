"""What contradicts something else in the databases, roles and grants of either kind of server."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from postgres import declaration
from settings.problems import Path, Problem
from settings.server_databases import DeclaredRole


def undeclared_database(
    section: Path, role: Path, database: str, databases: Collection[str]
) -> Iterator[Problem]:
    """A role's database that is not one of the section's."""
    if database in databases:
        return
    declared = f"allowed: {', '.join(databases)}" if databases else "there are none"
    yield Problem(
        (*role, "database"),
        f"is not one of databases; {declared}; correct it, or add it to databases",
        database,
        ((*role, "database"), (*section, "databases")),
    )


def grant_problems(section: Path, path: Path, major: int, role: DeclaredRole) -> Iterator[Problem]:
    """Grants of a role that the major does not know, or that say the same twice."""
    earlier: dict[tuple[str | None, str], int] = {}
    for index, grant in enumerate(role.grants):
        wanted = grant.declared(role.database)
        for problem in declaration.grant_problems(wanted, major):
            yield Problem((*path, index), problem, reads=((*path, index), (*section, "major")))
        first = earlier.setdefault((wanted.schema, wanted.on), index)
        if first != index:
            yield Problem(
                (*path, index),
                f"is about the same as grants[{first}]; put the privileges of both in one",
                reads=(path,),
            )
