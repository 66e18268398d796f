"""The section `certificates`, and the generations of what is renewed while it is in use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from settings.aws import PrincipalArn
from settings.problems import Path, Problem
from settings.quotas import COMMON_NAME
from settings.section import Checked, Section, StrictInt, unique

_GENERATION_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,15}")
_CERTIFICATES: Path = ("certificates",)


def _generation_name_problems(name: str) -> list[str]:
    return [] if _GENERATION_NAME.fullmatch(name) else ["is not a name for a generation, such as 1 or 2027"]


def _bundle_path_problems(path: str) -> list[str]:
    """What is wrong with the path of a PEM file; whether it is there is checked where it is read."""
    return [] if path.endswith((".pem", ".crt")) else ["is not a PEM file; its name must end in .pem or .crt"]


def common_name_problems(name: str) -> list[str]:
    """What is wrong with a common name."""
    if not name or len(name) > COMMON_NAME.limit:
        return [f"has {len(name)} characters; a common name has 1 to {COMMON_NAME.limit}"]
    if name != name.strip() or not name.isprintable():
        return ["begins or ends with a space, or holds what cannot be printed; write the name alone"]
    return []


GenerationName = Annotated[
    str, Checked(_generation_name_problems, "1 to 16 lower-case letters, digits and hyphens")
]
GenerationState = Literal["trusted", "issuing", "retiring"]
CommonName = Annotated[str, Checked(common_name_problems, "1 to 64 characters")]
BundlePath = Annotated[str, Checked(_bundle_path_problems, "the path of a PEM file")]


class Generation(Section):
    """One generation of a certificate authority."""

    name: GenerationName
    """Name within the authority; part of the certificate's subject, so it stays for good."""
    state: GenerationState
    """`trusted`: known, signs nothing yet. `issuing`: signs. `retiring`: trusted, signs no more."""


FIRST_GENERATION = (Generation(name="1", state="issuing"),)


class Certificates(Section):
    """Certificate authorities and the certificates they issue."""

    administrators: Annotated[tuple[PrincipalArn, ...], unique] = ()
    """Principals that may manage the secrets of all identities, besides each secret's own readers."""
    secrets_key: Literal["account", "stack"] = "account"
    """Key of the secrets that `secretReaders` of other accounts read. `account`: `aws/secretsmanager`, which
    refuses them. `stack`: a key of the stack that they use through Secrets Manager alone."""
    authority: Literal["generated"] = "generated"
    """`generated`: made by pulumi-tls, with keys in the encrypted state; not for production."""
    authority_validity_days: StrictInt = Field(default=1826, ge=30, le=3653)
    """How long an authority's certificate is valid, in days."""
    leaf_validity_days: StrictInt = Field(default=90, ge=2, le=397)
    """How long the certificate of a server or role is valid, in days."""
    renew_before_days: StrictInt = Field(default=30, ge=1, le=396)
    """How many days before its end `pulumi up` renews a certificate."""
    server_generations: tuple[Generation, ...] = Field(default=FIRST_GENERATION, min_length=1)
    """Generations of the authority that signs servers; exactly one is `issuing`."""
    client_generations: tuple[Generation, ...] = Field(default=FIRST_GENERATION, min_length=1)
    """Generations of the authority that signs roles; exactly one is `issuing`."""


def _accounts(certificates: Certificates) -> set[str]:
    return {_account_of(arn) for arn in certificates.administrators}


def foreign_readers(readers: Sequence[str], certificates: Certificates) -> list[str]:
    """Those of other accounts: whoever runs `pulumi up` is an administrator, so the stack's is theirs."""
    accounts = _accounts(certificates)
    return [reader for reader in readers if accounts and _account_of(reader) not in accounts]


def foreign_reader_problems(
    path: Path, readers: Sequence[str], certificates: Certificates
) -> Iterator[Problem]:
    """Readers of a secret who cannot decrypt it: it is encrypted with the account's own key."""
    if certificates.secrets_key == "stack":
        return
    administrators, key = ((*_CERTIFICATES, name) for name in ("administrators", "secretsKey"))
    foreign = set(foreign_readers(readers, certificates))
    for index, reader in enumerate(readers):
        if reader in foreign:
            yield Problem(
                (*path, index),
                f"is of another account ({_account_of(reader)}) than certificates.administrators "
                f"({', '.join(sorted(_accounts(certificates)))}), and the key of secrets, "
                "aws/secretsmanager, decrypts for its own account alone; set certificates.secretsKey: stack, "
                "or name a role of the stack's account that it may assume",
                reader,
                ((*path, index), administrators, key),
            )


def _account_of(arn: str) -> str:
    return arn.split(":")[4]


def certificate_problems(certificates: Certificates) -> Iterator[Problem]:
    """Cross-field validation of a valid section `certificates`."""
    renew, leaf, authority = (
        (*_CERTIFICATES, key) for key in ("renewBeforeDays", "leafValidityDays", "authorityValidityDays")
    )
    if certificates.renew_before_days >= certificates.leaf_validity_days:
        yield Problem(
            renew,
            f"is not shorter than leafValidityDays ({certificates.leaf_validity_days}), so that every "
            f"pulumi up would renew all certificates; allowed: 1 to {certificates.leaf_validity_days - 1}",
            certificates.renew_before_days,
            (renew, leaf),
        )
    if certificates.leaf_validity_days >= certificates.authority_validity_days:
        yield Problem(
            leaf,
            f"is not shorter than authorityValidityDays ({certificates.authority_validity_days}); a "
            "certificate is worth nothing after its authority's end: shorten the one or lengthen the other",
            certificates.leaf_validity_days,
            (leaf, authority),
        )
    yield from generation_problems((*_CERTIFICATES, "serverGenerations"), certificates.server_generations)
    yield from generation_problems((*_CERTIFICATES, "clientGenerations"), certificates.client_generations)


def no_administrator_problems(
    section: Path, certificates: Certificates, consequence: str
) -> Iterator[Problem]:
    """A section that needs an administrator, and none is named."""
    if not certificates.administrators:
        yield Problem(
            (*_CERTIFICATES, "administrators"),
            f"is empty, so that {consequence}; name at least the role or user that runs pulumi up",
            reads=(section, _CERTIFICATES),
        )


def generation_problems(path: Path, generations: Sequence[Generation]) -> Iterator[Problem]:
    """What is wrong with a list of generations: a name twice, or not exactly one that is issuing."""
    names = [generation.name for generation in generations]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield Problem(
                (*path, index, "name"), "is the name of an earlier generation; give each its own", name
            )
    issuing = [generation.name for generation in generations if generation.state == "issuing"]
    if len(issuing) != 1:
        count = (
            f"{len(issuing)} generations that are issuing ({', '.join(issuing)})"
            if issuing
            else "none issuing"
        )
        yield Problem(
            path,
            f"has {count}; exactly one signs: set one state to issuing, the others to trusted or retiring",
        )
