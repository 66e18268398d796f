"""Whatever the server's user puts into its folders, root changes and reads nothing outside of them."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import select
import shutil
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from node import server_process
from node.apply import DONE
from node.server_user import ServerUser
from tests.node import hostile_user

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs as somebody else than the server")

DEADLINE_SECONDS = 300
"""How long one apply may take here; on a machine it is the unit's TimeoutStartSec, which is longer."""
PROGRAM_SECONDS = 20
"""What waits for a FIFO that nobody else opens is given up; on a machine after two minutes."""
# An address that no state had before makes the next one differ.
ADDRESSES = itertools.cycle(range(256))

State = dict[str, tuple[int, int, int, str]]


def state_of(folder: Path) -> State:
    """Owner, mode and content of everything in a folder."""
    found: State = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        status = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path)] = (status.st_uid, status.st_gid, status.st_mode, content)
    return found


@contextmanager
def deadline() -> Iterator[None]:
    def expired(*_: object) -> None:
        raise AssertionError(f"the apply did not end within {DEADLINE_SECONDS} s")

    before = signal.signal(signal.SIGALRM, expired)
    signal.alarm(DEADLINE_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def serving(machine_of: Callable[..., Any], on_instance: Callable[[], AbstractContextManager[None]]) -> Any:
    """A machine of this module's own, since what a test plants may stay."""
    machine = machine_of(17)
    with on_instance():
        machine.publish()
        assert machine.apply() == DONE, machine.report()
    return machine


@pytest.fixture
def victim(serving: Any) -> Path:
    return victim_of(serving)


def victim_of(machine: Any) -> Path:
    """Root's own folder, with a file that only root reads."""
    folder = machine.root / "victim"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "folder").mkdir(parents=True)
    folder.chmod(0o755)
    (folder / "secret").write_text(json.dumps({"message": "for root alone", "error_severity": "LOG"}) + "\n")
    (folder / "secret").chmod(0o600)
    (folder / "postmaster.pid").write_text("999999\n/nowhere\n")
    return folder


def scratch_home(machine: Any, victim: Path) -> Path:
    home = machine.layout.scratch / "17"
    home.rename(home.with_name("aside"))
    home.symlink_to(victim)
    return home


def scratch_socket(machine: Any, victim: Path) -> Path:
    return linked(machine.layout.scratch / "17/socket", victim)


def scratch_log(machine: Any, victim: Path) -> Path:
    return linked(machine.layout.scratch / "17/start.log", victim / "secret")


def log_link(machine: Any, victim: Path) -> Path:
    return linked(machine.layout.logs / "link.json", victim / "secret")


def log_name(machine: Any, victim: Path) -> Path:
    path = machine.layout.logs / "name.json"
    os.link(victim / "secret", path)
    return path


def log_fifo(machine: Any, _: Path) -> Path:
    return fifo(machine.layout.logs / "fifo.json")


def log_folder(machine: Any, _: Path) -> Path:
    path = machine.layout.logs / "folder.json"
    path.mkdir()
    return path


def endless_log(machine: Any, _: Path) -> Path:
    return linked(machine.layout.logs / "endless.json", Path("/dev/zero"))


def huge_log(machine: Any, _: Path) -> Path:
    path = machine.layout.logs / "huge.json"
    path.touch()
    os.truncate(path, 1024**4)
    return path


def nested_log(machine: Any, _: Path) -> Path:
    path = machine.layout.logs / "nested.json"
    path.write_bytes(b"[" * 1_000_000 + b"\n[]\n1\n" + b'{"error_severity": ["LOG"]}\n')
    return path


def journal_fifo(machine: Any, _: Path) -> Path:
    return fifo(machine.layout.journal)


def nested_journal(machine: Any, _: Path) -> Path:
    machine.layout.journal.write_bytes(b"[" * 100_000)
    return machine.layout.journal


def journal_link(machine: Any, victim: Path) -> Path:
    return linked(machine.layout.journal, victim / "secret")


def major_link(machine: Any, victim: Path) -> Path:
    return linked(machine.layout.volume / "16", victim)


def major_without_number(machine: Any, _: Path) -> Path:
    path = machine.layout.volume / "x/main"
    path.mkdir(parents=True)
    (path / "PG_VERSION").touch()
    return path.parent


def socket_lock_fifo(machine: Any, _: Path) -> Path:
    return fifo(sockets(machine) / ".s.PGSQL.1.lock")


def socket_lock_of_words(machine: Any, _: Path) -> Path:
    path = sockets(machine) / ".s.PGSQL.2.lock"
    path.write_text("../etc\n/nowhere\n")
    return path


def configuration_fifo(machine: Any, _: Path) -> Path:
    return fifo(machine.layout.configuration(17))


def configuration_link(machine: Any, victim: Path) -> Path:
    return linked(machine.layout.configuration(17), victim / "secret")


def pid_file_link(machine: Any, victim: Path) -> Path:
    return linked(machine.layout.data(17) / "postmaster.pid", victim / "postmaster.pid")


def linked(path: Path, target: Path) -> Path:
    removed(path)
    path.symlink_to(target)
    return path


def fifo(path: Path) -> Path:
    removed(path)
    os.mkfifo(path)
    return path


