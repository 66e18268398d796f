"""Compares the catalogues with the declaration, and runs what differs.

One query per database finds every step that is not done, everything that declared roles have beyond the
declaration, and what others made of declared names. Nothing else runs where nothing differs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from postgres.declaration import Declaration, Platform
from postgres.identifiers import MAINTENANCE_DATABASE
from postgres.protocol import is_transient
from postgres.steps import Check, Executor, Step, Value
from postgres.undeclared import excess_query, foreign_query

LOCK_SECONDS = 2
"""How long a step waits for somebody's lock: it then fails alone, and the next run tries it again."""

ATTEMPTS = 3
"""How often a step runs that somebody's change at the same time disturbs."""

RUNS = 2
"""How often a step runs without an error and is not done, before it is a failure."""

_EXCESS_KIND = "CASE WHEN e.access THEN 'access' ELSE 'excess' END"
_INTERNAL_ERROR = "XX000"  # "tuple concurrently updated" has no code of its own.
_COLLISIONS = ("40", _INTERNAL_ERROR)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A step that the server refused.

    Attributes:
        step: The step.
        sqlstate: The server's code; empty if the step ran and its check still fails.
        message: The server's words.
    """

    step: Step
    sqlstate: str
    message: str

    @property
    def passing(self) -> bool:
        """Whether the same step may succeed later."""
        return not self.sqlstate or is_transient(self.sqlstate) or self.sqlstate == _INTERNAL_ERROR

    @property
    def collision(self) -> bool:
        """Whether somebody's change at the same time disturbed it."""
        return self.sqlstate.startswith(_COLLISIONS)

    def __str__(self) -> str:
        """What could not be done, and why."""
        return f"{self.step.purpose} (database {self.step.database}, as {self.step.as_role}): {self.message}"


@dataclass(frozen=True, kw_only=True)
class Reconciliation:
    """What a reconciliation found and did, as sentences.

    Attributes:
        put_back: What was not as declared and is so now.
        routine: The same for what applications make necessary: privileges on objects made since the last run.
        failures: What could not be put back.
        foreign: What others made of declared names, and roles with powers that are not declared.
        held: What is not as declared, and is left so while a hold lasts.
        in_recovery: Whether the server is a standby, whose catalogues are left alone.
    """

    put_back: tuple[str, ...] = ()
    routine: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    foreign: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    in_recovery: bool = False


class Server(Protocol):
    """How an executor reaches a server. Each session has `search_path` pg_catalog and LOCK_SECONDS."""

    def query(self, sql: str, database: str) -> Sequence[Sequence[str]] | None:
        """The rows of a query by whoever may read the most; None on a server without that database."""
        ...

    def run(self, steps: Sequence[Step], database: str, executor: Executor) -> list[Failure]:
        """Run each step by itself, unless its check says that it is done; those that failed."""
        ...


def reconcile(
    steps: Sequence[Step],
    declaration: Declaration,
    major: int,
    platform: Platform,
    server: Server,
    *,
    held: bool = False,
) -> Reconciliation:
    """Run the steps that are not done, and take back what is not declared. A failure stops no other step.

    Roles and databases come first, from the maintenance database, and then each database by itself.

    Args:
        steps: What `roles.statements` returned for the declaration; each with a check.
        declaration: The declaration.
        major: Major release of the server.
        platform: Where the server is.
        server: Reaches it.
        held: Whether a hold lasts: only what decides on access is put back then.
    """
    done: list[Step] = []
    left: list[Step] = []
    failures: list[Failure] = []
    foreign: list[str] = []
    for database in (
        MAINTENANCE_DATABASE,
        *sorted({step.database for step in steps} - {MAINTENANCE_DATABASE}),
    ):
        own = [step for step in steps if step.database == database]
        query = survey_query(own, declaration, database, major, platform)
        rows = server.query(query, database)
        if rows is None:
            # Where a hold lasts, the step that makes the database is among those that wait.
            if not held:
                failures += [_missing(step) for step in own if not step.database_may_be_missing][:1]
            continue
        survey = read_survey(rows, own, database)
        if survey.in_recovery:
            return Reconciliation(in_recovery=True)
        ran: dict[Step, int] = {}
        failed: dict[Step, Failure] = {}
        # What was put back may show more: a grant by a former owner becomes the administrator's, and what is
        # revoked on a whole table is revoked on its columns too.
        while wanted := [
            step for step in survey.due(held=held) if step not in failed and ran.get(step, 0) < RUNS
        ]:
            ran |= {step: ran.get(step, 0) + 1 for step in wanted}
            failed |= {failure.step: failure for failure in _run(wanted, database, server)}
            survey = read_survey(server.query(query, database) or [], own, database)
        failed |= {
            step: Failure(step=step, sqlstate="", message="it ran without an error, and is not so yet")
            for step in survey.due(held=held)
            if step not in failed
        }
        left += [step for step in survey.wanted if step not in survey.due(held=held)]
        failures += failed.values()
        done += [step for step in ran if step not in failed]
        foreign += survey.foreign
    return Reconciliation(
        put_back=tuple(step.purpose for step in done if not step.routine),
        routine=tuple(step.purpose for step in done if step.routine),
        failures=tuple(failures),
        foreign=tuple(foreign),
        held=tuple(step.purpose for step in left),
    )


