"""Which parameters of a group an instance runs with, and which wait for a reboot. Pure.

Source: RDS user guide, "Working with DB parameter groups": a change of a dynamic parameter applies at once
when it is asked to; everything else, and every parameter of a group that was newly associated, waits for
the next reboot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from postgres.rds_parameters import CATALOGUE, Parameter

ApplyStatus = Literal["in-sync", "pending-reboot"]
Parameters = Sequence[Parameter]


@dataclass(frozen=True, kw_only=True)
class ParameterState:
    """The parameters of one instance.

    Attributes:
        wanted: What the group says.
        applied: Values that the instance runs with.
        associated: Whether the group is in effect; False between its association and the next reboot.
    """

    group: str
    wanted: tuple[Parameter, ...]
    applied: Mapping[str, str]
    associated: bool = True

    @property
    def status(self) -> ApplyStatus:
        """As DescribeDBInstances gives it."""
        return "in-sync" if self.associated and self.applied == _values(self.wanted) else "pending-reboot"


def booted(group: str, wanted: Parameters) -> ParameterState:
    """The state after a first start or a reboot: everything is applied."""
    return ParameterState(group=group, wanted=tuple(wanted), applied=_values(wanted))


def rebooted(state: ParameterState) -> ParameterState:
    """The same group after a reboot."""
    return booted(state.group, state.wanted)


def associated(state: ParameterState, group: str, wanted: Parameters) -> ParameterState:
    """The state with another group, of which nothing applies before the next reboot."""
    if group == state.group:
        return changed(state, wanted)
    return ParameterState(group=group, wanted=tuple(wanted), applied=state.applied, associated=False)


def changed(state: ParameterState, wanted: Parameters) -> ParameterState:
    """The state after a change of the group: what may apply at once does, if the group is in effect."""
    applied = dict(state.applied)
    if state.associated:
        before = {parameter.name: parameter for parameter in state.wanted}
        after = {parameter.name: parameter for parameter in wanted}
        for name in before.keys() | after.keys():
            # A parameter that is removed is reset by the method that it had.
            old, new = before.get(name), after.get(name)
            if old == new or not _applies_at_once(new or before[name]):
                continue
            if new is None:
                applied.pop(name, None)
            else:
                applied[name] = new.value
    return ParameterState(
        group=state.group, wanted=tuple(wanted), applied=applied, associated=state.associated
    )


def _applies_at_once(parameter: Parameter) -> bool:
    return parameter.apply_method == "immediate" and not CATALOGUE[parameter.name].static


def _values(parameters: Parameters) -> dict[str, str]:
    return {parameter.name: parameter.value for parameter in parameters}
