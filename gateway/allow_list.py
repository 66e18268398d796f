"""Maps a certificate's names to a database role: by an explicit list, without patterns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

from gateway.document import AllowedIdentity, IdentityKind
from gateway.refusals import RefusalCode, Refused


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

    def find(self, certificate: x509.Certificate) -> tuple[Name, str]:
        """The name that is listed, and its role.

        Raises:
            Refused: no name is listed, or the certificate's names are listed with different roles.
        """
        names = names_of(certificate)
        listed = [(name, self._roles[name]) for name in names if name in self._roles]
        if not listed:
            shown = ", ".join(f"{name.kind} {name.value!r}"[:200] for name in names[:5])
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


def names_of(certificate: x509.Certificate) -> list[Name]:
    """All names by which a certificate's owner can be listed: URIs, DNS names, then the common name.

    A subject with several common names is ambiguous, so none of them counts.
    """
    names: list[Name] = []
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        pass
    else:
        uris = alternative.get_values_for_type(x509.UniformResourceIdentifier)
        names += [Name(kind="uri", value=value) for value in uris]
        names += [Name(kind="dns", value=value) for value in alternative.get_values_for_type(x509.DNSName)]
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(common) == 1:
        names.append(Name(kind="commonName", value=str(common[0].value)))
    return names
