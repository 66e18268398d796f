"""What decides whether a run has anything to do: the newest pointer, and how the last attempt ended.

It is read on every run, in a few milliseconds: plain JSON, without pydantic and the SDK.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from runtime import files
from runtime.errors import FailedError
from runtime.signed_requests import SignedRequests


@dataclass(frozen=True, kw_only=True)
class PointerVersion:
    """One version of the SSM parameter that names the desired state.

    Attributes:
        serial: the version's number.
        manifest: SHA-256 of the manifest that it names.
        text: the parameter's value.
    """

    serial: int
    manifest: str
    text: str

    @classmethod
    def newest(cls, requests: SignedRequests, name: str) -> PointerVersion:
        """The parameter's newest version.

        Raises:
            FailedError: it cannot be read, or is not a pointer.
        """
        parameter = requests.call("ssm", "AmazonSSM.GetParameter", {"Name": name})["Parameter"]
        text = parameter["Value"]
        try:
            manifest = json.loads(text)["manifest"]["sha256"]
        except (ValueError, KeyError, TypeError) as error:
            raise FailedError(f"parameter {name} version {parameter['Version']} is not a pointer") from error
        return cls(serial=int(parameter["Version"]), manifest=str(manifest), text=text)


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
