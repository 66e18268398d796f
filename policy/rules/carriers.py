"""What carries text: no credentials, no program that verifies nothing, no server that trusts its clients."""

from __future__ import annotations

from collections.abc import Iterator

from policy.resources import Resource
from policy.rule import Area, Outcome, Problem, Rule, Severity, Unclear
from policy.text.carriers import CARRIERS, TYPES, Carried, carried_texts
from policy.text.connection_strings import is_local_host
from policy.text.credentials import credential_in
from policy.text.embedded_text import Text
from policy.text.weakenings import Found, hosts, weak_authentication, weak_connections, weak_tls
from policy.type_tokens import EC2_INSTANCE, LAUNCH_TEMPLATE, SSM_PARAMETER
from policy.values import UndecidedError

# P042, P043 and P144 report the first three. A Secret of Kubernetes is where credentials belong there.
_ELSEWHERE = (EC2_INSTANCE, LAUNCH_TEMPLATE, SSM_PARAMETER, "kubernetes:core/v1:Secret")


def _credentials(resource: Resource) -> Iterator[Outcome]:
    carried = carried_texts(resource)
    for text in carried.texts:
        if (found := credential_in(text)) is not None:
            yield found
    yield from _not_read(carried, *carried.unknown_variables)


def _verifies(resource: Resource) -> Iterator[Outcome]:
    carried = carried_texts(resource)
    texts = [each for each in carried.texts if not (each.is_documentation or each.is_source)]
    named = [host for text in texts for host in hosts(text)]
    is_local = bool(named) and all(map(is_local_host, named))
    for text in texts:
        weak = weak_tls(text)
        for found in weak if is_local else (*weak, *weak_connections(text)):
            yield _problem(text, found)
    yield from _not_read(carried)


def _proves(resource: Resource) -> Iterator[Outcome]:
    carried = carried_texts(resource)
    for text in carried.texts:
        if not (text.is_documentation or text.is_source):
            for found in weak_authentication(text):
                yield _problem(text, found)
    yield from _not_read(carried)


def _not_read(carried: Carried, *variables: str) -> Iterator[Outcome]:
    """What cannot be read; last of all, what is not known yet, with these variables."""
    for why in carried.unread:
        yield Unclear(why=why)
    if waiting := (*carried.unknown, *variables):
        raise UndecidedError(waits_for=" and ".join(waiting))


def _problem(text: Text, found: Found) -> Problem:
    """A problem at the place of a weakening, which is quoted unless the text is a secret."""
    quoted = "" if text.secret else f"`{found.quoted}`: "
    return Problem(at=text.place_of(found.offset), reason=f"{quoted}{found.why}")


RULES = (
    Rule(
        id="PGTLS-N86",
        title="Environments, commands and code leave the verification of servers on",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=TYPES,
        checks=(_verifies,),
        why="A program that accepts any certificate talks to whoever is on the network path.",
        fix="remove the setting, and give the program the certificate of the authority",
        link="https://www.postgresql.org/docs/current/libpq-ssl.html",
    ),
    Rule(
        id="PGTLS-N87",
        title="No environment or command makes a server that trusts its clients",
        area=Area.IDENTITY,
        severity=Severity.CRITICAL,
        types=TYPES,
        checks=(_proves,),
        why="Such a server lets in everybody who reaches it, or takes passwords in a usable form.",
        fix="state scram-sha-256 for hosts and peer for local connections, and write a pg_hba.conf with cert",
        link="https://www.postgresql.org/docs/current/app-initdb.html",
    ),
    Rule(
        id="PGTLS-N88",
        title="Environments, commands, documents and objects hold no credentials",
        area=Area.SECRETS,
        severity=Severity.CRITICAL,
        types=tuple(token for token in CARRIERS if token not in _ELSEWHERE),
        checks=(_credentials,),
        why="Everybody who may describe the resource, or read the object or the log, can read them.",
        fix="name a secret of Secrets Manager (in tasks: `secrets` with `valueFrom`), or use a certificate",
        link="https://docs.aws.amazon.com/AmazonECS/latest/developerguide/specifying-sensitive-data.html",
        references=("SH:ECS.8", "CKV_AWS_45", "prowler:awslambda_function_no_secrets_in_variables"),
    ),
)
