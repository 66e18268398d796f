"""What is wrong with the maps of a server that PostgreSQL itself would accept."""

from __future__ import annotations

from collections.abc import Sequence

from postgres.access import COMMON_NAME_MAP, MACHINE_MAP, claim_problems
from postgres.hba_parser import ParsedRule
from postgres.hba_rule import USER_KEYWORDS, AuthenticationMethod, ConnectionType, name_of_literal
from postgres.ident import IdentMapping
from postgres.identifiers import SUPERUSER


def map_problems(
    mappings: Sequence[IdentMapping], rules: Sequence[ParsedRule], declared: Sequence[IdentMapping] = ()
) -> list[str]:
    """Why the lines of pg_ident.conf must not be applied beside the rules of pg_hba.conf.

    Whoever has a certificate logs in as the role that it names. So a line maps a name to the role of that
    name, or, in a map that only rules with `clientname=DN` use, a subject to the role of its common name,
    which comes first. The map of the machine is for local rules, and only the machine writes its lines.

    `declared` are the lines of the declaration (access.ident_mappings). The map of common names has these
    and no others.
    """
    subjects = _maps_of_subjects(rules)
    problems = _common_name_problems(mappings, rules, declared)
    for mapping in mappings:
        name, role = mapping.login
        if mapping.map_name == COMMON_NAME_MAP:
            continue
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


def _common_name_problems(
    mappings: Sequence[IdentMapping], rules: Sequence[ParsedRule], declared: Sequence[IdentMapping]
) -> list[str]:
    """Where the map of common names differs from the declaration, or the declaration opens another role."""
    written = dict.fromkeys(each for each in mappings if each.map_name == COMMON_NAME_MAP)
    wanted = dict.fromkeys(declared)
    where = f"pg_ident.conf: map {COMMON_NAME_MAP!r}"
    problems = [
        f"{where} lets {each.system_user!r} in as {each.database_user!r}, which is not declared; remove it"
        for each in written
        if each not in wanted
    ]
    problems += [
        f"{where} does not let {each.system_user!r} in as {each.database_user!r}, which is declared; add it"
        for each in wanted
        if each not in written
    ]
    for entry in rules:
        options = dict(entry.rule.options)
        if options.get("map") == COMMON_NAME_MAP and (
            entry.rule.method is not AuthenticationMethod.CERT or options.get("clientname") == "DN"
        ):
            problems.append(
                f"pg_hba.conf line {entry.line_number} uses the map {COMMON_NAME_MAP!r} for something else "
                "than common names of certificates; use cert without clientname=DN"
            )
    pairs = [(each.database_user, each.system_user) for each in wanted]
    others = [(role, name) for role, name in pairs if name != role]
    holders = dict.fromkeys({SUPERUSER, *_named_users(rules)}, "a role of pg_hba.conf")
    return problems + [
        f"roles.json: the common name of role {role!r} {problem}"
        for role, problem in claim_problems(others, holders)
    ]


def _named_users(rules: Sequence[ParsedRule]) -> set[str]:
    """The roles that rules name one by one."""
    users = {user for entry in rules for user in entry.rule.users}
    single = {user for user in users - USER_KEYWORDS if not user.startswith(("+", "/"))}
    return {name_of_literal(user) or user for user in single}


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
