"""What the models of a stack file are made of: their base class, and types of values for any section."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import pydantic
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, core_schema

_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)")
_BOOLEANS = {"true": True, "false": False}


class Section(BaseModel):
    """Base of all sections: camelCase in the stack file, unknown keys refused, immutable."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _a_key_without_value_is_absent(cls, data: Any) -> Any:
        if data is None:
            return {}
        if isinstance(data, Mapping):
            known = {field.alias for field in cls.model_fields.values()}
            return {key: value for key, value in data.items() if value is not None or key not in known}
        return data


@dataclass(frozen=True)
class Checked:
    """Annotation of a string: `problems` lists what is wrong with it, `allowed` describes a good one.

    `allowed` (empty: keep that of an earlier annotation) goes into the JSON schema as `x-allowed`,
    from where error messages and the configuration reference take it.
    """

    problems: Callable[[str], Sequence[str]]
    allowed: str

    def _check(self, value: str) -> str:
        if found := self.problems(value):
            raise ValueError("; ".join(found))
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: pydantic.GetCoreSchemaHandler) -> CoreSchema:
        """The schema of the string, followed by the check."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: pydantic.GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The JSON schema of the string, with a description of what is allowed."""
        described = handler(schema)
        return {**described, "x-allowed": self.allowed} if self.allowed else described


def _integer_from_text(value: Any) -> Any:
    return int(value) if isinstance(value, str) and _DECIMAL.fullmatch(value) else value


def _boolean_from_text(value: Any) -> Any:
    return _BOOLEANS.get(value, value) if isinstance(value, str) else value


def _setting_text(value: Any) -> Any:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (int, float)):
        return str(value)
    return value


def _without_duplicates(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if repeated := [str(value) for position, value in enumerate(values) if value in values[:position]]:
        raise ValueError(f"lists {', '.join(sorted(set(repeated)))} more than once; remove the repetition")
    return values


# The engine writes 17 as "17" and true as "true" when it rewrites a stack file. Everything else that is no
# integer or boolean is refused, also true, 1.0 and "0x11" for an integer.
integer_from_text = BeforeValidator(_integer_from_text)
StrictInt = Annotated[pydantic.StrictInt, integer_from_text]
StrictBool = Annotated[pydantic.StrictBool, BeforeValidator(_boolean_from_text)]
# PostgreSQL takes every value as text, so a number or boolean of YAML has one meaning only.
SettingText = Annotated[str, BeforeValidator(_setting_text, json_schema_input_type=str | bool | int | float)]

unique = AfterValidator(_without_duplicates)
