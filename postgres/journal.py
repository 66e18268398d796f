"""The applied-state journal: every declaration that may have left objects in the catalogues.

An apply that was killed or refused half way leaves some of its own objects behind, until a complete apply
has removed them. So each executor adds a declaration to the journal before it runs the first of its steps,
wherever it keeps the journal.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from postgres.declaration import Declaration, DeclarationError
from postgres.reconciliation import Reconciliation
from postgres.steps import Step


class DamagedJournalError(ValueError):
    """A journal that cannot be read; guessing could leave a removed role with its login."""


def journal_to_json(journal: Sequence[Declaration]) -> str:
    """The journal, oldest declaration first."""
    return json.dumps([json.loads(declaration.to_json()) for declaration in journal])


def journal_from_json(text: str | bytes) -> list[Declaration]:
    """What `journal_to_json` wrote.

    Raises:
        DamagedJournalError: it is something else.
    """
    try:
        return [Declaration.from_json(json.dumps(document)) for document in json.loads(text)]
    except (ValueError, RecursionError, TypeError, DeclarationError) as error:
        raise DamagedJournalError(str(error)) from error


def apply_with_journal(
    desired: Declaration,
    journal: Sequence[Declaration],
    *,
    plan: Callable[[Declaration | None], Sequence[Step]],
    write: Callable[[Sequence[Declaration]], None],
    run: Callable[[Sequence[Step]], Reconciliation],
) -> Reconciliation:
    """Apply `desired` over every declaration in the journal; afterwards the journal holds `desired` alone.

    A step that fails or is held leaves the earlier declarations in the journal.

    Args:
        desired: the declaration to apply.
        journal: what the journal holds.
        plan: returns the steps from an earlier declaration to `desired`; the earlier one is None on a new
            server. If it raises, nothing has been written or run.
        write: replaces the journal.
        run: runs steps, all of them once.
    """
    earlier: list[Declaration | None] = [declaration for declaration in journal if declaration != desired]
    plans = [plan(previous) for previous in earlier or [None]]
    if desired not in journal:
        write([*journal, desired])
    # What several plans have in common runs once; what one of them removes, no other one makes.
    found = run(list(dict.fromkeys(step for steps in plans for step in steps)))
    if journal != [desired] and not (found.failures or found.held or found.in_recovery):
        write([desired])
    return found
