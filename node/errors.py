"""The two ways in which an apply ends short of its goal."""

from __future__ import annotations

from collections.abc import Iterable


class RefusedError(Exception):
    """The desired state is wrong: trying it again without a change is useless.

    `problems` are complete sentences for people; the text lists them all.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        """Refuse for all of these reasons at once."""
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class FailedError(Exception):
    """The surroundings stand in the way (network, packages, disk): the next run tries again."""