def removed(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def sockets(machine: Any) -> Path:
    process = server_process.find(machine.layout.data(17))
    assert process is not None
    return process.socket_directory


Plant = Callable[[Any, Path], Path]
PASSED_OVER: tuple[Plant, ...] = (
    scratch_log, log_link, log_name, log_fifo, log_folder, endless_log, huge_log, nested_log, major_link,
    major_without_number, socket_lock_fifo, socket_lock_of_words,
)  # fmt: skip
MISLEADING: tuple[Plant, ...] = (
    scratch_home, scratch_socket, journal_fifo, nested_journal, journal_link, pid_file_link,
)  # fmt: skip


def given_to_server(machine: Any, path: Path) -> None:
    if path.lstat().st_nlink == 1:
        os.chown(path, *machine.user.owner, follow_symlinks=False)


def apply_a_change(machine: Any) -> int:
    change(machine)
    with deadline():
        return machine.apply()


def change(machine: Any) -> None:
    machine.desired.networks = ("127.0.0.0/24", "::1/128", f"198.51.100.{next(ADDRESSES)}/32")
    machine.publish()


def test_what_the_server_has_no_use_for_is_passed_over(serving: Any, victim: Path) -> None:
    paths = [plant(serving, victim) for plant in PASSED_OVER]
    before = state_of(victim)
    for path in paths:
        given_to_server(serving, path)
    assert apply_a_change(serving) == DONE, serving.report()
    assert state_of(victim) == before
    assert "for root alone" not in shipped(serving)
    for path in paths:
        removed(path)


def test_what_is_planted_for_the_configuration_is_replaced(serving: Any, victim: Path) -> None:
    before = state_of(victim)
    for plant in (configuration_fifo, configuration_link):
        path = plant(serving, victim)
        given_to_server(serving, path)
        with deadline():
            assert serving.apply() == DONE, serving.report()
        assert stat.S_ISREG(path.lstat().st_mode)
        assert state_of(victim) == before


def test_what_could_mislead_root_fails_the_apply(
    serving: Any, victim: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state_of(victim)
    for plant in MISLEADING:
        journal, pid_file = serving.layout.journal, serving.layout.data(17) / "postmaster.pid"
        contents = {path: path.read_bytes() for path in (journal, pid_file)}
        path = plant(serving, victim)
        given_to_server(serving, path)
        assert apply_a_change(serving) != DONE, plant
        assert str(path) in capsys.readouterr().err + serving.report()["message"]
        assert state_of(victim) == before, plant
        removed(path)
        if plant is scratch_home:
            path.with_name("aside").rename(path)
        if path in contents:
            path.write_bytes(contents[path])
            path.chmod(0o600)
            given_to_server(serving, path)
    # Without it everything is as it was.
    assert apply_a_change(serving) == DONE, serving.report()
    assert "for root alone" not in shipped(serving)
    serving.connect().close()


def shipped(machine: Any) -> str:
    streams = machine.logs.describe_log_streams(logGroupName=machine.log_group)["logStreams"]
    return "\n".join(
        event["message"]
        for stream in streams
        for event in machine.logs.get_log_events(
            logGroupName=machine.log_group, logStreamName=stream["logStreamName"], startFromHead=False
        )["events"]
    )


def end_servers(machine: Any) -> None:
    """End what runs below that machine's root folder, whatever the lock files there say now."""
    ending: list[int] = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").readlink().is_relative_to(machine.root):
                ending.append(os.pidfd_open(int(process.name)))
                signal.pidfd_send_signal(ending[-1], signal.SIGQUIT)
    for process in ending:
        # A postmaster that reads an endless configuration file looks at no signal but the last.
        if not select.select([process], [], [], 5)[0]:
            signal.pidfd_send_signal(process, signal.SIGKILL)
            select.select([process], [], [])
        os.close(process)


def applies_beside_a_hostile_user(machine: Any, victim: Path, applies: int, changes: int) -> None:
    """Every so many applies have a new desired state."""
    layout = machine.layout
    etc = layout.root / "etc/passwordless-postgres"
    before = state_of(victim), state_of(etc)
    # Not the configuration's: a server that is made to read a FIFO or /dev/zero there serves nobody any more.
    folders = [
        layout.volume, layout.volume / "17", layout.logs, layout.scratch, layout.scratch / "17",
        layout.generations, layout.home, sockets(machine),
    ]  # fmt: skip
    # Not a program of its own: that user may not be able to run this interpreter.
    attacker = os.fork()
    if attacker == 0:
        try:
            os.setgroups([])
            os.setgid(machine.user.gid)
            os.setuid(machine.user.uid)
            hostile_user.attack(7, victim, folders)
        finally:
            os._exit(1)
    try:
        for number in range(applies):
            if number % changes == 0:
                change(machine)
            with deadline():
                machine.apply()
            assert os.waitpid(attacker, os.WNOHANG) == (0, 0)
            assert (state_of(victim), state_of(etc)) == before
            for path in (Path("/etc"), Path("/dev"), *layout.home.iterdir(), *layout.generations.rglob("*")):
                status = path.lstat()
                writable = 0 if path.is_symlink() else status.st_mode & 0o022
                assert (status.st_uid, writable) == (0, 0), path
    finally:
        os.kill(attacker, signal.SIGKILL)
        os.waitpid(attacker, 0)
        end_servers(machine)
    assert "for root alone" not in shipped(machine)


@pytest.mark.parametrize(("applies", "changes"), [(2, 1), pytest.param(500, 5, marks=pytest.mark.long)])
def test_applies_beside_a_hostile_user(
    applies: int, changes: int, machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ServerUser.run

    def run(self: ServerUser, command: Any, *, stdin: str = "", timeout: float = 120) -> Any:
        return real(self, command, stdin=stdin, timeout=min(timeout, PROGRAM_SECONDS))

    monkeypatch.setattr(ServerUser, "run", run)
    assert machine.apply() == DONE, machine.report()
    applies_beside_a_hostile_user(machine, victim_of(machine), applies, changes)
