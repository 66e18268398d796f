"""The journal: every request that writes, in order, so that a killed sandbox comes back with what it had.

One JSON object per line, each fsynced before its request is carried out. Carrying the same requests out
again, each with the random numbers of its own sequence number, gives the same ids, versions and values. What
comes back different are times: creation and modification dates are those of the replay.

The file grows with every change of the deployment, which is small. What a machine writes over and over would
let it grow without bound: `compact` keeps only the latest few versions of each object that a role's session
wrote, as a lifecycle rule for noncurrent versions would. Log events and metrics are not journalled at all.
"""

from __future__ import annotations

import base64
import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from emulator.endpoint.exchange import HttpRequest
from runtime.files import replace_file

KEPT_VERSIONS_OF_A_ROLE = 5
FORMAT = 1


class CorruptJournal(RuntimeError):
    """A complete line of the journal cannot be read: the state folder was changed from outside."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One request.

    Attributes:
        sequence: Its number; seeds the random numbers. Numbers may be missing after compaction.
        operation: Service and operation, such as `s3:PutObject`.
        subject: The object a role's session wrote over (bucket and key), else empty.
        request: The request, its credentials removed.
    """

    sequence: int
    operation: str
    subject: str
    request: HttpRequest = field(repr=False)

    def to_line(self) -> bytes:
        """The entry as one line."""
        record = {"format": FORMAT, **vars(self), **vars(self.request)}
        record["body"] = base64.b64encode(self.request.body).decode()
        del record["request"], record["client_port"]
        return json.dumps(record, separators=(",", ":")).encode() + b"\n"

    @staticmethod
    def from_line(line: bytes) -> Entry:
        """The entry of a line.

        Raises:
            ValueError, KeyError, TypeError: It is none.
        """
        record = json.loads(line)
        if (found := record.pop("format")) != FORMAT:
            raise ValueError(f"format {found}")
        request = HttpRequest(
            method=record.pop("method"),
            target=record.pop("target"),
            headers=tuple((name, value) for name, value in record.pop("headers")),
            body=base64.b64decode(record.pop("body")),
        )
        return Entry(request=request, **record)


class Journal:
    """The file. Not safe for concurrent use: the caller serialises.

    Args:
        path: The file, made with mode 0600 in a folder of mode 0700.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None
        self._next = 1

    def open(self) -> list[Entry]:
        """Reads the journal, compacts it, and makes it ready for more.

        An incomplete last line is the write that a kill interrupted: its request was never answered, so it is
        dropped.

        Raises:
            CorruptJournal: Another line is unreadable.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        content = self.path.read_bytes() if self.path.exists() else b""
        complete, _, rest = content.rpartition(b"\n")
        entries = [self._read(number, line) for number, line in enumerate(complete.splitlines(), 1)]
        self._next = entries[-1].sequence + 1 if entries else 1
        kept = compact(entries)
        if rest or len(kept) != len(entries) or not self.path.exists():
            replace_file(self.path, b"".join(entry.to_line() for entry in kept), durable=True)
        self._file = self.path.open("ab")
        return kept

    def _read(self, number: int, line: bytes) -> Entry:
        try:
            return Entry.from_line(line)
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptJournal(
                f"{self.path}, line {number}: {error}; restore the file, or remove the sandbox's state and "
                "deploy anew"
            ) from error

    def append(self, operation: str, subject: str, request: HttpRequest) -> int:
        """Writes one request down and returns its sequence number, once it is on the disk."""
        if self._file is None:
            raise RuntimeError("the journal is not open")
        entry = Entry(sequence=self._next, operation=operation, subject=subject, request=request)
        self._file.write(entry.to_line())
        self._file.flush()
        os.fsync(self._file.fileno())
        self._next += 1
        return entry.sequence

    def close(self) -> None:
        """Closes the file; nothing is lost without it."""
        if self._file is not None:
            self._file.close()
            self._file = None


def compact(entries: list[Entry]) -> list[Entry]:
    """`entries` without all but the latest versions of what sessions of roles wrote over and over."""
    later: Counter[str] = Counter()
    kept = []
    for entry in reversed(entries):
        if entry.subject:
            later[entry.subject] += 1
            if later[entry.subject] > KEPT_VERSIONS_OF_A_ROLE:
                continue
        kept.append(entry)
    return kept[::-1]
