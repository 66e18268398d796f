"""Names that are derived from other names: children, parameters, log groups. Longer ones end in a digest."""

from __future__ import annotations

import hashlib
import re

from settings.quotas import Quota

_PULUMI_SUFFIX = 8  # a hyphen and seven hexadecimal digits, which make a physical name of a logical one
_DIGEST_CHARACTERS = 7
_LATIN = re.compile(r"[\t\n\r\x20-\x7e\xa1-\xff]*")  # IAM API Reference, CreateRole, Description
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
_UNUSABLE = re.compile(r"[^A-Za-z0-9_-]+")


def slug(text: str) -> str:
    """`text` itself if it fits names of resources, else what fits of it and 7 digits of its SHA-256.

    Different texts never get the same slug by accident, so a role name may hold any character.
    """
    if _PLAIN.fullmatch(text):
        return text
    digest = digest_of(text)
    readable = _UNUSABLE.sub("-", text).strip("-")
    return f"{readable}-{digest}" if readable else digest


def digest_of(text: str) -> str:
    """The beginning of its SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARACTERS]


def fitted(text: str, limit: int) -> str:
    """`text` itself if it has at most `limit` characters, else its beginning and a digest of all of it."""
    if len(text) <= limit:
        return text
    return f"{text[: limit - _DIGEST_CHARACTERS - 1].rstrip('-')}-{digest_of(text)}"


def resource_name(text: str, quota: Quota) -> str:
    """The logical name of a resource whose physical name, which Pulumi makes of it, has to keep a quota."""
    return fitted(text, quota.limit - _PULUMI_SUFFIX)


def description_of(name: str) -> str:
    """A name as IAM takes it in a description: itself, or its slug where it has letters outside Latin-1."""
    return name if _LATIN.fullmatch(name) else slug(name)


def stack_path(stack: str, *parts: str) -> str:
    """The path below which a stack keeps its parameters and log groups."""
    return "/".join(["", "passwordless-postgres", stack, *parts])
