"""The state folder: who may enter it, where it lies, its ports, its lock."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from emulator.core.ports import port_is_free
from emulator.postgresql_server.server_user import ServerUser, server_user
from engine import processes
from engine.errors import CommandError
from runtime.files import replace_file
from sandbox import state as state_module
from sandbox.state import existing_state, open_state, remove_state


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout that the servers' user cannot enter, and a base elsewhere that it can."""
    monkeypatch.setattr(
        ServerUser, "can_enter", lambda self, folder: not folder.is_relative_to(tmp_path / "home")
    )
    monkeypatch.setattr(state_module, "ELSEWHERE", (tmp_path / "base",))
    (tmp_path / "base").mkdir()
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_it_lies_where_it_was_asked_for(tmp_path: Path, said) -> None:
    folder = server_enterable(tmp_path) / "state"
    state = open_state(folder, said.append)
    assert state.root == folder
    assert state.root == state.nominal
    assert said == []
    wanted = 0o711 if os.geteuid() == 0 else 0o700
    assert stat.S_IMODE(folder.stat().st_mode) == wanted


def server_enterable(folder: Path) -> Path:
    """pytest's own folders are closed to others; the servers' user must pass."""
    for parent in (folder, *folder.parents):
        if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o111)
    return folder


def test_where_the_servers_cannot_enter_it_lies_elsewhere_and_a_link_leads_there(hidden: Path, said) -> None:
    nominal = hidden / ".sandbox"
    state = open_state(nominal, said.append)
    assert state.root != state.nominal
    assert nominal.is_symlink()
    assert nominal.resolve() == state.root
    assert state.root.parent.parent == hidden.parent / "base"
    assert len(said) == 1
    assert str(state.root) in said[0]


def test_the_same_folder_is_found_again(hidden: Path, said) -> None:
    first = open_state(hidden / ".sandbox", said.append)
    assert open_state(hidden / ".sandbox", said.append).root == first.root
    found = existing_state(hidden / ".sandbox")
    assert found is not None
    assert found.root == first.root


def test_removing_it_leaves_neither_link_nor_folder(hidden: Path, said) -> None:
    remove_state(open_state(hidden / ".sandbox", said.append))
    assert list(hidden.iterdir()) == []
    assert list((hidden.parent / "base").iterdir()) == []


def test_there_is_none_until_it_is_made(tmp_path: Path) -> None:
    assert existing_state(tmp_path / "none") is None
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_another_user_is_refused(tmp_path: Path, said, monkeypatch) -> None:
    open_state(server_enterable(tmp_path) / "state", said.append)
    uid = os.geteuid()
    monkeypatch.setattr(state_module, "server_user", server_user)
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    with pytest.raises(CommandError, match=f"belongs to user {uid}"):
        open_state(tmp_path / "state", said.append)


def test_a_new_folder_records_the_format_once(tmp_path: Path, said) -> None:
    state = open_state(server_enterable(tmp_path) / "state", said.append)
    state.check_format()
    state.record_format()
    state.serve_lock.touch()
    state.check_format()
    assert json.loads((state.root / "format.json").read_text()) == {"format": state_module.FORMAT}


@pytest.mark.parametrize(
    ("recorded", "found"),
    [
        (None, "format 1,"),
        ('{"format": 999}', "format 999,"),
        ("{}", "format unknown,"),
        ("[", "format unknown,"),
    ],
)
def test_a_sandbox_in_another_format_is_refused_and_left_alone(
    tmp_path: Path, said, recorded: str | None, found: str
) -> None:
    state = open_state(server_enterable(tmp_path) / "state", said.append)
    state.serve_lock.touch()
    if recorded is not None:
        (state.root / "format.json").write_text(recorded)
    state.record_format()
    before = {file: file.read_bytes() for file in state.root.iterdir()}
    with pytest.raises(CommandError, match=found) as refused:
        state.check_format()
    assert "Run `make clean`" in str(refused.value)
    assert {file: file.read_bytes() for file in state.root.iterdir()} == before


def test_ports_are_kept(tmp_path: Path, said) -> None:
    state = open_state(server_enterable(tmp_path) / "state", said.append)
    first = state.ports(("aws", "postgresql"))
    assert len(set(first.values())) == 2
    assert state.ports(("postgresql", "aws")) == first
    assert json.loads((state.root / "ports.json").read_text()) == first


def test_a_port_that_something_else_has_taken_is_given_up(tmp_path: Path, said) -> None:
    state = open_state(server_enterable(tmp_path) / "state", said.append)
    port = state.ports(("postgresql",))["postgresql"]
    with socket.create_server(("127.0.0.1", port)):
        assert state.ports(("postgresql",), ours=lambda: {port})["postgresql"] == port
        assert state.ports(("postgresql",))["postgresql"] != port


def test_only_the_ports_of_our_own_processes_are_ours(tmp_path: Path, said) -> None:
    state = open_state(server_enterable(tmp_path) / "state", said.append)
    program = (
        "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); "
        "print(s.getsockname()[1], flush=True); sys.stdin.read()"
    )
    environment = processes.marked_environment(state.root, "test", os.environ)
    with (
        socket.create_server(("127.0.0.1", 0)),
        subprocess.Popen(
            [sys.executable, "-c", program], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        port = int(process.stdout.readline())
        assert state.listening_ports() == {port}
        process.stdin.close()


def test_a_port_in_use_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not port_is_free(server.getsockname()[1])


def test_two_commands_exclude_each_other(tmp_path: Path, said) -> None:
    state = open_state(server_enterable(tmp_path) / "state", said.append)
    with (
        state.exclusive("up"),
        pytest.raises(CommandError, match="in use by `python -m sandbox up"),
        state.exclusive("down"),
    ):
        pass
    with state.exclusive("down"):
        pass


def test_files_are_replaced_whole_and_for_their_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    file.chmod(0o644)
    replace_file(file, "new")
    assert file.read_text() == "new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_servers_never_run_as_root() -> None:
    assert server_user().uid != 0
