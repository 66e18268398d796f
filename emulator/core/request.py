"""What a stand-in is asked: one call of the engine about one resource, or of a function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from emulator.core.autonaming import Autonaming, automatic_name

Properties = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Request:
    """One call. Values are plain Python values with camelCase names, as on the wire.

    Attributes:
        urn: URN of the resource; empty for functions.
        type_token: Type token, or the function's token.
        name: Logical name of the resource.
        configuration: Configuration of the provider instance that is called, secrets revealed.
        preview: True while nothing may be changed.
        random_seed: Seed for `autoname`; only in `check`.
        autonaming: The engine's proposal; only in `check`.
        id: Physical id; empty in `check` and `create`.
        inputs: What the program wants; in `read` and `delete` what it wanted last. Arguments of a function.
        old_inputs: What the program wanted last, in `check`, `diff` and `update`.
        outputs: Outputs in the engine's state.
    """

    urn: str = ""
    type_token: str = ""
    name: str = ""
    configuration: Properties = field(default_factory=dict, repr=False)
    preview: bool = False
    random_seed: bytes = field(default=b"", repr=False)
    autonaming: Autonaming | None = None
    id: Any = ""
    inputs: Properties = field(default_factory=dict, repr=False)
    old_inputs: Properties = field(default_factory=dict, repr=False)
    outputs: Properties = field(default_factory=dict, repr=False)

    def autoname(self) -> dict[str, Any]:
        """`inputs` with a `name`, in `check`: the given, the old one, or one from the engine's seed."""
        name = self.inputs.get("name")
        if name is None:
            name = self.old_inputs.get("name") or automatic_name(
                self.name, self.random_seed, autonaming=self.autonaming, maximum=63
            )
        return {**self.inputs, "name": name}
