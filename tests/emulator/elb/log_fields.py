"""Reads the lines of a load balancer's logs."""

from __future__ import annotations

import shlex
from collections.abc import Collection

from emulator.elb.data_plane import connection_log


def fields(line: str, names: Collection[str] = connection_log.FIELDS.keys()) -> dict[str, str]:
    """The fields of an entry by their names; of the connection log unless others are given.

    Raises:
        ValueError: It has another form.
    """
    return dict(zip(names, shlex.split(line), strict=True))
