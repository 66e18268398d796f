"""The state file of a deployed machine stays readable, and is written in the same form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from node.layout import Layout
from node.state import Applied, LastAttempt, State

# As written by the first releases.
DEPLOYED = """{
 "applied": {
  "serial": 3,
  "manifest": "ab",
  "generation": "3-ab"
 },
 "judged": {
  "serial": 4,
  "manifest": "cd",
  "node": null,
  "outcome": "refused"
 }
}"""


def test_a_deployed_machines_state_is_read_and_written_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text(DEPLOYED)
    state = State.load(path)
    assert state == State(
        applied=Applied(serial=3, manifest="ab", generation="3-ab"),
        last_attempt=LastAttempt(serial=4, manifest="cd", node=None, outcome="refused"),
    )
    state.save(path)
    assert path.read_text() == DEPLOYED


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"applied": null}', '{"applied": {"serial": 1}, "judged": null}']
)
def test_a_damaged_state_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text(text)
    assert State.load(tmp_path / "state.json") == State()


def test_a_node_of_the_first_releases_reads_what_is_written(tmp_path: Path) -> None:
    """It knows these keys alone, and without the applied serial it would take any desired state for newer."""
    path = tmp_path / "state.json"
    applied = Applied(serial=1_796_058_502, manifest="ab", generation="1796058502-ab")
    attempt = LastAttempt(serial=1_796_058_503, manifest="cd", node=None, outcome="failed")
    State(applied=applied, last_attempt=attempt).save(path)
    written = json.loads(path.read_text())
    assert set(written["applied"]) == {"serial", "manifest", "generation"}
    assert set(written["judged"]) == {"serial", "manifest", "node", "outcome"}


def test_nothing_applied_and_nothing_attempted_is_kept_too(tmp_path: Path) -> None:
    State().save(tmp_path / "state.json")
    assert json.loads((tmp_path / "state.json").read_text()) == {"applied": None, "judged": None}


def test_deployed_machines_keep_their_files_where_they_are() -> None:
    layout = Layout(Path("/"))
    found = {
        "machine": layout.machine,
        "state": layout.state,
        "report": layout.report,
        "delivered report": layout.delivered_report,
        "log positions": layout.log_positions,
        "current": layout.current,
        "generations": layout.generations,
        "journal": layout.journal,
    }
    assert {name: str(path) for name, path in found.items()} == {
        "machine": "/etc/passwordless-postgres/machine.json",
        "state": "/var/lib/passwordless-postgres/state.json",
        "report": "/var/lib/passwordless-postgres/report.json",
        "delivered report": "/var/lib/passwordless-postgres/report.delivered.json",
        "log positions": "/var/lib/passwordless-postgres/log-positions.json",
        "current": "/var/lib/passwordless-postgres/current",
        "generations": "/var/lib/passwordless-postgres/generations",
        "journal": "/var/lib/postgresql/passwordless-postgres-roles.json",
    }
