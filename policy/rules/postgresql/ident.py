"""pg_ident.conf, wherever a resource carries it: which names may log in as which role."""

from __future__ import annotations

from collections.abc import Iterator

from policy.resources import Resource
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.text.server_files import CARRIERS, carried, shown
from postgres.hba_rule import AuthenticationMethod
from postgres.identifiers import SUPERUSER


def _maps_single_names(resource: Resource) -> Iterator[Outcome]:
    files = carried(resource)
    # A map of a peer rule applies to users of the operating system, who may be the superuser.
    local = {
        dict(each.rule.options).get("map")
        for file in files.hba
        for each in file.rules
        if each.rule.method is AuthenticationMethod.PEER
    }
    for file in files.ident:
        for line in file.unreadable:
            yield Problem(at=file.text.place(line.number), reason=shown(file.text, line))
        for number, mapping in file.mappings:
            if mapping.database_user == SUPERUSER and mapping.map_name not in local:
                yield Problem(at=file.text.place(number), reason="it maps to the superuser")
    files.require_known()


RULES = (
    Rule(
        id="PGTLS-N06",
        title="pg_ident.conf maps single names, and none to the superuser",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=tuple(CARRIERS),
        checks=(_maps_single_names,),
        why="Whoever has a certificate with a matching name can log in as the role.",
        fix="name each system user, or anchor the expression with ^ and $; map nobody to the superuser",
        link="https://www.postgresql.org/docs/current/auth-username-maps.html",
    ),
)
