"""Requests to an instance's metadata service by processes of other users."""

from __future__ import annotations

import os

import requests

TTL = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}


def refused_to(user: int, base: str) -> bool:
    """Whether a process of that user gets a 403 instead of a token."""
    process = os.fork()
    if process == 0:
        # Not a program of its own: that user may not be able to run this interpreter.
        outcome = 2
        try:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            status = requests.put(f"{base}/latest/api/token", headers=TTL, timeout=10).status_code
            outcome = {200: 0, 403: 1}.get(status, 2)
        finally:
            os._exit(outcome)
    ended = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert ended in (0, 1)
    return ended == 1
