"""Secret suffixes of the headers that carry a client's certificate, so that no client can forge one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import pulumi
import pulumi_tls as tls

from gateway.document import MAX_HEADER_SUFFIXES
from gateway.header_names import SUFFIX_LENGTH
from settings import Generation


@dataclass(frozen=True, kw_only=True)
class HeaderSuffixesArgs:
    """Arguments of `HeaderSuffixes`.

    Attributes:
        generations: One or two, exactly one of them `issuing`: the listener's. The other one is
            accepted by the gateway as well, so that a change of suffix loses no request.

    Raises:
        ValueError: Other numbers, or a name twice.
    """

    generations: Sequence[Generation]

    def __post_init__(self) -> None:
        """Check what can be checked before anything is registered."""
        names = [generation.name for generation in self.generations]
        if len(set(names)) != len(names):
            raise ValueError(f"generations: names are {names}; each may occur once")
        if not 1 <= len(names) <= MAX_HEADER_SUFFIXES:
            raise ValueError(f"generations: {len(names)}; must be 1 to {MAX_HEADER_SUFFIXES}")
        issuing = [generation.name for generation in self.generations if generation.state == "issuing"]
        if len(issuing) != 1:
            raise ValueError(f"generations: issuing are {issuing}; exactly one generation must be 'issuing'")


@final
@dataclass(frozen=True, kw_only=True)
class HeaderSuffixesResources:
    """Children of `HeaderSuffixes`, by the names of the generations."""

    keys: dict[str, tls.PrivateKey]


class HeaderSuffixes(pulumi.ComponentResource):
    """`passwordless-postgres:index:HeaderSuffixes`: secret ends of header names.

    Makes per generation a `tls.PrivateKey` that signs nothing: it is the random source whose value stays
    in the state, encrypted, and a suffix is the beginning of its SHA-256.

    Attributes:
        listener: The suffix that the listener uses; secret.
        accepted: Suffixes of all generations, in the order of the arguments; secret.
        resources: The children.
    """

    listener: pulumi.Output[str]
    accepted: pulumi.Output[list[str]]
    resources: HeaderSuffixesResources

    def __init__(
        self, name: str, args: HeaderSuffixesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Make the suffixes."""
        super().__init__("passwordless-postgres:index:HeaderSuffixes", name, {}, opts)
        keys = {
            generation.name: tls.PrivateKey(
                f"{name}-{generation.name}",
                algorithm="ECDSA",
                ecdsa_curve="P256",
                opts=pulumi.ResourceOptions(parent=self),
            )
            for generation in args.generations
        }
        suffixes = {
            generation: pulumi.Output.secret(key.private_key_pem).apply(header_suffix)
            for generation, key in keys.items()
        }
        issuing = next(each.name for each in args.generations if each.state == "issuing")
        self.listener = suffixes[issuing]
        self.accepted = pulumi.Output.secret(pulumi.Output.all(*suffixes.values()))
        self.resources = HeaderSuffixesResources(keys=keys)
        self.register_outputs({"generations": len(keys)})


def header_suffix(private_key_pem: str) -> str:
    """The suffix that belongs to a key; nothing of the key can be learned from it."""
    return hashlib.sha256(private_key_pem.encode()).hexdigest()[:SUFFIX_LENGTH]