@dataclass(frozen=True, kw_only=True)
class Survey:
    """How one database differs from the declaration.

    Attributes:
        wanted: The steps to run, in their order.
        foreign: What is only reported.
        in_recovery: Whether the server is a standby.
    """

    wanted: list[Step]
    foreign: list[str]
    in_recovery: bool

    def due(self, *, held: bool) -> list[Step]:
        """The steps that run now."""
        return [step for step in self.wanted if step.access or not held]


def survey_query(
    steps: Sequence[Step], declaration: Declaration, database: str, major: int, platform: Platform
) -> str:
    """One query for everything that `read_survey` reads, to be run in the database.

    Args:
        steps: The steps of that database.
        declaration: The declaration.
        database: The database.
        major: Major release of the server.
        platform: Where the server is.
    """
    recovery = "SELECT 'recovery' AS kind, '' AS what, '' AS purpose, '' AS sql"
    excess = excess_query(declaration, database, major, platform)
    foreign = foreign_query(declaration, database, platform)
    parts = [
        f"{recovery} WHERE pg_catalog.pg_is_in_recovery()",
        *_not_done(steps),
        f"SELECT {_EXCESS_KIND}, e.executor, e.purpose, e.sql FROM ({excess}) e",  # noqa: S608 - quoted
        f"SELECT 'foreign', f.finding, '', '' FROM ({foreign}) f(finding)",  # noqa: S608 - quoted
    ]
    return "\nUNION ALL ".join(parts)


def _not_done(steps: Sequence[Step]) -> Iterable[str]:
    """Queries for the numbers of the steps that are not done, one for each condition."""
    groups: dict[str, list[tuple[int, Check]]] = {}
    for number, step in enumerate(steps):
        if step.check is not None:
            groups.setdefault(step.check.condition, []).append((number, step.check))
    for condition, members in groups.items():
        numbered: list[dict[str, Value]] = [{"n": number, **dict(check.values)} for number, check in members]
        records = members[0][1].records(numbered)
        yield f"SELECT 'step', v.n::text, '', '' FROM {records} WHERE ({condition}) IS NOT TRUE"  # noqa: S608 - quoted


def read_survey(rows: Sequence[Sequence[str]], steps: Sequence[Step], database: str) -> Survey:
    """What the rows of `survey_query` say.

    The superuser's and the master's statements that take something back come first, since what they take
    back may stop a step; the administrator's come last, since a step may have to repair the administrator.
    """
    numbers = {int(what) for kind, what, *_ in rows if kind == "step"}
    drifted = [step for number, step in enumerate(steps) if number in numbers]
    executors: dict[str, Executor] = {name: name for name in ("superuser", "master", "administrator")}
    excess = [
        Step(database=database, as_role=executors[what], sql=sql, purpose=purpose, access=kind == "access")
        for kind, what, purpose, sql in sorted(map(tuple, rows))
        if kind in ("access", "excess")
    ]
    first = [step for step in excess if step.as_role != "administrator"]
    return Survey(
        wanted=[*first, *drifted, *(step for step in excess if step.as_role == "administrator")],
        foreign=sorted(what for kind, what, *_ in rows if kind == "foreign"),
        in_recovery=any(kind == "recovery" for kind, *_ in rows),
    )


def _run(steps: Sequence[Step], database: str, server: Server) -> list[Failure]:
    def executor_of(step: Step) -> Executor:
        return step.as_role

    failures: list[Failure] = []
    for executor, group in itertools.groupby(steps, key=executor_of):
        rest, attempt = list(group), 0
        while rest:
            attempt += 1
            failed = server.run(rest, database, executor)
            again = [failure for failure in failed if failure.collision and attempt < ATTEMPTS]
            failures += [failure for failure in failed if failure not in again]
            rest = [failure.step for failure in again]
    return failures


def _missing(step: Step) -> Failure:
    return Failure(step=step, sqlstate="3D000", message=f"there is no database {step.database}")
