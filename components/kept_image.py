"""Old place of a dynamic provider: states made before it moved have pickled a reference to it here."""

from components.pinned_image import KeptImageProvider

__all__ = ["KeptImageProvider"]
