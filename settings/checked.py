"""An annotation that checks a text and says what it may be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema


@dataclass(frozen=True)
class Checked:
    """Annotation of a text: `problems` says what is wrong with it, `allowed` what would be right.

    `allowed` (empty: what an earlier annotation says) goes into the JSON schema as `x-allowed`,
    from where error messages and the configuration reference take it.
    """

    problems: Callable[[str], Sequence[str]]
    allowed: str

    def _check(self, value: str) -> str:
        if found := self.problems(value):
            raise ValueError("; ".join(found))
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The schema of the text, followed by the check."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The JSON schema of the text, with what is allowed in words."""
        described = handler(schema)
        return {**described, "x-allowed": self.allowed} if self.allowed else described
