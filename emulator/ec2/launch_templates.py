"""Launch templates. A change makes a new version; groups launch their instances from one."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from emulator.autoscaling.model import LaunchTemplate as TemplateVersion
from emulator.autoscaling.service import Groups
from emulator.core.aws_type import AwsRequest, AwsType, given, known
from emulator.core.checks import matching, one_of
from emulator.core.properties import UNKNOWN
from emulator.core.resource_type import Properties, Refused
from emulator.ec2.cloud_init import UserDataError, written_files
from emulator.ec2.launch_parameters import (
    METADATA_OPTIONS,
    VOLUME_TYPES,
    instance_architecture,
    refuse_image,
    refuse_profile,
    refuse_user_data,
)
from emulator.ec2.network import SECURITY_GROUP

LAUNCH_TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
_CREATING = "creating EC2 Launch Template Version: api error"
_NO_SUCH_GROUP = f"{_CREATING} InvalidGroup.NotFound: The security group '{{id}}' does not exist"
_WITHOUT_VERSION = frozenset(
    {"name", "namePrefix", "region", "tags", "updateDefaultVersion", "defaultVersion"}
)


def _user_data(name: str, value: Any) -> Iterable[str]:
    try:
        written_files(base64.b64decode(str(value), validate=True))
    except binascii.Error:
        yield "expected user_data to be a base64-encoded string"
    except UserDataError as error:
        yield str(error)


def _disk(name: str, disk: Any) -> Iterable[str]:
    if known(disk.get("kmsKeyId")) and str(disk.get("encrypted")).lower() == "false":
        yield "kms_key_id needs encrypted = true"


class LaunchTemplate(AwsType):
    """`ec2.LaunchTemplate`."""

    token = LAUNCH_TEMPLATE
    id_prefix = "lt"
    arn_format = ("ec2", "launch-template/{id}")
    name_property = "name"
    name_maximum = 125
    at_most_one = (
        ("updateDefaultVersion", "defaultVersion"),
        ("securityGroupNames", "vpcSecurityGroupIds"),
        # "Network interfaces and an instance-level security groups may not be specified on the same request."
        ("networkInterfaces", "vpcSecurityGroupIds"),
    )
    checks: ClassVar = {
        **METADATA_OPTIONS,
        "name": (
            matching(r"[a-zA-Z0-9().\-/_]{3,125}", "3 to 125 characters of a-z, A-Z, 0-9, ( ) . - / _"),
        ),
        "userData": (_user_data,),
        "blockDeviceMappings.ebs.volumeType": (one_of(*VOLUME_TYPES),),
        "blockDeviceMappings.ebs": (_disk,),
    }
    references: ClassVar = dict.fromkeys(
        ("vpcSecurityGroupIds", "networkInterfaces.securityGroups"), (SECURITY_GROUP, _NO_SUCH_GROUP)
    )
    output_defaults: ClassVar[Mapping[str, Any]] = {"latestVersion": 1}
    replace_on = ("name", "namePrefix")

    def refuse(self, request: AwsRequest) -> None:
        name = self.physical_name(request)
        if any(other.outputs.get("name") == name for other in self.others(request)):
            raise Refused(
                "creating EC2 Launch Template: api error InvalidLaunchTemplateName.AlreadyExistsException"
                ": Launch template name already in use."
            )
        self._refuse_version(request.inputs)

    def _refuse_version(self, inputs: Properties) -> None:
        refuse_user_data(_CREATING, base64.b64decode(inputs.get("userData") or ""))
        image = inputs.get("imageId")
        if image is not None and not str(image).startswith("resolve:"):
            refuse_image(_CREATING, image, inputs.get("instanceType"))
        refuse_profile(_CREATING, self.endpoint, _profile(inputs))

    def computed(self, request: AwsRequest) -> Properties:
        return {"defaultVersion": 1, "name": self.physical_name(request)}

    def preview_renewal(self, request: AwsRequest) -> Iterable[str]:
        """The next version, which AWS counts."""
        if _makes_version(request.old_inputs, request.inputs):
            yield "latestVersion"
            if request.inputs.get("updateDefaultVersion"):
                yield "defaultVersion"

    def provision(self, request: AwsRequest) -> Properties:
        self._put(request.id, 1, request.inputs)
        return {}

    def renew(self, request: AwsRequest) -> Properties:
        latest, default = int(request.outputs["latestVersion"]), int(request.outputs["defaultVersion"])
        if _makes_version(request.old_inputs, request.inputs):
            self.refuse_unknown_references(request)
            self._refuse_version(request.inputs)
            latest += 1
            self._put(request.id, latest, request.inputs)
            if request.inputs.get("updateDefaultVersion"):
                default = latest
        return {
            "latestVersion": latest,
            "defaultVersion": int(given(request.inputs, "defaultVersion", default)),
        }

    def dispose(self, request: AwsRequest) -> None:
        self.service(Groups).delete_template(request.id)

    def _put(self, resource_id: str, version: int, inputs: Properties) -> None:
        kind = given(inputs, "instanceType", "m1.small")
        self.service(Groups).put_template(
            TemplateVersion.declared(
                inputs,
                template_id=resource_id,
                version=version,
                instance_type=kind,
                architecture=instance_architecture(kind),
                instance_profile=_profile(inputs),
            )
        )


def _makes_version(old: Properties, new: Properties) -> bool:
    return any(
        new.get(name) is UNKNOWN or old.get(name) != new.get(name)
        for name in {*old, *new} - _WITHOUT_VERSION
        if not name.startswith("__")
    )


def _profile(inputs: Properties) -> str | None:
    profile = inputs.get("iamInstanceProfile")
    if not isinstance(profile, Mapping):
        return None
    return profile.get("name") or str(profile["arn"]).rsplit("/", 1)[-1]
