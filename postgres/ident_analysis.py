"""What is wrong with the maps of a server that PostgreSQL itself would accept."""

from __future__ import annotations

from collections.abc import Sequence

from postgres.access import MACHINE_MAP
from postgres.hba_parser import ParsedRule
from postgres.hba_rule import ConnectionType
from postgres.ident import IdentMapping


def map_problems(mappings: Sequence[IdentMapping], rules: Sequence[ParsedRule]) -> list[str]:
    """Why the lines of pg_ident.conf must not be applied beside the rules of pg_hba.conf.

    Whoever has a certificate logs in as the role that it names. So a line maps a name to the role of that
    name, or, in a map that only rules with `clientname=DN` use, a subject to the role of its common name,
    which comes first. The map of the machine is for local rules, and only the machine writes its lines.
    """
    subjects = _maps_of_subjects(rules)
    problems: list[str] = []
    for mapping in mappings:
        name, role = mapping.login
        if mapping.map_name == MACHINE_MAP:
            problems.append(
                f"pg_ident.conf: only the machine writes lines of the map {MACHINE_MAP}; remove them"
            )
        elif name != role and not (mapping.map_name in subjects and _is_subject_of(name, role)):
            problems.append(
                f"pg_ident.conf: map {mapping.map_name!r} lets {name!r} in as {role!r}; a certificate names "
                f"the role itself: write {role!r} as system user, or with clientname=DN a subject that "
                f"begins with 'CN={role},'"
            )
    return problems


def _maps_of_subjects(rules: Sequence[ParsedRule]) -> set[str]:
    """Maps that are looked up by whole subjects, and never by anything else."""
    by_subject: dict[bool, set[str]] = {True: set(), False: set()}
    for entry in rules:
        options = dict(entry.rule.options)
        if "map" in options:
            is_remote = entry.rule.type is not ConnectionType.LOCAL
            by_subject[is_remote and options.get("clientname") == "DN"].add(options["map"])
    return by_subject[True] - by_subject[False]


def _is_subject_of(subject: str, role: str) -> bool:
    """Whether the subject's first part is the common name `role`, which needs no escaping."""
    is_plain = not set(role) & set(',+"\\<>;=#')
    return is_plain and (subject == f"CN={role}" or subject.startswith(f"CN={role},"))
