"""Former module of a dynamic provider, which states pickled before it moved still refer to."""

from components.pinned_image import PinnedImageProvider as KeptImageProvider

__all__ = ["KeptImageProvider"]
