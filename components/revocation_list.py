"""Former module of a dynamic provider, which states pickled before it moved still refer to."""

from components.pki.revocation_list import RevocationListProvider

__all__ = ["RevocationListProvider"]
