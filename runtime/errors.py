"""The two ways in which a program ends short of its goal: refused for good, or failed for now."""

from __future__ import annotations


class RefusedError(Exception):
    """What is asked for is wrong: trying again without a change is useless.

    `problems` are complete sentences for people; the text lists them all.
    """

    def __init__(self, *problems: str) -> None:
        """Refuse for all of these reasons at once."""
        self.problems = problems
        super().__init__("\n".join(problems))


class FailedError(Exception):
    """Something that may pass stands in the way (network, permissions, packages, disk): try again later."""
