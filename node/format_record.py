"""Which data volumes have been formatted, kept outside of the instance and of the volumes.

A volume that was formatted once and reads blank now has lost its data, or the device lies. Formatting it
again would seal that. The record is an object beside the report; it is written under a condition, so that
two instances cannot both record a volume as new. Whoever makes a volume from a snapshot adds it too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from node.desired_state import FORMATTED_VOLUMES_KEY
from node.fetch import Store
from runtime.errors import FailedError


@dataclass(frozen=True, kw_only=True)
class FormatRecord:
    """The record of one server."""

    store: Store

    @property
    def place(self) -> str:
        """Where it lies, for messages."""
        return f"s3://{self.store.bucket}/{FORMATTED_VOLUMES_KEY}"

    def add(self, volume: str) -> bool:
        """Record a volume; False if it was recorded before.

        Raises:
            FailedError: the record cannot be read or written, or holds something else.
        """
        if self.store.put_if_unchanged(FORMATTED_VOLUMES_KEY, _text([volume]), None):
            return True
        # Reading first would not do: without the right to list a bucket, AWS answers for an object that
        # does not exist as for one that may not be read.
        text, version = self.store.newest(FORMATTED_VOLUMES_KEY)
        try:
            volumes = [str(item) for item in json.loads(text)["volumes"]]
        except (ValueError, KeyError, TypeError) as error:
            raise FailedError(
                f"{self.place} is damaged ({error}); restore its version before this"
            ) from error
        if volume in volumes:
            return False
        if not self.store.put_if_unchanged(FORMATTED_VOLUMES_KEY, _text([*volumes, volume]), version):
            raise FailedError(f"{self.place} was changed at the same moment")
        return True


def _text(volumes: list[str]) -> str:
    return json.dumps({"volumes": volumes})
