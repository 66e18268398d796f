"""What the instances of a self-managed server and of a gateway are: their type and image."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from settings.aws import id_problems
from settings.problems import Path, Problem
from settings.section import Checked, Section, StrictInt

_INSTANCE_TYPE = re.compile(
    r"(?P<series>[a-z]+(-\d+tb)?)(?P<generation>\d+)(?P<attributes>[a-z]*)(-[a-z0-9]+)*"
    r"\.(nano|micro|small|medium|large|\d*xlarge|metal(-\d+xl)?)"
)


def _instance_type_problems(instance_type: str) -> list[str]:
    """What is wrong with the name of an EC2 instance type; whether a region has it, only AWS knows."""
    if not _INSTANCE_TYPE.fullmatch(instance_type):
        return ["is not an EC2 instance type such as m7g.large or m7i.2xlarge"]
    if instance_type.startswith("mac"):
        return ["is a Mac; choose a type that runs Linux, such as m7g.large"]
    return []


_XEN = (
    "c1", "c3", "c4", "cc2", "cr1", "d2", "f1", "g2", "g3", "g3s", "h1", "hs1", "i2", "i3", "m1", "m2", "m3",
    "m4", "p2", "p3", "r3", "r4", "t1", "t2", "x1", "x1e",
)  # fmt: skip
"""Families of Xen instances (EC2 user guide, "Instances built on the Nitro System"); metal has no Xen."""


def is_xen(instance_type: str) -> bool:
    """Whether volumes of such an instance are no NVMe devices."""
    family, _, size = instance_type.partition(".")
    return family in _XEN and not size.startswith("metal")


InstanceType = Annotated[str, Checked(_instance_type_problems, "an EC2 instance type such as m7g.large")]
ImageId = Annotated[str, Checked(id_problems("ami"), "ami- and 8 or 17 hexadecimal digits")]
Architecture = Literal["arm64", "x86_64"]


def architecture_of(instance_type: str) -> Architecture:
    """The processor of an instance type: arm64 for Graviton (`g` after the generation) and a1."""
    match = _INSTANCE_TYPE.fullmatch(instance_type)
    graviton = match is not None and (
        "g" in match["attributes"] or match["series"] + match["generation"] == "a1"
    )
    return "arm64" if graviton else "x86_64"


class Image(Section):
    """The machine image: Debian's newest of a release, looked up once, or one by its id."""

    release: Literal["debian-13"] = "debian-13"
    """Release of Debian's official images."""
    revision: StrictInt = Field(default=1, ge=1)
    """The image found first is kept until this number changes, which replaces the instance."""
    id: ImageId | None = None
    """A custom image instead of `release` and `revision`; a Debian 13."""


def image_problems(path: Path, image: Image) -> Iterator[Problem]:
    """An image that is chosen both by its id and by its release."""
    if image.id and image.model_fields_set & {"release", "revision"}:
        yield Problem(
            path, "has an id beside release or revision, which an id leaves without meaning; keep one"
        )
