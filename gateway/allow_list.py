"""Maps a certificate's names to a database role: by an explicit list, without patterns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.x509.oid import NameOID

from gateway.document import AllowedIdentity, IdentityKind
from gateway.refusals import RefusalCode, Refused
from postgres.identifiers import role_uri_path


@dataclass(frozen=True, kw_only=True)
class Name:
    """One name in a certificate."""

    kind: IdentityKind
    value: str


class AllowList:
    """Finds the one role of a certificate; names are compared as a whole, case-sensitively."""

    def __init__(self, identities: Iterable[AllowedIdentity]) -> None:
        """Index the entries."""
        self._roles = {Name(kind=each.kind, value=each.value): each.role for each in identities}

    def find(self, chain: Sequence[x509.Certificate]) -> tuple[Name, str]:
        """The name that is listed, and its role.

        Args:
            chain: the client's certificate, and the authorities above it.

        Raises:
            Refused: no name is listed, a listed common name does not count, or the certificate's names are
                listed with different roles.
        """
        names = alternative_names(chain[0])
        common = common_name(chain[0])
        why = common and _why_it_does_not_count(common, names, chain[1:])
        counting = [*names, common] if common and not why else names
        listed = [(name, self._roles[name]) for name in counting if name in self._roles]
        if not listed:
            if common in self._roles:
                raise Refused(RefusalCode.UNMAPPED, f"its common name {common.value!r} is listed, but {why}")
            shown = ", ".join(f"{name.kind} {name.value!r}"[:200] for name in counting[:5])
            raise Refused(
                RefusalCode.UNMAPPED, f"none of the certificate's names is listed: {shown or 'none'}"
            )
        roles = sorted({role for _, role in listed})
        if len(roles) > 1:
            raise Refused(
                RefusalCode.AMBIGUOUS,
                f"the certificate's names are listed for several roles: {', '.join(roles)}",
            )
        return listed[0]


def alternative_names(certificate: x509.Certificate) -> list[Name]:
    """The alternative names by which a certificate's owner can be listed: URIs, then DNS names."""
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    uris = alternative.get_values_for_type(x509.UniformResourceIdentifier)
    dns = alternative.get_values_for_type(x509.DNSName)
    return [Name(kind="uri", value=value) for value in uris] + [
        Name(kind="dns", value=value) for value in dns
    ]


def common_name(certificate: x509.Certificate) -> Name | None:
    """The one common name of a certificate; a subject with several is ambiguous, so none of them counts."""
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return Name(kind="commonName", value=str(found[0].value)) if len(found) == 1 else None


def _why_it_does_not_count(
    common: Name, names: Sequence[Name], authorities: Sequence[x509.Certificate]
) -> str | None:
    """Why a common name does not say whose certificate it is; None if it does.

    Beside alternative names a common name is often free text that nobody checked (RFC 6125, 6.4.4), so it
    counts only where each of them repeats it. And it is bound by the constraints of the authorities as if
    it were a DNS name, which constraints of names do not see to (RFC 5280, 4.2.1.10).
    """
    for name in names:
        if not _repeats(name, common.value):
            return f"the certificate is for {name.kind} {name.value!r}; list that name"
    for authority in authorities:
        if not _permits(authority, common.value):
            return f"{authority.subject.rfc4514_string()!r} is constrained to names that do not include it"
    return None


def _repeats(name: Name, common: str) -> bool:
    """Whether an alternative name says the same: the DNS name itself, or the URI `…/role/<common name>`."""
    if name.kind == "dns":
        return name.value == common
    return urlsplit(name.value).path == role_uri_path(common)


def _permits(authority: x509.Certificate, common: str) -> bool:
    try:
        constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return True
    permitted, excluded = constraints.permitted_subtrees or [], constraints.excluded_subtrees or []
    if permitted and not any(_is_within(common, each) for each in permitted):
        return False
    return not any(_is_within(common, each) for each in excluded)


def _is_within(common: str, subtree: x509.GeneralName) -> bool:
    if not isinstance(subtree, x509.DNSName):
        return False
    domain = subtree.value.removeprefix(".").lower()
    return not domain or f".{common.lower()}".endswith(f".{domain}")
