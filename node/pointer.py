"""The SSM parameter that names the desired state, read on every run; only what decides whether to go on."""

from __future__ import annotations

import json
from dataclasses import dataclass

from runtime.errors import FailedError
from runtime.signed_requests import SignedRequests


@dataclass(frozen=True, kw_only=True)
class PointerVersion:
    """One version of the parameter; `serial` is its number, `manifest` the manifest's SHA-256."""

    serial: int
    manifest: str
    text: str


def read(requests: SignedRequests, name: str) -> PointerVersion:
    """The parameter's newest version.

    Raises:
        FailedError: it cannot be had, or is no pointer.
    """
    parameter = requests.call("ssm", "AmazonSSM.GetParameter", {"Name": name})["Parameter"]
    text = parameter["Value"]
    try:
        manifest = json.loads(text)["manifest"]["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise FailedError(f"parameter {name} version {parameter['Version']} is no pointer") from error
    return PointerVersion(serial=int(parameter["Version"]), manifest=str(manifest), text=text)
