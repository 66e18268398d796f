"""pg_ident.conf, wherever a resource carries it: which names may log in as which role."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from policy.floor import SUPERUSER
from policy.resources import Resource
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.text.carriers import TYPES
from policy.text.server_files import HbaFile, carried, shown
from postgres.hba_parser import ParsedRule
from postgres.hba_rule import ConnectionType


def _maps_single_names(resource: Resource) -> Iterator[Outcome]:
    files = carried(resource)
    # A map of a peer rule applies to users of the operating system, who may be the superuser.
    local = _maps(files.hba, local=True)
    remote = _maps(files.hba, local=False)
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
            if mapping.database_user == SUPERUSER:
                yield Problem(at=file.text.place(number), reason="it maps to the superuser")
            elif not _is_its_own(*mapping.login):
                reason = "it maps a name to a role of another name; expected the role's own name"
                yield Problem(at=file.text.place(number), reason=reason)
    files.require_known()


def _map_of(parsed: ParsedRule) -> str | None:
    return dict(parsed.rule.options).get("map")


def _maps(files: Iterable[HbaFile], *, local: bool) -> set[str]:
    rules = [each for file in files for each in file.rules]
    given = [(each, name) for each in rules if (name := _map_of(each)) is not None]
    return {name for each, name in given if (each.rule.type is ConnectionType.LOCAL) is local}


def _is_its_own(name: str, role: str) -> bool:
    """Whether `name` is the role's, or a subject whose first part is the role as common name."""
    return name == role or f"{name},".startswith(f"CN={role},")


RULES = (
    Rule(
        id="PGTLS-N06",
        title="pg_ident.conf maps names to the roles of these names, and none to the superuser",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=TYPES,
        checks=(_maps_single_names,),
        why="Whoever has a certificate with a mapped name can log in as the role.",
        fix="issue certificates with the role as common name, which need no map",
        link="https://www.postgresql.org/docs/current/auth-username-maps.html",
    ),
)
