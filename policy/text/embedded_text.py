"""Text inside of properties: base64, gzip, cloud-init's MIME parts, JSON, files that scripts write.

Unpacking is bounded in size and depth, so that no value can exhaust the pack's memory.
"""

from __future__ import annotations

import base64
import binascii
import email
import json
import re
import shlex
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import yaml

from policy.values import UNKNOWN, Secret, TextPlace, UndecidedError, Value

LARGEST = 4 * 1024 * 1024
"""Most bytes that are unpacked from one container; the rest is ignored."""

_DEEPEST = 8
_SHORTEST_BASE64 = 24
_LONGEST_WORD = 256
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_GZIP = b"\x1f\x8b"
_ASSET = "c44067f5952c0a294b673a41bacd8c17"
_HEREDOC = re.compile(
    r"""(?:^|[;&|\s])(?:cat|tee|sudo\s+tee)\b(?P<before>[^\n<]*)<<-?\s*(?P<quote>['"]?)(?P<word>\w+)(?P=quote)"""
    r"""(?P<after>[^\n]*)\n(?P<body>.*?)\n[ \t]*(?P=word)[ \t]*(?=\n|$)""",
    re.DOTALL | re.MULTILINE,
)
_ECHO = re.compile(
    r"^\s*(?:sudo\s+)?(?:echo|printf)\s+(?P<words>.+?)\s*(?:>>?|\|\s*(?:sudo\s+)?tee(?:\s+-a)?)\s*"
    r"(?P<file>\S+)\s*$",
    re.MULTILINE,
)
_FILE = re.compile(r"""[^\s'">|<]*[\w.$/{}-]+\.(?:conf|crt|key|pem|sh|sql|env)\b""")
_PRIVATE_KEY = re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----")


@dataclass(frozen=True, kw_only=True)
class Text:
    """One text.

    Attributes:
        path: Path of the property that holds it.
        name: Path or name of the file that it is for; empty where that is not known.
        content: The text.
        secret: Whether it is a secret, or inside of one.
    """

    path: str
    name: str
    content: str = field(repr=False)
    secret: bool = False

    def place(self, line: int = 0) -> TextPlace:
        """The text, or one of its lines."""
        return TextPlace(path=self.path, file=self.name, line=line)

    def place_of(self, offset: int) -> TextPlace:
        """Line and column of an offset in the content."""
        before = self.content[:offset]
        return TextPlace(
            path=self.path,
            file=self.name,
            line=before.count("\n") + 1,
            column=offset - (before.rfind("\n") + 1) + 1,
        )


def known_texts(value: Value, name: str = "") -> list[Text]:
    """Every text in the known parts of a value, unpacked; what a script writes to one file is one text."""
    return [
        Text(path=path, name=inner or name, content=content, secret=secret or value.secret)
        for path, leaf, secret in _leaves(value.path, value.raw, value.secret)
        for inner, content in unfolded(leaf)
    ]


def private_key_in(text: Text) -> TextPlace | None:
    """Where a text holds a private key in PEM, encrypted or not; None where it holds none."""
    match = _PRIVATE_KEY.search(text.content) if "PRIVATE KEY" in text.content else None
    return text.place_of(match.start()) if match else None


def private_keys_in(value: Value) -> list[TextPlace]:
    """Where the texts in a value hold a private key in PEM.

    Raises:
        UndecidedError: No known text does, and part of the value is not known yet.
    """
    found = [place for each in known_texts(value) if (place := private_key_in(each))]
    if not found and _hides(value.raw):
        raise UndecidedError(f"{value.path} is not known before the update")
    return found


def _hides(raw: Any) -> bool:
    if isinstance(raw, Secret):
        return _hides(raw.value)
    if isinstance(raw, Mapping):
        return any(_hides(each) for each in raw.values())
    return any(_hides(each) for each in raw) if isinstance(raw, list) else raw is UNKNOWN


def _leaves(path: str, raw: Any, secret: bool) -> Iterator[tuple[str, str, bool]]:
    if isinstance(raw, Secret):
        yield from _leaves(path, raw.value, True)
    elif isinstance(raw, str):
        yield path, raw, secret
    elif isinstance(raw, list):
        for index, each in enumerate(raw):
            yield from _leaves(f"{path}[{index}]", each, secret)
    elif isinstance(raw, Mapping):
        is_asset = _ASSET in raw.values()
        for key, each in raw.items():
            if not is_asset or key == "text":
                yield from _leaves(f"{path}.{key}", each, secret)


@lru_cache(maxsize=1024)
def unfolded(content: str) -> tuple[tuple[str, str], ...]:
    """Name and content of every text inside of a text; the text itself where it is not a container."""
    return tuple(_unfolded("", content, 0))


