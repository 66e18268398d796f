"""pg_ident.conf, wherever a resource carries it: which names may log in as which role."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from policy.resources import Resource
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.rules.rds.resource_types import SUPERUSERS
from policy.text.carriers import TYPES
from policy.text.server_files import HbaFile, ServerFiles, carried, shown
from postgres.hba_parser import ParsedRule
from postgres.hba_rule import USER_KEYWORDS, ConnectionType, name_of_literal
from postgres.ident import IdentMapping


def _maps_single_names(resource: Resource) -> Iterator[Outcome]:
    files = carried(resource)
    # A map of a peer rule applies to users of the operating system, who may be the superuser.
    local = _maps(files.hba, local=True)
    remote = _maps(files.hba, local=False)
    roles = _named_roles(files)
    for file in files.hba:
        for each in file.rules:
            if each.rule.type is not ConnectionType.LOCAL and _map_of(each) in local:
                reason = "it lets remote clients in by the map of the machine's users; expected no map"
                yield Problem(at=file.text.place(each.line_number), reason=reason)
    for file in files.ident:
        for line in file.unreadable:
            yield Problem(at=file.text.place(line.number), reason=shown(file.text, line))
        for number, mapping in file.mappings:
            if mapping.map_name in local - remote:
                continue
            if reason := _wrong(mapping, roles):
                yield Problem(at=file.text.place(number), reason=reason)
    files.require_known()


def _map_of(parsed: ParsedRule) -> str | None:
    return dict(parsed.rule.options).get("map")


def _maps(files: Iterable[HbaFile], *, local: bool) -> set[str]:
    rules = [each for file in files for each in file.rules]
    given = [(each, name) for each in rules if (name := _map_of(each)) is not None]
    return {name for each, name in given if (each.rule.type is ConnectionType.LOCAL) is local}


def _named_roles(files: ServerFiles) -> set[str]:
    """The roles that rules or maps name one by one."""
    users = {user for file in files.hba for each in file.rules for user in each.rule.users}
    mapped = {mapping.database_user for file in files.ident for _, mapping in file.mappings}
    return {name_of_literal(user) or user for user in users - USER_KEYWORDS} | mapped


def _wrong(mapping: IdentMapping, roles: Collection[str]) -> str | None:
    """What a line lets in that nobody meant: who writes a name out, means that name."""
    name, role = mapping.login
    if role in SUPERUSERS:
        return "it maps to the superuser"
    if _is_its_own(name, role):
        return None
    if mapping.regex:
        return "it maps to a role of another name by an expression; expected the name itself"
    if name in roles or name.partition(",")[0].removeprefix("CN=") in roles:
        return "it lets the certificate of one role in as another; expected a name that is no role's"
    return None


def _is_its_own(name: str, role: str) -> bool:
    """Whether `name` is the role's, or a subject whose first part is the role as common name."""
    return name == role or f"{name},".startswith(f"CN={role},")


RULES = (
    Rule(
        id="PGTLS-N06",
        title="pg_ident.conf maps exact names, none of another role and none to the superuser",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=TYPES,
        checks=(_maps_single_names,),
        why="Whoever has a certificate with a mapped name can log in as the role, so an expression that also "
        "matches other names, or the name of another role, lets strangers in.",
        fix="issue certificates with the role as common name, which need no map, or write the other name out",
        link="https://www.postgresql.org/docs/current/auth-username-maps.html",
    ),
)
