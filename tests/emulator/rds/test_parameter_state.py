"""What of a parameter group an instance runs with, and what waits for a reboot."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from emulator.rds.parameter_state import associated, booted, changed, rebooted
from postgres.rds_parameters import CATALOGUE, ApplyMethod, Parameter

METHODS: tuple[ApplyMethod, ...] = ("immediate", "pending-reboot")
STATIC = "max_connections"
DYNAMIC = "work_mem"


def parameter(name: str, value: str, method: ApplyMethod = "immediate") -> Parameter:
    return Parameter(name=name, value=value, apply_method=method)


def test_a_first_start_applies_everything():
    state = booted("a", [parameter(STATIC, "100", "pending-reboot"), parameter(DYNAMIC, "1024")])
    assert state.applied == {STATIC: "100", DYNAMIC: "1024"}
    assert state.status == "in-sync"


def test_a_dynamic_change_applies_at_once_and_a_static_one_after_a_reboot():
    state = booted("a", [parameter(STATIC, "100", "pending-reboot"), parameter(DYNAMIC, "1024")])
    state = changed(state, [parameter(STATIC, "200", "pending-reboot"), parameter(DYNAMIC, "2048")])
    assert state.applied == {STATIC: "100", DYNAMIC: "2048"}
    assert state.status == "pending-reboot"
    state = rebooted(state)
    assert state.applied == {STATIC: "200", DYNAMIC: "2048"}
    assert state.status == "in-sync"


def test_a_dynamic_change_waits_when_it_is_asked_to():
    state = booted("a", [parameter("rds.force_ssl", "0", "pending-reboot")])
    state = changed(state, [parameter("rds.force_ssl", "1", "pending-reboot")])
    assert state.applied == {"rds.force_ssl": "0"}
    assert state.status == "pending-reboot"
    assert changed(state, [parameter("rds.force_ssl", "1")]).applied == {"rds.force_ssl": "1"}


def test_a_parameter_that_is_taken_out_is_reset_by_its_own_method():
    state = booted("a", [parameter(STATIC, "100", "pending-reboot"), parameter(DYNAMIC, "1024")])
    state = changed(state, [])
    assert state.applied == {STATIC: "100"}
    assert state.status == "pending-reboot"
    assert rebooted(state).applied == {}


def test_nothing_of_another_group_applies_before_a_reboot_and_then_all_does():
    state = booted("a", [parameter(DYNAMIC, "1024")])
    state = associated(state, "b", [parameter(DYNAMIC, "2048")])
    assert state.applied == {DYNAMIC: "1024"}
    assert state.status == "pending-reboot"
    state = changed(state, [parameter(DYNAMIC, "4096")])
    assert state.applied == {DYNAMIC: "1024"}
    assert rebooted(state).applied == {DYNAMIC: "4096"}


def test_another_group_with_the_same_values_waits_for_a_reboot_too():
    state = booted("a", [parameter(DYNAMIC, "1024")])
    assert associated(state, "b", [parameter(DYNAMIC, "1024")]).status == "pending-reboot"
    assert associated(state, "a", [parameter(DYNAMIC, "1024")]) == state


groups = st.dictionaries(
    st.sampled_from(sorted(CATALOGUE)),
    st.tuples(st.sampled_from("123"), st.sampled_from(METHODS)),
    max_size=6,
).map(lambda found: [parameter(name, value, method) for name, (value, method) in found.items()])


@given(groups, st.lists(groups, max_size=4))
def test_a_reboot_always_brings_an_instance_in_sync(first, later):
    state = booted("a", first)
    for group in later:
        state = changed(state, group)
        static = {name for name in CATALOGUE if CATALOGUE[name].static}
        assert {name: value for name, value in state.applied.items() if name in static} == {
            item.name: item.value for item in first if item.name in static
        }
    state = rebooted(state)
    assert state.status == "in-sync"
    assert state.applied == {item.name: item.value for item in (later or [first])[-1]}
