"""What EC2 refuses of an instance, whether it is launched directly or from a launch template."""

from __future__ import annotations

import re
from typing import Any

from botocore.exceptions import ClientError

from emulator.core.checks import between, one_of
from emulator.core.resource_type import Refused
from emulator.endpoint.aws_endpoint import AwsEndpoint
from emulator.endpoint.moto_backend import image_architectures

_USER_DATA_BYTES = 16384
VOLUME_TYPES = ("standard", "io1", "io2", "gp2", "sc1", "st1", "gp3")
METADATA_OPTIONS = {
    "metadataOptions.httpTokens": (one_of("optional", "required"),),
    "metadataOptions.httpEndpoint": (one_of("enabled", "disabled"),),
    "metadataOptions.httpProtocolIpv6": (one_of("enabled", "disabled"),),
    "metadataOptions.instanceMetadataTags": (one_of("enabled", "disabled"),),
    "metadataOptions.httpPutResponseHopLimit": (between(1, 64),),
}
_ARM_FAMILY = re.compile(r"^(a1|[a-z]+\d+g[a-z]*)\.")


def instance_architecture(instance_type: str) -> str:
    """`arm64` for Graviton families (a `g` right after the generation, and a1), else `x86_64`."""
    return "arm64" if _ARM_FAMILY.match(instance_type) else "x86_64"


def refuse_user_data(verb: str, data: bytes) -> None:
    """Raises `Refused` where user-data is too long."""
    if len(data) > _USER_DATA_BYTES:
        raise Refused(f"{verb} InvalidParameterValue: User data is limited to {_USER_DATA_BYTES} bytes")


def refuse_image(verb: str, image: Any, instance_type: str | None) -> None:
    """Raises `Refused` for an unknown image, and for one of another architecture than a given type's."""
    architecture = image_architectures().get(image)
    if architecture is None:
        raise Refused(f"{verb} InvalidAMIID.NotFound: The image id '[{image}]' does not exist")
    wanted = architecture if instance_type is None else instance_architecture(instance_type)
    if architecture != wanted:
        raise Refused(
            f"{verb} InvalidParameterValue: The architecture '{wanted}' of the specified instance type does "
            f"not match the architecture '{architecture}' of the specified AMI. Specify an instance type and "
            "an AMI that have matching architectures, and try again."
        )


def refuse_profile(verb: str, endpoint: AwsEndpoint, profile: str | None) -> None:
    """Raises `Refused` for an unknown instance profile."""
    if profile is None:
        return
    try:
        endpoint.client("iam").get_instance_profile(InstanceProfileName=profile)
    except ClientError as error:
        raise Refused(
            f"{verb} InvalidParameterValue: Value ({profile}) for parameter iamInstanceProfile.name is "
            "invalid. Invalid IAM Instance Profile name"
        ) from error
