"""A copy of a stack file that can be previewed without its key service and without Pulumi Cloud.

The gateway's program is built for this machine, so that a preview downloads no dependencies for another one.

The file is copied as YAML nodes. Parsing and dumping values would change them: `01:00` would become 60.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engine.project import PROJECT, read_stack_file

# How the stack's secrets are encrypted, and the settings that Pulumi Cloud adds.
_SECRETS = ("secretsprovider", "encryptedkey", "encryptionsalt")
_CLOUD = "environment"
_TEXT = "tag:yaml.org,2002:str"
_GATEWAY = f"{PROJECT}:gateway"
_PLATFORM = "platform"
_THIS_MACHINE = "deploying"
# Any other platform is left for `settings` to refuse.
_DOWNLOADED = "debian-13"
# As in sdk/go/common/resource/config/crypt.go of pulumi/pulumi.
_ITERATIONS = 1_000_000
_KEY_BYTES = 32
_NONCE_BYTES = 12


@dataclass(frozen=True, kw_only=True)
class OfflineStackFile:
    """The copy of a stack file.

    Attributes:
        text: Its content.
        placeholders: Keys whose secret value was replaced.
        left_out: Top-level keys that were removed because only Pulumi Cloud can resolve them.
    """

    text: str
    placeholders: tuple[str, ...]
    left_out: tuple[str, ...]


def offline(path: Path, salt: str, encrypt: Callable[[str], str]) -> OfflineStackFile:
    """Copy a stack file with its secrets replaced by encrypted placeholders.

    Args:
        path: The file.
        salt: The salt of the passphrase of the preview's stack.
        encrypt: Encrypts with that passphrase.

    Raises:
        CommandError: it is not a stack file.
    """
    read_stack_file(path)
    root = yaml.compose(path.read_text(), Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        raise TypeError("read_stack_file returns only mappings")
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


def encryption(passphrase: str, salt: str) -> Callable[[str], str]:
    """A function that encrypts values for a stack with the `encryptionsalt` `v1:<salt>:<proof>`."""

    @cache
    def cipher() -> AESGCM:
        # Slow by design: do it only for a stack file with secrets.
        raw = base64.b64decode(salt.split(":")[1])
        return AESGCM(hashlib.pbkdf2_hmac("sha256", passphrase.encode(), raw, _ITERATIONS, _KEY_BYTES))

    def encrypt(text: str) -> str:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = cipher().encrypt(nonce, text.encode(), None)
        return f"v1:{base64.b64encode(nonce).decode()}:{base64.b64encode(sealed).decode()}"

    return encrypt


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
