"""The sandbox's state folder: its place, its content, its ports, its lock."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from emulator.core.ports import new_port, port_is_free
from emulator.core.state_layout import (
    AUTO_SCALING,
    LOAD_BALANCING,
    MACHINES,
    PUBLIC_CA_BUNDLE,
    RDS,
    RDS_CA_BUNDLE,
)
from emulator.postgresql_server.postmasters import remove_sockets
from emulator.postgresql_server.server_user import ServerUser, server_user
from engine import processes
from engine.errors import CommandError
from engine.project import CHECKOUT
from node.short_path import remove_stand_in
from runtime.files import replace_file

DEFAULT_NAME = ".sandbox"
ELSEWHERE = (Path("/var/lib"), Path("/var/tmp"))  # noqa: S108 - the folders made there are exclusively ours
ELSEWHERE_NAME = "passwordless-postgres"
FORMAT = 2
"""Format of everything in the state folder. Increment it when older files cannot be read any more."""


class _Below:
    """A path below the root of the state folder."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, state: State, _: object) -> Path:
        return state.root / self._name


@dataclass(frozen=True, kw_only=True)
class State:
    """The paths of one sandbox.

    `nominal` is the folder that was asked for. It is a link to `root` when the servers' user could not enter
    a folder in its place.
    """

    root: Path
    nominal: Path
    user: ServerUser

    serve_lock = _Below("serve.lock")
    """Locked by the resident process while it runs."""
    serve_file = _Below("serve.json")
    """Written by the resident process when it is ready."""
    serve_log = _Below("serve.log")
    """The log of the resident process."""
    postgresql = _Below("postgresql")
    """PostgreSQL's programs, in `<major>/bin`."""
    connections = _Below("connections.json")
    """The connections document of the last deployment."""
    deployment = _Below("deployment.json")
    """The result of the last deployment."""
    machines = _Below(MACHINES)
    """The root folders of the EC2 instances, by instance id."""
    rds = _Below(RDS)
    """The RDS instances, by identifier."""
    rds_ca_bundle = _Below(RDS_CA_BUNDLE)
    """The authorities of the RDS instances, for clients."""
    public_ca_bundle = _Below(PUBLIC_CA_BUNDLE)
    """The authority of the emulated Certificate Manager's certificates, for clients."""
    load_balancing = _Below(LOAD_BALANCING)
    """The load balancers, with their logs."""
    auto_scaling = _Below(AUTO_SCALING)
    """The auto scaling groups, with their instances."""
    _format_file = _Below("format.json")

    def check_format(self) -> None:
        """Refuse a sandbox whose saved state this version cannot read.

        Raises:
            CommandError: another version of this checkout deployed it; nothing was changed.
        """
        found = self._recorded_format()
        if found not in (None, FORMAT):
            raise CommandError(
                f"The sandbox in {self.root} was deployed by another version of this checkout: its state has "
                f"format {found}, this version needs format {FORMAT}. Nothing was changed. Run `make clean`, "
                "which removes the sandbox and its data, then `make up`; or go back to the version that "
                "deployed it."
            )

    def record_format(self) -> None:
        """Record the format of what is about to be deployed."""
        if self._recorded_format() is None:
            replace_file(self._format_file, json.dumps({"format": FORMAT}) + "\n")

    def _recorded_format(self) -> int | str | None:
        """The format of what was deployed; None when nothing was."""
        try:
            document = json.loads(self._format_file.read_text())
        except FileNotFoundError:
            # Format 1 recorded no format. Every resident process leaves its lock.
            return 1 if self.serve_lock.exists() else None
        except ValueError:
            return "unknown"
        found = document.get("format") if isinstance(document, dict) else None
        return found if isinstance(found, int) else "unknown"

    def ports(self, names: tuple[str, ...], ours: Callable[[], Collection[int]] = tuple) -> dict[str, int]:
        """A free TCP port for each name, the same one on every call.

        Args:
            names: Names of what the ports are for.
            ours: Finds the ports on which processes of this sandbox listen; called if a port is in use. A
                port that any other process has taken is replaced by a new one.
        """
        file = self.root / "ports.json"
        try:
            kept: dict[str, int] = json.loads(file.read_text())
        except (OSError, ValueError):
            kept = {}
        used = {name for name in names if name in kept and not port_is_free(kept[name])}
        listening = ours() if used else ()
        for name in names:
            if name not in kept or (name in used and kept[name] not in listening):
                kept[name] = new_port(set(kept.values()))
        replace_file(file, json.dumps(kept, indent=2) + "\n")
        return {name: kept[name] for name in names}

    def listening_ports(self) -> set[int]:
        """The TCP ports on which processes of this sandbox listen."""
        ports = set()
        for identity in processes.find(self.root):
            with contextlib.suppress(psutil.Error):
                for connection in psutil.Process(identity.pid).net_connections(kind="tcp"):
                    if connection.status == psutil.CONN_LISTEN:
                        ports.add(connection.laddr.port)
        return ports

    @contextlib.contextmanager
    def exclusive(self, purpose: str) -> Iterator[None]:
        """Lock the folder for one command. The lock ends with the process, however that ends.

        Raises:
            CommandError: another command holds it.
        """
        lock = self.root / "command.lock"
        with lock.open("a+") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                handle.seek(0)
                raise CommandError(
                    f"The sandbox in {self.root} is in use by `{handle.read().strip()}`. "
                    "Wait until that has ended, or end it, then run this again."
                ) from None
            handle.truncate(0)
            handle.write(f"python -m sandbox {purpose} (process {os.getpid()})\n")
            handle.flush()
            yield


