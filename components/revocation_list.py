"""Old place of a dynamic provider: states made before it moved have pickled a reference to it here."""

from components.pki.revocation_list import RevocationListProvider

__all__ = ["RevocationListProvider"]
