"""A stack file as a preview can use it that reaches neither key service nor Pulumi Cloud.

Nor does a preview download the gateway's dependencies for another machine: its program is made for this one.

The file is copied node by node: values stay as they are written, where reading and writing them would turn
`01:00` into 60.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from engine.project import PROJECT
from engine.stack_file import read_document

# Who encrypts the stack's secrets, and what Pulumi Cloud adds to its settings.
_SECRETS = ("secretsprovider", "encryptedkey", "encryptionsalt")
_CLOUD = "environment"
_TEXT = "tag:yaml.org,2002:str"
_GATEWAY = f"{PROJECT}:gateway"
_PLATFORM = "platform"
_THIS_MACHINE = "deploying"
# Anything else is for settings to refuse.
_DOWNLOADED = "debian-13"


@dataclass(frozen=True, kw_only=True)
class OfflineStackFile:
    """The copy.

    Attributes:
        text: The file.
        placeholders: Keys whose secret value was replaced.
        left_out: Top-level keys that only Pulumi Cloud can answer.
    """

    text: str
    placeholders: tuple[str, ...]
    left_out: tuple[str, ...]


def offline(path: Path, salt: str, encrypt: Callable[[str], str]) -> OfflineStackFile:
    """Copy a stack file, its secrets replaced by placeholders that stay secret.

    Args:
        path: The file.
        salt: Of the passphrase of the preview's own stack.
        encrypt: Encrypts with that passphrase.

    Raises:
        CommandError: It is no stack file.
    """
    read_document(path)
    root = yaml.compose(path.read_text(), Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        raise TypeError("read_document takes mappings alone")
    placeholders = []
    for key, value in root.value:
        if key.value == "config":
            for name, secret in _secrets(value, ""):
                secret.tag, secret.style = _TEXT, None
                secret.value = encrypt(f"placeholder of {name}")
                placeholders.append(name)
            _make_for_this_machine(value)
    left_out = tuple(key.value for key, _ in root.value if key.value == _CLOUD)
    root.value = [pair for pair in root.value if pair[0].value not in (*_SECRETS, _CLOUD)]
    root.value.append((_scalar("encryptionsalt"), _scalar(salt)))
    return OfflineStackFile(
        text=yaml.serialize(root, Dumper=yaml.SafeDumper, allow_unicode=True, width=float("inf")),
        placeholders=tuple(placeholders),
        left_out=left_out,
    )


def _make_for_this_machine(config: yaml.Node) -> None:
    sections = dict(_pairs(config))
    gateway = sections.get(_GATEWAY)
    if not isinstance(gateway, yaml.MappingNode):
        return
    platform = dict(_pairs(gateway)).get(_PLATFORM)
    if platform is None:
        gateway.value.append((_scalar(_PLATFORM), _scalar(_THIS_MACHINE)))
    elif platform.value == _DOWNLOADED:
        platform.value = _THIS_MACHINE


def _pairs(node: yaml.Node) -> Iterator[tuple[str, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        yield from ((str(key.value), value) for key, value in node.value)


def _scalar(text: str) -> yaml.ScalarNode:
    return yaml.ScalarNode(_TEXT, text, style='"')


def _secrets(node: yaml.Node, path: str) -> Iterator[tuple[str, yaml.ScalarNode]]:
    """Every encrypted value below a node, with the path by which `pulumi config --path` names it."""
    match node:
        case yaml.MappingNode(value=[(yaml.ScalarNode(value="secure"), yaml.ScalarNode() as secret)]):
            yield path, secret
        case yaml.MappingNode():
            for key, value in node.value:
                yield from _secrets(value, f"{path}.{key.value}" if path else str(key.value))
        case yaml.SequenceNode():
            for index, value in enumerate(node.value):
                yield from _secrets(value, f"{path}[{index}]")
