"""A machine image that is looked up once and then kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi import dynamic

from settings import Image
from settings.machine import Architecture

# https://wiki.debian.org/Cloud/AmazonEC2Image: the account that publishes Debian's images in every
# region of the partition `aws`. Other partitions have other accounts.
DEBIAN_OWNER = "136693071363"
_DEBIAN_ARCHITECTURES = {"arm64": "arm64", "x86_64": "amd64"}
_ASKED = ("region", "release", "architecture", "revision")


@dataclass(frozen=True, kw_only=True)
class PinnedImageArgs:
    """Arguments of `PinnedImage`.

    Attributes:
        region: Region to look in.
        release: Debian release, such as `debian-13`.
        architecture: Processor architecture, as EC2 names it.
        revision: The image is kept until this number, or another argument, changes.
    """

    region: pulumi.Input[str]
    release: str
    architecture: Architecture
    revision: int


def image_filters(release: str, architecture: str) -> list[Any]:
    """What to ask EC2's DescribeImages for."""
    wanted = {
        "name": f"{release}-{_DEBIAN_ARCHITECTURES[architecture]}-*",
        "architecture": architecture,
        "state": "available",
        "virtualization-type": "hvm",
        "root-device-type": "ebs",
    }
    return [{"Name": name, "Values": [value]} for name, value in wanted.items()]


def newest_image(images: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The image that was made last, None if there is none."""
    return max(images, key=lambda image: (image["CreationDate"], image["ImageId"]), default=None)


class PinnedImageProvider(dynamic.ResourceProvider):
    """Looks an image up when it is created or the request changes, and never otherwise.

    It returns a `problem` instead of raising, because the SDK prints a traceback around what a
    dynamic provider raises; `PinnedImage.image_id` turns it into an error of the program.
    """

    serialize_as_secret_always = False

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> dynamic.DiffResult:
        """Look up again when the request changes or the last look-up failed, not for a newer image in AWS."""
        asked = any(_olds.get(key) != _news.get(key) for key in _ASKED)
        return dynamic.DiffResult(changes=asked or bool(_olds.get("problem")))

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Look the image up."""
        return dynamic.CreateResult("kept-image", self._look_up(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> dynamic.UpdateResult:
        """Look the image up again."""
        return dynamic.UpdateResult(self._look_up(_news))

    def _look_up(self, props: dict[str, Any]) -> dict[str, Any]:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError

        asked = {key: props[key] for key in _ASKED}
        try:
            found = boto3.client("ec2", region_name=props["region"]).describe_images(
                Owners=[DEBIAN_OWNER], Filters=image_filters(props["release"], props["architecture"])
            )
        except (BotoCoreError, ClientError) as error:
            return {**asked, "imageId": "", "imageName": "", "problem": f"EC2 DescribeImages: {error}"}
        image = newest_image(found["Images"])
        if image is None:
            problem = (
                f"no image {props['release']} for {props['architecture']} from owner {DEBIAN_OWNER} in "
                f"{props['region']}; give the id of one (selfManaged.image.id)"
            )
            return {**asked, "imageId": "", "imageName": "", "problem": problem}
        return {**asked, "imageId": image["ImageId"], "imageName": image["Name"], "problem": ""}


class PinnedImage(dynamic.Resource, module="passwordless-postgres", name="KeptImage"):
    """The id of Debian's newest image at the time it was first asked for.

    A newer image must not replace a database's instance by itself: raise `revision` to ask for one.
    """

    image_name: pulumi.Output[str]

    def __init__(self, name: str, args: PinnedImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Look the image up, or keep the one there is."""
        super().__init__(
            PinnedImageProvider(),
            name,
            {
                "region": args.region,
                "release": args.release,
                "architecture": args.architecture,
                "revision": args.revision,
                "imageId": None,
                "imageName": None,
                "problem": None,
            },
            opts,
        )

    @property
    def image_id(self) -> pulumi.Output[str]:
        """The image; resolving it raises `pulumi.RunError` where none was found."""
        return pulumi.Output.all(
            image_id=pulumi.get(self, "imageId"), problem=pulumi.get(self, "problem")
        ).apply(lambda values: found_image(**values))


def found_image(image_id: str, problem: str | None) -> str:
    """`image_id`, unless there was a problem.

    Raises:
        pulumi.RunError: The problem.
    """
    if problem:
        raise pulumi.RunError(f"machine image: {problem}")
    return image_id


def image_of(
    name: str,
    image: Image,
    architecture: Architecture,
    region: pulumi.Input[str],
    parent: pulumi.ComponentResource,
) -> tuple[PinnedImage | None, pulumi.Input[str]]:
    """The image that the settings ask for, and its id; a `PinnedImage` only where they name no id."""
    if image.id is not None:
        return None, image.id
    pinned = PinnedImage(
        name,
        PinnedImageArgs(
            region=region, release=image.release, architecture=architecture, revision=image.revision
        ),
        opts=pulumi.ResourceOptions(parent=parent),
    )
    return pinned, pinned.image_id
