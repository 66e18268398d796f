"""Property values as the engine sends them, as Python values and back.

Source of signatures and unknown values: `sdk/go/common/resource/properties.go` and `plugin/rpc.go` of
pulumi/pulumi.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Final

from google.protobuf import struct_pb2

SIGNATURE_KEY: Final = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"
ASSET_SIGNATURE: Final = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE_SIGNATURE: Final = "0def7320c3a5731c473e5ecbe6d01bc7"

UNKNOWN_STRING: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
UNKNOWN_STRINGS: Final = frozenset(
    {
        UNKNOWN_STRING,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)


class Unknown:
    """A value that a preview cannot know yet. Use the only instance, `UNKNOWN`; compare with `is`."""

    def __repr__(self) -> str:
        """Its name."""
        return "UNKNOWN"

    def __bool__(self) -> bool:
        """Refused: a condition on an unknown value is an error of the handler."""
        raise TypeError("an unknown value has no truth value: test it with 'is UNKNOWN' first")


UNKNOWN: Final = Unknown()


@dataclass(frozen=True)
class Secret:
    """A value that the engine encrypts in state and hides in its output. Its text never shows the value."""

    value: Any = field(repr=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Blob:
    """Content by its origin; only `hash` (SHA-256, made by the engine) when it comes from state."""

    path: str | None = None
    uri: str | None = None
    hash: str = ""

    def __eq__(self, other: object) -> bool:
        """By hash where both have one, else by origin."""
        if not isinstance(other, type(self)):
            return NotImplemented
        if self.hash and other.hash:
            return self.hash == other.hash
        return {**vars(self), "hash": ""} == {**vars(other), "hash": ""}

    def __hash__(self) -> int:
        """Equal for all of a kind: equality has two grounds."""
        return hash(type(self))


@dataclass(frozen=True, kw_only=True, eq=False)
class Asset(_Blob):
    """One blob: exactly one of `path`, `text` and `uri`."""

    text: str | None = None

    def read(self) -> bytes:
        """The content; a relative path is taken below the working folder.

        Raises:
            ValueError: It is remote, or came from state without content.
            OSError: The file cannot be read.
        """
        if self.text is not None:
            return self.text.encode()
        if self.path is not None:
            return Path(self.path).read_bytes()
        raise ValueError(f"asset with hash {self.hash!r} has neither text nor path; it cannot be read here")


@dataclass(frozen=True, kw_only=True, eq=False)
class Archive(_Blob):
    """A collection of assets: exactly one of `path` (a zip, a tar or a folder), `uri` and `assets`."""

    assets: Mapping[str, Asset | Archive] | None = None


def decode(struct: struct_pb2.Struct) -> dict[str, Any]:
    """A property map as Python values; `Secret`, `UNKNOWN`, `Asset` and `Archive` where it marks them.

    Whole numbers come as int. Properties that are null are left out, as the engine does.

    Raises:
        ValueError: A signature that this code does not know.
    """
    return {name: value for name, item in struct.fields.items() if (value := _decode_value(item)) is not None}


def _decode_value(value: struct_pb2.Value) -> Any:
    match value.WhichOneof("kind"):
        case "string_value":
            return UNKNOWN if value.string_value in UNKNOWN_STRINGS else value.string_value
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "bool_value":
            return value.bool_value
        case "list_value":
            return [_decode_value(item) for item in value.list_value.values]
        case "struct_value":
            return _decode_struct(value.struct_value)
        case _:
            return None


def _decode_struct(struct: struct_pb2.Struct) -> Any:
    members = {name: _decode_value(item) for name, item in struct.fields.items()}
    signature = members.pop(SIGNATURE_KEY, None)
    given = {name: value for name, value in members.items() if value is not None}
    match signature:
        case None:
            return members
        case _ if signature == SECRET_SIGNATURE:
            return Secret(given.get("value"))
        case _ if signature == ASSET_SIGNATURE:
            return Asset(**given)
        case _ if signature == ARCHIVE_SIGNATURE:
            return Archive(**given)
        case _:
            # Outputs and resources have signatures too, but only for providers that say they accept them.
            raise ValueError(
                f"property with the unknown signature {signature!r}; "
                "known are those of secret, asset and archive"
            )


def encode(properties: Mapping[str, Any]) -> struct_pb2.Struct:
    """Python values as a property map, the reverse of `decode`. Properties that are None are left out.

    Raises:
        TypeError: Something is no property value. The message names property and type, never the value.
    """
    struct = struct_pb2.Struct()
    for name, value in properties.items():
        if value is not None:
            _encode_value(struct.fields[name], value, name)
    return struct


def _encode_value(target: struct_pb2.Value, value: Any, where: str) -> None:  # noqa: PLR0912 (one case per kind)
    match value:
        case None:
            target.null_value = struct_pb2.NULL_VALUE
        case Unknown():
            target.string_value = UNKNOWN_STRING
        case bool():
            target.bool_value = value
        case int() | float():
            target.number_value = value
        case str():
            target.string_value = value
        case Secret():
            _encode_signed(target, SECRET_SIGNATURE, {"value": value.value}, where)
        case Asset():
            _encode_signed(target, ASSET_SIGNATURE, {**vars(value), "hash": value.hash or None}, where)
        case Archive():
            _encode_signed(target, ARCHIVE_SIGNATURE, {**vars(value), "hash": value.hash or None}, where)
        case Mapping():
            target.struct_value.SetInParent()
            for name, item in value.items():
                _encode_value(target.struct_value.fields[name], item, f"{where}.{name}")
        case list() | tuple() | set() | frozenset():
            target.list_value.SetInParent()
            for index, item in enumerate(sorted(value) if isinstance(value, set | frozenset) else value):
                _encode_value(target.list_value.values.add(), item, f"{where}[{index}]")
        case _:
            raise TypeError(f"property {where}: {type(value).__name__} is no property value")


def _encode_signed(target: struct_pb2.Value, signature: str, parts: Mapping[str, Any], where: str) -> None:
    target.struct_value.fields[SIGNATURE_KEY].string_value = signature
    for name, value in parts.items():
        if value is not None or signature == SECRET_SIGNATURE:
            _encode_value(target.struct_value.fields[name], value, where)


def reveal(value: Any) -> Any:
    """The value with every `Secret` in it replaced by what it holds."""
    match value:
        case Secret():
            return reveal(value.value)
        case Mapping():
            return {name: reveal(item) for name, item in value.items()}
        case list() | tuple():
            return [reveal(item) for item in value]
        case _:
            return value


def contains_unknown(value: Any) -> bool:
    """Whether `UNKNOWN` occurs anywhere in a value."""
    return any(part is UNKNOWN for part in _parts(value))


def contains_secret(value: Any) -> bool:
    """Whether a `Secret` occurs anywhere in a value."""
    return any(isinstance(part, Secret) for part in _parts(value))


def _parts(value: Any) -> Iterator[Any]:
    """A value, and everything in it."""
    yield value
    match value:
        case Secret():
            yield from _parts(value.value)
        case Mapping():
            yield from chain.from_iterable(map(_parts, value.values()))
        case list() | tuple():
            yield from chain.from_iterable(map(_parts, value))


def mark_secrets(
    values: Mapping[str, Any], like: Mapping[str, Any], always: Iterable[str] = ()
) -> dict[str, Any]:
    """`values` with a secret wherever `like` has one under the same name, and under every name in `always`.

    As the engine does: maps are followed by name, a list with a secret in it becomes secret as a whole.
    """
    names = frozenset(always)
    return {
        name: Secret(value)
        if name in names and value is not None and not isinstance(value, Secret)
        else _mark(value, like.get(name))
        for name, value in values.items()
    }


def _mark(value: Any, like: Any) -> Any:
    if value is None or isinstance(value, Secret):
        return value
    if isinstance(like, Secret):
        return Secret(value)
    if isinstance(value, Mapping) and isinstance(like, Mapping):
        return {name: _mark(item, like.get(name)) for name, item in value.items()}
    return Secret(value) if contains_secret(like) else value
