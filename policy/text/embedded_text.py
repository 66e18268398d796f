"""Text inside of properties: base64, gzip, cloud-init's MIME parts, JSON, YAML, files that scripts write.

Unpacking is bounded in size, depth and number, so that no value can exhaust the pack's memory.
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
from itertools import islice
from typing import Any, NamedTuple

import yaml

from policy.text import assets
from policy.text.source_code import is_source, without_prose
from policy.values import UNKNOWN, Secret, TextPlace, UndecidedError, Value

LARGEST = 4 * 1024 * 1024
"""Most bytes that are unpacked from one container; the rest is ignored."""

PARTIAL_SETTINGS = "postgresql.parameters"
"""Name of a text that states some settings of a server whose other settings come from elsewhere."""

_DEEPEST = 8
_MOST_LEAVES = 20_000
_LARGEST_YAML = 1024 * 1024
_SHORTEST_BASE64 = 24
_LONGEST_WORD = 256
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_GZIP = b"\x1f\x8b"
_HEREDOC = re.compile(
    r"""(?:^|[;&|\s])(?:cat|tee|sudo\s+tee)\b(?P<before>[^\n<]*)<<-?\s*(?P<quote>['"]?)(?P<word>\w+)(?P=quote)"""
    r"""(?P<after>[^\n]*)\n(?P<body>.*?)\n[ \t]*(?P=word)[ \t]*(?=\n|$)""",
    re.DOTALL | re.MULTILINE,
)
_ECHO = re.compile(
    r"^[ \t]*(?:sudo\s+)?(?:echo|printf)\s+(?P<words>.+?)\s*(?:>>?|\|\s*(?:sudo\s+)?tee(?:\s+-a)?)\s*"
    r"(?P<file>\S+)[ \t]*$",
    re.MULTILINE,
)
_FILE = re.compile(r"""[^\s'">|<]*[\w.$/{}-]+\.(?:conf|crt|key|pem|sh|sql|env)\b""")
# Top-level keys of manifests of Kubernetes and Patroni, templates of CloudFormation, documents of Systems
# Manager, build specifications and Compose files.
_YAML = re.compile(
    r"^(?:---|(?:apiVersion|kind|spec|data|stringData|AWSTemplateFormatVersion|Resources|schemaVersion|version|services|"
    r"phases|env|scope|bootstrap|postgresql)[ \t]*:)",
    re.MULTILINE,
)
# Lists whose elements are the words of one command, or the lines of one file, by lower-case key.
_WORDS = frozenset(("command", "args", "entrypoint", "entrypoints", "cmd"))
_LINES = frozenset(("commands", "runcommand", "script", "pg_hba", "pg_ident"))
# Keys under which operators and charts of Kubernetes, and Patroni, take a file of the server.
_FILES = {"pg_hba": "pg_hba.conf", "pghbaconfiguration": "pg_hba.conf", "pg_ident": "pg_ident.conf"}
# Names in pairs of name and value, as task definitions, projects and templates have them.
_PAIRS = (("name", "value"), ("Name", "Value"), ("key", "value"), ("Key", "Value"))
_REFERENCES = ("PARAMETER_STORE", "SECRETS_MANAGER")
_DOCUMENTATION = (".md", ".markdown", ".rst", ".adoc", ".asciidoc")
_STATED = re.compile(r"(?i)ssl|tls|verif|unauthorized|certificate|password|auth")
"""Keys whose numbers and booleans are read as text; those of others decide nothing."""

_PRIVATE_KEY = re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----")
_KEY_WITH_BODY = re.compile(rf"{_PRIVATE_KEY.pattern}[\s\\rn\"']+[A-Za-z0-9+/=]{{24,}}")
_ZIP_BASE64 = "UEsDB"


@dataclass(frozen=True, kw_only=True)
class Text:
    """One text.

    Attributes:
        path: Path of the property that holds it.
        name: Path or name of the file that it is for; empty where that is not known.
        content: The text.
        secret: Whether it is a secret, or inside of one.
        is_member: Whether it is a file of an archive, such as a program's source.
    """

    path: str
    name: str
    content: str = field(repr=False)
    secret: bool = False
    is_member: bool = False

    @property
    def is_documentation(self) -> bool:
        """Whether it is prose, by its name, which may quote what it warns of."""
        return self.name.lower().endswith(_DOCUMENTATION)

    @property
    def is_source(self) -> bool:
        """Whether it is a file of a program's source.

        In one, a name and a value are an expression, and what turns verification off may be a test's. It is
        searched for keys, for credentials and for URLs.
        """
        return self.is_member and is_source(self.name)

    @property
    def _file(self) -> str:
        """Its name, unless the path ends with it."""
        return "" if f".{self.path}".endswith(f".{self.name}") else self.name

    def place(self, line: int = 0) -> TextPlace:
        """The text, or one of its lines."""
        return TextPlace(path=self.path, file=self._file, line=line)

    def place_of(self, offset: int) -> TextPlace:
        """Line and column of an offset in the content."""
        before = self.content[:offset]
        return TextPlace(
            path=self.path,
            file=self._file,
            line=before.count("\n") + 1,
            column=offset - (before.rfind("\n") + 1) + 1,
        )


class Leaf(NamedTuple):
    """A text in a structure.

    Attributes:
        path: Its path.
        name: The key, variable or file that it is the value of; empty where none is known.
        content: The text.
        secret: Whether it, or a value around it, is a secret.
        is_member: Whether it is a file of an archive.
    """

    path: str
    name: str
    content: str
    secret: bool
    is_member: bool = False


def known_texts(value: Value, name: str = "") -> list[Text]:
    """Every text in the known parts of a value, unpacked; what a script writes to one file is one text."""
    return [
        Text(
            path=leaf.path,
            name=inner or leaf.name,
            content=content,
            secret=leaf.secret,
            is_member=leaf.is_member or leaf.content.startswith(_ZIP_BASE64),
        )
        for leaf in islice(_leaves(value.path, name, value.raw, value.secret), _MOST_LEAVES)
        for inner, content in _inside(leaf)
    ]


def _inside(leaf: Leaf) -> tuple[tuple[str, str], ...]:
    """Name and content of the texts in a leaf. Source code is no container."""
    is_program = leaf.is_member and is_source(leaf.name)
    return (("", leaf.content),) if is_program else unfolded(leaf.content)


def private_key_in(text: Text) -> TextPlace | None:
    """Where a text holds a private key in PEM, encrypted or not; None where it holds none."""
    # Programs name the line with which a key begins.
    pattern = _KEY_WITH_BODY if text.is_member else _PRIVATE_KEY
    match = pattern.search(text.content) if "PRIVATE KEY" in text.content else None
    return text.place_of(match.start()) if match else None


def private_keys_in(value: Value) -> list[TextPlace]:
    """Where the texts in a value hold a private key in PEM.

    Raises:
        UndecidedError: No known text does, and part of the value is not known yet.
    """
    found = [place for each in known_texts(value) if (place := private_key_in(each))]
    if not found and value.hides_something():
        raise UndecidedError(waits_for=value.path)
    return found


def _leaves(path: str, name: str, raw: Any, secret: bool) -> Iterator[Leaf]:
    if isinstance(raw, Secret):
        yield from _leaves(path, name, raw.value, True)
    elif isinstance(raw, str):
        yield Leaf(path, _FILES.get(name.lower(), name), raw, secret)
    elif isinstance(raw, list):
        yield from _list_leaves(path, name, raw, secret)
    elif isinstance(raw, Mapping):
        yield from _map_leaves(path, name, raw, secret)
    elif isinstance(raw, bool | int) and _STATED.search(name):
        yield Leaf(path, name, str(raw).lower(), secret)


def _list_leaves(path: str, name: str, raw: list[Any], secret: bool) -> Iterator[Leaf]:
    key = name.lower()
    if key in _WORDS or key in _LINES:
        words = [each.value if isinstance(each, Secret) else each for each in raw]
        if words and all(isinstance(each, str) or each is UNKNOWN for each in words):
            # What is not known yet is a variable to every rule.
            known = [each if isinstance(each, str) else "$UNKNOWN" for each in words]
            hidden = secret or any(isinstance(each, Secret) for each in raw)
            # A script in a word begins on a line of its own.
            between = "\n" if key in _LINES or any("\n" in each for each in known) else " "
            yield Leaf(path, _FILES.get(key, ""), between.join(known), hidden)
            return
    for index, each in enumerate(raw):
        yield from _leaves(f"{path}[{index}]", name, each, secret)


def _map_leaves(path: str, name: str, raw: Mapping[str, Any], secret: bool) -> Iterator[Leaf]:
    if assets.is_asset(raw):
        yield from _asset_leaves(path, name, raw, secret)
        return
    for named, key in _PAIRS:
        if isinstance(raw.get(named), str) and key in raw:
            if raw.get("type") not in _REFERENCES:
                yield from _leaves(f"{path}.{key}", raw[named], raw[key], secret)
            return
    for key, each in raw.items():
        inner = f"{path}.{key}" if path else str(key)
        if key == "parameters" and name == "postgresql" and isinstance(each, Mapping):
            yield Leaf(inner, PARTIAL_SETTINGS, _settings(each), secret)
        else:
            yield from _leaves(inner, str(key), each, secret)


def _asset_leaves(path: str, name: str, raw: Mapping[str, Any], secret: bool) -> Iterator[Leaf]:
    if "path" not in raw:
        yield from _leaves(f"{path}.text", name, raw.get("text"), secret)
        for key, each in (raw.get("assets") or {}).items():
            yield from _leaves(f"{path}.{key}", str(key), each, secret)
        return
    for member in assets.contents(raw).members:
        text = text_of(member.data)
        if text:
            named = member.name or name or str(raw["path"]).rpartition("/")[2]
            is_member = bool(member.name) or is_source(named)
            yield Leaf(path, named, _searched(named, text) if is_member else text, secret, is_member)


def _searched(name: str, text: str) -> str:
    """The part of a file that is searched: of source code, all but its prose."""
    return without_prose(name, text) if is_source(name) else text


def unread_assets(path: str, raw: Any) -> Iterator[tuple[str, str]]:
    """Path and reason of each asset in a value that cannot be read, or not as a whole."""
    if isinstance(raw, Secret):
        yield from unread_assets(path, raw.value)
    elif isinstance(raw, list):
        for index, each in enumerate(raw):
            yield from unread_assets(f"{path}[{index}]", each)
    elif isinstance(raw, Mapping):
        if assets.is_asset(raw) and (problem := assets.contents(raw).problem):
            yield path, problem
        for key, each in raw.items():
            if isinstance(each, Mapping | list | Secret):
                yield from unread_assets(f"{path}.{key}", each)


def _settings(parameters: Mapping[str, Any]) -> str:
    """Lines of a postgresql.conf; what is not known is left out."""
    words = {True: "on", False: "off"}
    given = {key: words[each] if isinstance(each, bool) else each for key, each in parameters.items()}
    return "\n".join(
        f"{key} = '{each}'" for key, each in given.items() if isinstance(each, str | int | float)
    )


@lru_cache(maxsize=1024)
def unfolded(content: str) -> tuple[tuple[str, str], ...]:
    """Name and content of every text inside of a text; the text itself where it is not a container."""
    return tuple(_unfolded("", content, 0))


def _unfolded(name: str, content: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth > _DEEPEST or not content.strip():
        return
    if content.startswith(_ZIP_BASE64):
        yield from _zipped(content, depth)
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


def _zipped(content: str, depth: int) -> Iterator[tuple[str, str]]:
    """The files of a zip file in base64."""
    try:
        data = base64.b64decode(content)
    except binascii.Error:
        return
    for member in assets.members_of_zip(data).members:
        text = _searched(member.name, text_of(member.data) or "")
        if is_source(member.name):
            yield member.name, text
        else:
            yield from _unfolded(member.name, text, depth + 1)


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


def decoded_base64(content: str) -> str:
    """The text in base64; the content itself where it is not base64, or not text."""
    try:
        return text_of(base64.b64decode(content, validate=True)) or content
    except ValueError:
        return content


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
    if _YAML.search(head) and len(content) <= _LARGEST_YAML:
        return _yaml(content)
    return None


def _payload(part: Any) -> str:
    payload = part.get_payload(decode=True)
    return (text_of(payload) or "") if isinstance(payload, bytes) else ""


def _json(content: str) -> list[tuple[str, str]] | None:
    try:
        return _named([json.loads(content)])
    except (ValueError, RecursionError):
        return None


# A loader that takes a value of an unknown tag, such as `!Sub`, as it stands.
_AnyTag: Any = type("_AnyTag", (getattr(yaml, "CSafeLoader", yaml.SafeLoader),), {})


def _untagged(loader: Any, tag: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        # `!Ref name` is a reference, which no rule may take for a literal.
        return f"${{{node.value}}}" if tag in ("Ref", "GetAtt", "ImportValue") else node.value
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_mapping(node, deep=True)


_AnyTag.add_multi_constructor("!", _untagged)


def _yaml(content: str) -> list[tuple[str, str]] | None:
    try:
        documents = list(yaml.load_all(content, Loader=_AnyTag))
        are_maps = all(each is None or isinstance(each, Mapping) for each in documents)
        return _named(documents) if are_maps else None
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def _named(documents: list[Any]) -> list[tuple[str, str]]:
    """Name and content of the texts in documents."""
    found = (leaf for each in documents for leaf in _leaves("", "", each, False))
    return [(leaf.name, leaf.content) for leaf in islice(found, _MOST_LEAVES)]


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
    return [*found, *_named([rest])]


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
    for match in _HEREDOC.finditer(content):
        target = _FILE.search(f"{match['before']} {match['after']}")
        files.setdefault(target[0] if target else "", []).append(match["body"])
    # As many lines, so that the numbers of those that follow stay.
    rest = _HEREDOC.sub(lambda match: "\n" * match[0].count("\n"), content)
    written: list[re.Match[str]] = []
    for match in _ECHO.finditer(rest):
        try:
            words = " ".join(each for each in shlex.split(match["words"]) if each not in ("-e", "-n"))
        except ValueError:
            continue
        written.append(match)
        files.setdefault(match["file"].strip("'\""), []).append(
            words.replace("\\n", "\n").replace("\\t", "\t")
        )
    for match in written:
        rest = rest[: match.start()] + re.sub(r"[^\n]", " ", match[0]) + rest[match.end() :]
    for path, bodies in files.items():
        yield path, "\n".join(bodies)
    yield name, rest
