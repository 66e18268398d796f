"""What decides whether a run has anything to do: the newest manifest, and how the last attempt ended.

It is read on every run, in a few milliseconds: plain JSON, without pydantic and the SDK.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from runtime import files
from runtime.signed_requests import SignedRequests

MANIFEST_KEY = "manifest.json"
"""Key of the manifest. Its newest version is the desired state; nothing else names it to node."""


@dataclass(frozen=True, kw_only=True)
class NewestManifest:
    """The newest version of the manifest, see `node.desired_state.Manifest`.

    Attributes:
        serial: its serial; 0 where it has none, which no machine takes for newer.
        manifest: its SHA-256.
        text: the manifest itself.
    """

    serial: int
    manifest: str
    text: bytes = field(repr=False)

    @classmethod
    def read(cls, requests: SignedRequests, bucket: str, owner: str) -> NewestManifest:
        """The manifest in the desired-state bucket, which belongs to the account `owner`.

        Raises:
            FailedError: it cannot be read.
        """
        text = requests.object(bucket, MANIFEST_KEY, owner)
        try:
            serial = json.loads(text)["serial"]
        except (ValueError, KeyError, TypeError):
            serial = 0
        known = serial if type(serial) is int and serial > 0 else 0
        return cls(serial=known, manifest=hashlib.sha256(text).hexdigest(), text=text)


@dataclass(frozen=True, kw_only=True)
class Applied:
    """The desired state that the server serves."""

    serial: int
    manifest: str
    generation: str


@dataclass(frozen=True, kw_only=True)
class LastAttempt:
    """The desired state that was attempted last, by which node, and how that ended."""

    serial: int
    manifest: str
    node: str | None
    outcome: str

    def repeats(self, other: LastAttempt) -> bool:
        """Whether both are of the same desired state by the same node."""
        return replace(self, outcome="") == replace(other, outcome="")


@dataclass(frozen=True, kw_only=True)
class State:
    """What earlier runs left; without the file, or with a damaged one, the next run applies once more."""

    applied: Applied | None = None
    last_attempt: LastAttempt | None = None

    @classmethod
    def load(cls, path: Path) -> State:
        """Read the state file."""
        document = files.read_json_object(path)
        try:
            return cls(
                applied=Applied(**document["applied"]) if document and document["applied"] else None,
                last_attempt=LastAttempt(**document["judged"]) if document and document["judged"] else None,
            )
        except (KeyError, TypeError):
            return cls()

    def save(self, path: Path) -> None:
        """Write the state file; deployed machines know the last attempt as `judged`."""
        document = {
            "applied": asdict(self.applied) if self.applied else None,
            "judged": asdict(self.last_attempt) if self.last_attempt else None,
        }
        files.replace_file(path, json.dumps(document, indent=1), durable=True)
