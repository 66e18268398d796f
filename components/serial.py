"""The serial number that orders the versions of a published document, as a resource."""

from __future__ import annotations

import time
from typing import Any

import pulumi
from pulumi import dynamic


def next_serial(previous: int, now: float) -> int:
    """The serial after `previous`, which is 0 where none is known.

    Seconds since 1970, so that a serial is higher than one that was forgotten with the state, and always
    higher than the one before it, also where two changes share a second or the clock was set back.
    """
    return max(previous + 1, int(now))


class SerialProvider(dynamic.ResourceProvider):
    """Gives a content its serial, and keeps it as long as the content stays the same.

    Only `create` and `update` read the clock, and neither runs in a preview.
    """

    serialize_as_secret_always = False

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> dynamic.DiffResult:
        """A new serial for a new content, and for nothing else."""
        return dynamic.DiffResult(changes=_olds.get("contentSha256") != _news.get("contentSha256"))

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """The first serial."""
        return dynamic.CreateResult("serial", _outputs(props, previous=0))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> dynamic.UpdateResult:
        """The next serial."""
        return dynamic.UpdateResult(_outputs(_news, previous=int(_olds["serial"])))


def _outputs(props: dict[str, Any], previous: int) -> dict[str, Any]:
    return {"contentSha256": props["contentSha256"], "serial": next_serial(previous, time.time())}


class Serial(dynamic.Resource, module="passwordless-postgres", name="Serial"):
    """The serial of one document.

    It is written inside the document, and readers refuse a document with a lower serial than the last one
    that they took, whatever the store says. A revert is another content, so it has a new serial. Where
    writing the document fails, the serial stays with the content until the content changes. In the preview
    of a change it is unknown.
    """

    def __init__(
        self, name: str, content_sha256: pulumi.Input[str], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Keep the serial, or give the next one.

        Args:
            name: Name of the resource.
            content_sha256: SHA-256 of the document without its serial.
            opts: Options of the resource.
        """
        super().__init__(SerialProvider(), name, {"contentSha256": content_sha256, "serial": None}, opts)

    @property
    def serial(self) -> pulumi.Output[int]:
        """The serial."""
        return pulumi.Output.from_input(pulumi.get(self, "serial")).apply(int)
