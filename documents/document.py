"""What all published documents have in common, and how objects in S3 are named."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Document(BaseModel):
    """Base of documents and their parts: camelCase in JSON, unknown keys refused, immutable.

    Errors never repeat what was read, since some documents hold secrets.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
    )

    def to_json(self) -> str:
        """The document as compact JSON with camelCase keys."""
        return self.model_dump_json(by_alias=True)


class ObjectVersion(Document):
    """One version of one object in a bucket that the reader knows."""

    key: str = Field(min_length=1)
    version: str = Field(min_length=1)
    sha256: Sha256


class ObjectAddress(Document):
    """One object in S3, whichever is its current version."""

    bucket: str = Field(min_length=1)
    key: str = Field(min_length=1)


class ObjectPointer(Document):
    """One version of one object in S3."""

    bucket: str = Field(min_length=1)
    key: str = Field(min_length=1)
    version: str = Field(min_length=1)
    sha256: Sha256
