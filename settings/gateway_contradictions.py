"""What contradicts something else in the section `gateway`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from settings.gateway import BUILT_IN_APPLICATION, ClientAuthority, Gateway
from settings.generation import generation_problems
from settings.problems import Path, Problem

if TYPE_CHECKING:
    from settings import Settings

_GATEWAY: Path = ("gateway",)
_AUTHORITY: Path = (*_GATEWAY, "clientAuthority")
_OF_A_GENERATED_ONE = {
    "generations": "generations",
    "validity_days": "validityDays",
    "crl_validity_days": "crlValidityDays",
    "crl_renew_before_days": "crlRenewBeforeDays",
}


def gateway_contradictions(settings: Settings, gateway: Gateway) -> Iterator[Problem]:
    """Everything in a valid section `gateway` that contradicts something else."""
    yield from _surroundings(settings, gateway)
    yield from _address(gateway)
    if gateway.client_authority.source == "generated":
        yield from _generated(settings, gateway.client_authority)
    else:
        yield from _external(gateway)
    yield from generation_problems((*_GATEWAY, "headerSuffixes"), gateway.header_suffixes)
    yield from _clients(settings, gateway)
    yield from _machines(gateway)


def _surroundings(settings: Settings, gateway: Gateway) -> Iterator[Problem]:
    if settings.rds is None:
        yield Problem(
            _GATEWAY,
            "has no database behind it; add a section rds with the roles of its clients",
            reads=(_GATEWAY, ("rds",)),
        )
    network = settings.network
    if network and network.existing and not gateway.internal and len(network.existing.public_subnet_ids) < 2:
        path = ("network", "existing", "publicSubnetIds")
        yield Problem(
            path,
            f"has {len(network.existing.public_subnet_ids)}, and a gateway with internal: false needs public "
            "subnets in two zones; name them, or make it internal",
            reads=(path, (*_GATEWAY, "internal")),
        )
    clients = gateway.allowed_clients
    if not (clients.networks or clients.security_groups):
        yield Problem(
            (*_GATEWAY, "allowedClients"), "lets nobody reach the gateway; name networks or securityGroups"
        )


def _address(gateway: Gateway) -> Iterator[Problem]:
    if gateway.certificate_arn is None and gateway.hosted_zone_id is None:
        yield Problem(
            _GATEWAY,
            f"has neither certificateArn nor hostedZoneId; give a certificate for {gateway.domain_name}, or "
            "the zone in which ACM can validate one",
            reads=((*_GATEWAY, "certificateArn"), (*_GATEWAY, "hostedZoneId"), (*_GATEWAY, "domainName")),
        )


def _generated(settings: Settings, authority: ClientAuthority) -> Iterator[Problem]:
    for key, given in (("bundle", authority.bundle), ("revocationLists", authority.revocation_lists)):
        if given:
            path = (*_AUTHORITY, key)
            yield Problem(
                path,
                "is of an external authority, and this one is generated; remove it, or set source: external",
                reads=(path, (*_AUTHORITY, "source")),
            )
    yield from generation_problems((*_AUTHORITY, "generations"), authority.generations)
    renew, crl = (*_AUTHORITY, "crlRenewBeforeDays"), (*_AUTHORITY, "crlValidityDays")
    if authority.crl_renew_before_days >= authority.crl_validity_days:
        yield Problem(
            renew,
            f"is not shorter than crlValidityDays ({authority.crl_validity_days}), so that every pulumi up "
            f"would sign a new list; allowed: 1 to {authority.crl_validity_days - 1}",
            authority.crl_renew_before_days,
            (renew, crl),
        )
    leaf_days = settings.certificates.leaf_validity_days
    if leaf_days >= authority.validity_days:
        path = (*_AUTHORITY, "validityDays")
        yield Problem(
            path,
            f"is not longer than certificates.leafValidityDays ({leaf_days}); a certificate is worth nothing "
            "after its authority's end: lengthen the one or shorten the other",
            authority.validity_days,
            (path, ("certificates", "leafValidityDays")),
        )


def _external(gateway: Gateway) -> Iterator[Problem]:
    authority = gateway.client_authority
    source = (*_AUTHORITY, "source")
    if authority.bundle is None:
        path = (*_AUTHORITY, "bundle")
        yield Problem(
            path,
            "is missing, and an external authority is known by it; give the path of its certificates in PEM",
            reads=(path, source),
        )
    for name in sorted(authority.model_fields_set & set(_OF_A_GENERATED_ONE)):
        path = (*_AUTHORITY, _OF_A_GENERATED_ONE[name])
        yield Problem(
            path,
            "is of a generated authority, and this one is external; remove it",
            reads=(path, source),
        )
    if gateway.revoked:
        path = (*_GATEWAY, "revoked")
        yield Problem(
            path,
            "revokes what somebody else has signed; put that authority's own list into "
            "clientAuthority.revocationLists",
            reads=(path, source),
        )
    stems: dict[str, str] = {}
    for index, file in enumerate(authority.revocation_lists):
        stem = PurePosixPath(file).stem
        if (twin := stems.setdefault(stem, file)) != file:
            yield Problem(
                (*_AUTHORITY, "revocationLists", index),
                f"has the same name as {twin} in another folder; lists are told apart by the names of their "
                "files: rename one",
                file,
                ((*_AUTHORITY, "revocationLists"),),
            )
    for name, client in gateway.clients.items():
        for field, key in (("secret_readers", "secretReaders"), ("revision", "revision")):
            if field in client.model_fields_set:
                path = (*_GATEWAY, "clients", name, key)
                yield Problem(
                    path,
                    "is about a certificate that we sign, and clientAuthority is external; remove it",
                    reads=(path, source),
                )


def _clients(settings: Settings, gateway: Gateway) -> Iterator[Problem]:
    seen: dict[tuple[str, str], str] = {}
    for name, client in gateway.clients.items():
        path = (*_GATEWAY, "clients", name)
        identities = client.identities
        if len(identities) != 1:
            given = " and ".join(kind for kind, _ in identities) or "no identity"
            yield Problem(path, f"has {given}; give exactly one of uri, dns and commonName")
        for identity in identities:
            if (twin := seen.setdefault(identity, name)) != name:
                yield Problem(
                    (*path, identity[0]),
                    f"is also that of {twin}; one certificate is one client",
                    identity[1],
                    ((*path, identity[0]), (*_GATEWAY, "clients", twin)),
                )
        if settings.rds is not None and client.role not in settings.rds.roles:
            known = ", ".join(settings.rds.roles) or "none"
            yield Problem(
                (*path, "role"),
                f"is not one of rds.roles ({known}); declare it there, or choose another",
                client.role,
                ((*path, "role"), ("rds", "roles")),
            )


def _machines(gateway: Gateway) -> Iterator[Problem]:
    smallest, largest = (*_GATEWAY, "minimumSize"), (*_GATEWAY, "maximumSize")
    if gateway.minimum_size > gateway.maximum_size:
        yield Problem(
            smallest,
            f"is more than maximumSize ({gateway.maximum_size}); allowed: 1 to {gateway.maximum_size}",
            gateway.minimum_size,
            (smallest, largest),
        )
    if gateway.image.id and gateway.image.model_fields_set & {"release", "revision"}:
        yield Problem(
            (*_GATEWAY, "image"),
            "has an id beside release or revision, which an id leaves without meaning; keep one",
        )
    application, source = (*_GATEWAY, "application"), (*_GATEWAY, "applicationSource")
    if gateway.application != BUILT_IN_APPLICATION and gateway.application_source is None:
        yield Problem(
            application,
            "is not the built-in application, and no applicationSource says where its modules are; give it",
            gateway.application,
            (application, source),
        )
    if gateway.application == BUILT_IN_APPLICATION and gateway.application_source is not None:
        yield Problem(
            source,
            "brings modules, and the built-in application runs; name yours in application, or remove it",
            gateway.application_source,
            (application, source),
        )
