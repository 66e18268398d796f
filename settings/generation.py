"""Generations of what is renewed while it is in use: authorities, and secret header names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from settings.problems import Path, Problem
from settings.section import Section
from settings.values import GenerationName, GenerationState


class Generation(Section):
    """One generation of a certificate authority."""

    name: GenerationName
    """Name within the authority; part of the certificate's subject, so it stays for good."""
    state: GenerationState
    """`trusted`: known, signs nothing yet. `issuing`: signs. `retiring`: trusted, signs no more."""


FIRST_GENERATION = (Generation(name="1", state="issuing"),)


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
