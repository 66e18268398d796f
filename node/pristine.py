"""What node wrote for the server, kept where nobody but root can read or change it.

What is served is compared with it on every run, and repaired from it, also while AWS cannot be reached.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from node import generation
from node.layout import Layout
from postgres.hold import held
from runtime import files

if TYPE_CHECKING:
    from postgres.declaration import Declaration

_MACHINE_FILE = "machine.conf"
_RECORD = "record.json"


@dataclass(frozen=True, kw_only=True)
class Pristine:
    """One generation as node wrote it, and what the server must do on it.

    Attributes:
        generation: its name.
        major: the server's major release.
        files: the generation's files.
        machine_file: the server's main configuration file.
        certificate_sha256: of the leaf that the server must serve.
        certificate_not_after: when that leaf ends, ISO 8601.
        logins: pairs of role and database that must be refused without TLS.
        owned: settings that nobody else may set in postgresql.auto.conf.
        allowed: for settings that roles and databases may have of their own, the values that do not weaken
            the server.
        access: settings among `owned` that decide who gets in.
        hold: until when (ISO 8601) drift is only reported, and why; None: it is repaired.
        client_certificates_not_after: when the first of the roles' certificates ends, ISO 8601; None where
            there are none.
    """

    generation: str
    major: int
    files: Mapping[str, bytes] = field(repr=False)
    machine_file: bytes
    certificate_sha256: str
    certificate_not_after: str
    logins: tuple[tuple[str, str], ...]
    owned: frozenset[str]
    allowed: Mapping[str, tuple[str, ...]]
    access: frozenset[str]
    hold: tuple[str, str] | None = None
    client_certificates_not_after: str | None = None

    def held(self, now: datetime.datetime) -> str:
        """Why drift is only reported now; empty where it is repaired."""
        return held(self.hold, now)

    @property
    def declaration(self) -> Declaration:
        """Databases, roles and grants."""
        from postgres.declaration import Declaration

        return Declaration.from_json(self.files["roles.json"].decode())

    def save(self, layout: Layout) -> None:
        """Keep it beside those of earlier generations."""
        layout.make_home()
        record = {
            "major": self.major,
            "certificateSha256": self.certificate_sha256,
            "certificateNotAfter": self.certificate_not_after,
            "logins": self.logins,
            "owned": sorted(self.owned),
            "allowed": dict(self.allowed),
            "access": sorted(self.access),
            "hold": self.hold,
            "clientCertificatesNotAfter": self.client_certificates_not_after,
        }
        own = {_MACHINE_FILE: self.machine_file, _RECORD: json.dumps(record).encode()}
        contents = {**self.files, **own}
        generation.write_folder(layout.pristine / self.generation, contents, generation.Access.own())

    @classmethod
    def load(cls, layout: Layout, name: str) -> Pristine | None:
        """That of a generation; None if it is missing or damaged: the generation must be made anew."""
        folder = layout.pristine / name
        try:
            contents = {file: files.read_file(folder / file) for file in files.names(folder)}
            machine_file, record = contents.pop(_MACHINE_FILE), json.loads(contents.pop(_RECORD))
            return cls(
                generation=name,
                major=record["major"],
                files=contents,
                machine_file=machine_file,
                certificate_sha256=record["certificateSha256"],
                certificate_not_after=record["certificateNotAfter"],
                logins=tuple((role, database) for role, database in record["logins"]),
                owned=frozenset(record["owned"]),
                allowed={setting: tuple(values) for setting, values in record["allowed"].items()},
                access=frozenset(record["access"]),
                hold=(record["hold"][0], record["hold"][1]) if record.get("hold") else None,
                client_certificates_not_after=record.get("clientCertificatesNotAfter"),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
