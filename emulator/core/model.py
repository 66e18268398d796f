"""A resource's model: what a program declares of it, what is saved, and what the running part reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from emulator.core.checks import Check, between, one_of
from runtime.files import replace_file


class ResourceModel(BaseModel):
    """Base of the models. Fields bear the names of the Pulumi inputs, in snake case.

    `Literal` and `Field(ge=..., le=...)` are checked in previews too, with the provider's own messages.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",  # most inputs have no effect on what the emulator runs
        hide_input_in_errors=True,
    )

    @classmethod
    def declared(cls, inputs: Mapping[str, Any], **more: Any) -> Self:
        """The model of a resource.

        Args:
            inputs: As in the program; all values are known.
            **more: Fields that are not inputs.
        """
        return cls.model_validate(
            {name: value for name, value in {**inputs, **more}.items() if value is not None}
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """The model that `save` wrote.

        Raises:
            OSError: There is none.
        """
        return cls.model_validate_json(path.read_text())

    def save(self, path: Path) -> None:
        """Writes it as JSON; at any moment the file holds the old text or the new one."""
        replace_file(path, self.model_dump_json(by_alias=True, indent=2) + "\n")

    def changed(self, **changes: Any) -> Self:
        """The same with other values of some fields, which are not validated."""
        return self.model_copy(update=changes)

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Inputs that may be absent, with their defaults."""
        return {
            str(field.alias): field.get_default(call_default_factory=True)
            for field in cls.model_fields.values()
            if not field.is_required()
        }

    @classmethod
    def checks(cls, prefix: str = "") -> dict[str, Sequence[Check]]:
        """What each input must be. Names of nested inputs have a dot."""
        found: dict[str, Sequence[Check]] = {}
        for field in cls.model_fields.values():
            name = f"{prefix}{field.alias}"
            kind = field.annotation
            if isinstance(kind, type) and issubclass(kind, ResourceModel):
                found |= kind.checks(f"{name}.")
            if get_origin(kind) is Literal:
                found[name] = (one_of(*get_args(kind)),)
            bounds = {
                end: getattr(bound, end)
                for bound in field.metadata
                for end in ("ge", "le")
                if hasattr(bound, end)
            }
            if bounds:
                found[name] = (between(bounds["ge"], bounds["le"]),)
        return found