def default_folder() -> Path:
    """The state folder of this checkout."""
    return CHECKOUT / DEFAULT_NAME


def _absolute(path: Path) -> Path:
    # Do not resolve the last part, which may be our link to another folder.
    return path.parent.resolve() / path.name


def open_state(requested: Path | None, say: Callable[[str], None]) -> State:
    """Open the state folder, and create it unless it exists.

    Args:
        requested: The folder; None for `.sandbox` in the checkout.
        say: Called with a message when the folder is created elsewhere.

    Raises:
        CommandError: it belongs to another user or cannot be created.
    """
    nominal = _absolute(requested) if requested else default_folder()
    user = server_user()
    try:
        root = _place(nominal, user)
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(
            f"The state folder {nominal} cannot be created: {error}. Name another one with --state."
        ) from error
    owner = root.stat().st_uid
    if owner != os.geteuid():
        raise CommandError(
            f"The state folder {root} belongs to user {owner}, this is user {os.geteuid()}. "
            "Use it as that user, remove it as that user with `make clean`, or name another one with --state."
        )
    root.chmod(0o711 if user.switched else 0o700)
    if root != nominal:
        say(f"state: {root}; user {user.name} cannot enter {nominal.parent}, so {nominal} is a link to it")
    return State(root=root, nominal=nominal, user=user)


def existing_state(requested: Path | None) -> State | None:
    """The state folder if it exists; creates nothing."""
    nominal = _absolute(requested) if requested else default_folder()
    root = nominal.resolve()
    return State(root=root, nominal=nominal, user=server_user()) if root.is_dir() else None


def _place(nominal: Path, user: ServerUser) -> Path:
    if nominal.is_symlink():
        return nominal.resolve()
    nominal.parent.mkdir(parents=True, exist_ok=True)
    if user.can_enter(nominal.parent):
        return nominal
    if nominal.is_dir():
        raise CommandError(
            f"User {user.name}, which runs the servers, cannot enter {nominal}. "
            "Run `make clean` as the user who created it, then this again."
        )
    name = hashlib.sha256(str(nominal).encode()).hexdigest()[:16]
    for base in ELSEWHERE:
        folder = base / ELSEWHERE_NAME
        if not (os.access(base, os.W_OK) and user.can_enter(base)):
            continue
        folder.mkdir(exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
            continue
        folder.chmod(0o711)
        target = folder / name
        target.mkdir(exist_ok=True)
        nominal.symlink_to(target)
        return target
    raise CommandError(
        f"User {user.name}, which runs the servers, cannot enter {nominal.parent}, and none of "
        f"{', '.join(map(str, ELSEWHERE))} can be used instead. Name a folder that it can enter with --state."
    )


def remove_state(state: State) -> None:
    """Remove the folder, its link, and the folder that was created to contain it."""
    for machine in state.machines.glob("*/root"):
        remove_sockets(machine)
    for server in state.rds.glob("*/server"):
        remove_stand_in(server / "socket")
    shutil.rmtree(state.root, ignore_errors=False)
    if state.nominal.is_symlink():
        state.nominal.unlink()
        if state.root.parent.name == ELSEWHERE_NAME and not any(state.root.parent.iterdir()):
            state.root.parent.rmdir()