def _unfolded(name: str, content: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth > _DEEPEST or not content.strip():
        return
    inner = _opened(content)
    if inner is not None:
        yield from _unfolded(name, inner, depth + 1)
        return
    parts = _parts(content)
    if parts is None:
        yield from _script(name, content)
        return
    for part_name, part in parts:
        yield from _unfolded(part_name or name, part, depth + 1)


def _opened(content: str) -> str | None:
    """The text in base64 and gzip; empty where that is binary, None where the content is not base64."""
    compact = "".join(content.split())
    if len(compact) < _SHORTEST_BASE64 or not _BASE64.fullmatch(compact):
        return None
    standard = compact.replace("-", "+").replace("_", "/")
    try:
        data = base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except binascii.Error:
        return None
    text = text_of(data)
    # A short word can look like base64 by chance.
    return "" if text is None and len(compact) > _LONGEST_WORD else text


def text_of(data: bytes) -> str | None:
    """Bytes as text, decompressed where they are gzip; None where they are not text."""
    if data.startswith(_GZIP):
        try:
            data = zlib.decompressobj(wbits=31).decompress(data, LARGEST)
        except zlib.error:
            return None
    try:
        text = data[:LARGEST].decode()
    except UnicodeDecodeError:
        return None
    printable = sum(each.isprintable() or each in "\n\r\t" for each in text)
    return text if printable == len(text) else None


def _parts(content: str) -> list[tuple[str, str]] | None:
    """Name and content of the parts of a container; None where the text is not a container."""
    head = content.lstrip()[:2048]
    if head.startswith("#cloud-config"):
        return _cloud_config(content)
    if re.match(r"(?i)(?:mime-version|content-type):", head) and "multipart/" in head.lower():
        message = email.message_from_string(content)
        return [("", _payload(part)) for part in message.walk() if not part.is_multipart()]
    if head.startswith(("{", "[")):
        return _json(content)
    return None


def _payload(part: Any) -> str:
    payload = part.get_payload(decode=True)
    return (text_of(payload) or "") if isinstance(payload, bytes) else ""


def _json(content: str) -> list[tuple[str, str]] | None:
    try:
        document = json.loads(content)
    except ValueError:
        return None
    return list(_named_leaves("", document))


def _named_leaves(name: str, raw: Any) -> Iterator[tuple[str, str]]:
    if isinstance(raw, str):
        yield name, raw
    elif isinstance(raw, Mapping):
        for key, each in raw.items():
            yield from _named_leaves(str(key), each)
    elif isinstance(raw, list):
        for each in raw:
            yield from _named_leaves(name, each)


def _cloud_config(content: str) -> list[tuple[str, str]] | None:
    try:
        document = yaml.safe_load(content)
    except yaml.YAMLError:
        return None
    if not isinstance(document, Mapping):
        return None
    files = document.get("write_files") or ()
    found = [(str(each.get("path", "")), _written(each)) for each in files if isinstance(each, Mapping)]
    for key in ("bootcmd", "runcmd"):
        commands = document.get(key)
        if isinstance(commands, list):
            lines = [shlex.join(map(str, each)) if isinstance(each, list) else str(each) for each in commands]
            found.append(("", "\n".join(lines)))
    rest = {key: each for key, each in document.items() if key not in ("write_files", "bootcmd", "runcmd")}
    return [*found, *_named_leaves("", rest)]


def _written(file: Mapping[str, Any]) -> str:
    content, encoding = file.get("content", ""), str(file.get("encoding", "")).lower()
    data = content if isinstance(content, bytes) else str(content).encode()
    if "b64" in encoding or "base64" in encoding:
        try:
            data = base64.b64decode(data)
        except binascii.Error:
            return ""
    return text_of(data) or ""


def _script(name: str, content: str) -> Iterator[tuple[str, str]]:
    """The files that a script writes, then the rest of the script."""
    files: dict[str, list[str]] = {}
    rest = content
    for match in _HEREDOC.finditer(content):
        target = _FILE.search(f"{match['before']} {match['after']}")
        files.setdefault(target[0] if target else "", []).append(match["body"])
        rest = rest.replace(match[0], "\n", 1)
    for match in _ECHO.finditer(rest):
        try:
            words = " ".join(each for each in shlex.split(match["words"]) if each not in ("-e", "-n"))
        except ValueError:
            continue
        files.setdefault(match["file"].strip("'\""), []).append(
            words.replace("\\n", "\n").replace("\\t", "\t")
        )
    for path, bodies in files.items():
        yield path, "\n".join(bodies)
    yield name, rest
