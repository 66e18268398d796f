"""The machine image that instances start from."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from settings.section import Section
from settings.values import ImageId, Whole


class Image(Section):
    """The machine image: Debian's newest of a release, looked up once, or one by its id."""

    release: Literal["debian-13"] = "debian-13"
    """Release of Debian's official images."""
    revision: Whole = Field(default=1, ge=1)
    """The image found first is kept until this number changes, which replaces the instance."""
    id: ImageId | None = None
    """An image of one's own, instead of `release` and `revision`; a Debian 13."""
