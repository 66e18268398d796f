"""The documents of a machine: where it looks for its desired state, the desired state, its report.

`Machine` lies on the instance and never changes. `Manifest` lists the files and secrets of one desired state,
and holds its serial. `Report` is the machine's answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import AwareDatetime, Field

from documents.document import Document, ObjectVersion, Sha256
from documents.shown_text import ShownText

SCHEMA_VERSION = 1
FORMATTED_VOLUMES_KEY = "formatted-volumes.json"
"""Key of the one object, apart from its report, that a machine writes: see `node.format_record`."""

Outcome = Literal["applying", "applied", "refused", "failed"]
RestartPolicy = Literal["pending", "automatic"]


class SecretVersion(Document):
    """One version of one secret in Secrets Manager; `sha256` is that of its SecretString."""

    arn: str
    version: str
    sha256: Sha256


class Machine(Document):
    """What user-data tells an instance; it holds no secret.

    `report_key` is the key in `bucket` that this machine alone writes, `volume` the id of its data volume
    (None where the root folder is the volume). User-data of former releases has a `pointer`, which nothing
    reads.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    region: str
    bucket: str
    pointer: str | None = Field(default=None, exclude=True)
    report_key: str
    log_group: str
    volume: str | None = None


class Hold(Document):
    """A time in which an operator works by hand: drift of roles, grants and settings is only reported.

    It ends at `until`, ISO 8601 with a time zone. What decides on access is never held.
    """

    until: ShownText
    reason: ShownText


class Manifest(Document):
    """One desired state: which versions of which files and secrets, for which server.

    `serial` orders desired states: a machine refuses a lower one than the last that it applied, and the
    same one with another content. `files` has the keys `postgresql.conf`, `pg_hba.conf`, `pg_ident.conf`,
    `roles.json` and `client-ca.crt`; `server_identity` is the secret with the server's certificate and key.
    `client_certificates_not_after` is when the first of the roles' certificates ends, None where there are
    none: the machine can read none of them.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    serial: int = Field(ge=1)
    server: str
    major: int
    minor_floor: int
    node: ObjectVersion
    files: dict[str, ObjectVersion]
    server_identity: SecretVersion
    restart: RestartPolicy = "pending"
    hold: Hold | None = None
    client_certificates_not_after: AwareDatetime | None = None


class DriftItem(Document):
    """One deviation from the desired state: what, since when (ISO 8601), and what became of it.

    `repaired`, for a day after it was last found; `held`: it is left alone as long as a hold lasts;
    `foreign`: it is not the machine's to change; `failed`: it
    could not be repaired. `why` says why not.
    """

    what: ShownText
    since: ShownText
    state: Literal["repaired", "held", "foreign", "failed"]
    why: ShownText = ""


class Report(Document):
    """What the machine reports about the desired state with `serial`.

    `serial` is 0 where the manifest has none. `message` is for people: the
    stage while `applying`, the reason when `refused` (the desired state is wrong; retried only when it
    changes) or `failed` (something else is; retried on every run). `applied_serial` is the serial that
    the server serves now, None where none runs; `drift` is what deviated from it. Whoever reads a
    report shows it to people, so no text in it holds control characters.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    serial: int = Field(ge=0)
    manifest_sha256: Sha256
    instance: ShownText
    outcome: Outcome
    message: ShownText
    applied_serial: int | None = None
    node_sha256: Sha256 | None = None
    server_version: ShownText | None = None
    certificate_sha256: Sha256 | None = None
    certificate_not_after: ShownText | None = None
    pending_restart: tuple[ShownText, ...] = ()
    drift: tuple[DriftItem, ...] = ()
    time: ShownText


def drift_lines(drift: Sequence[Mapping[str, str]] | None) -> list[str]:
    """What a report's `drift` says, as lines for people; None is that of a report without it."""
    return [
        f"{item['state']}, since {item['since']}: {': '.join(filter(None, (item['what'], item['why'])))}"
        for item in drift or ()
    ]
