"""What differs between a Debian instance and a folder with PostgreSQL's programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from node.layout import Layout
from node.server_user import ServerUser
from runtime import files
from runtime.errors import FailedError

if TYPE_CHECKING:
    from node.format_record import FormatRecord


class Platform(Protocol):
    """A way to install, start and stop PostgreSQL. Methods raise FailedError with the program's output."""

    @property
    def user(self) -> ServerUser:
        """The user that runs the server; on Debian it exists once the packages are installed."""
        ...

    @property
    def socket_directory(self) -> Path:
        """The folder of the server's Unix socket; it exists after `prepare`."""
        ...

    def binaries(self, major: int) -> Path:
        """The folder with `postgres`, `initdb` and `psql` of that major."""
        ...

    def install_own(self) -> None:
        """Install what node itself imports; cheap when it is there."""
        ...

    def install(self, major: int, minor_floor: int, packages: Sequence[str]) -> None:
        """Install the server's programs, at least at that minor release, and packages of extensions."""
        ...

    def prepare(self, major: int, volume: str | None, record: FormatRecord) -> None:
        """Mount the data volume, and make the folders that the server expects."""
        ...

    def listen_addresses(self) -> Sequence[str]:
        """The addresses to listen on; the first one reaches the server from this machine."""
        ...

    def package_work(self) -> str | None:
        """Who changes the machine's packages now: the server must not be started. None if nobody does."""
        ...

    def start(self, major: int) -> None:
        """Start the server and wait until it accepts connections."""
        ...

    def stop(self, major: int) -> None:
        """Stop the server and wait until it is down; sessions end."""
        ...

    def reload(self, major: int) -> None:
        """Make the server read its files again; no session ends."""
        ...


def of(layout: Layout) -> Platform:
    """The platform that platform.json names; Debian without that file.

    Raises:
        FailedError: platform.json names a platform that does not exist or lacks a value.
    """
    description = files.read_json_object(layout.platform)
    if description is None and not layout.platform.exists():
        from node.debian import Debian

        return Debian(layout=layout)
    from node.prefix import Prefix

    if description is None or description.get("platform") != "prefix":
        raise FailedError(f'{layout.platform} must be a JSON object with "platform": "prefix"')
    try:
        return Prefix.described(layout, description)
    except (KeyError, TypeError, ValueError) as error:
        raise FailedError(f"{layout.platform}: {type(error).__name__}: {error}") from error
