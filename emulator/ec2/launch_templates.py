"""Launch templates. A change makes a new version; groups launch their instances from one."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from emulator.autoscaling.groups import Groups
from emulator.autoscaling.resources import LaunchTemplate as TemplateVersion
from emulator.core.aws_type import (
    AwsRequest,
    AwsType,
    choice_problem,
    given,
    known,
    pattern_problem,
    text,
)
from emulator.core.moto_backend import image_architectures
from emulator.core.properties import UNKNOWN
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.ec2.cloud_init import UserDataError, written_files
from emulator.ec2.instances import USER_DATA_BYTES, instance_architecture
from emulator.ec2.network import SECURITY_GROUP

LAUNCH_TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
_WITHOUT_VERSION = frozenset(
    {"name", "namePrefix", "region", "tags", "updateDefaultVersion", "defaultVersion"}
)
_VOLUMES = ("standard", "io1", "io2", "gp2", "sc1", "st1", "gp3")


_CONFLICTS = (
    ("defaultVersion", "updateDefaultVersion", "update_default_version"),
    ("vpcSecurityGroupIds", "securityGroupNames", "security_group_names"),
    # "Network interfaces and an instance-level security groups may not be specified on the same request."
    ("vpcSecurityGroupIds", "networkInterfaces", "network_interfaces"),
)
_OPTIONS = (
    ("httpTokens", ("optional", "required")),
    ("httpEndpoint", ("enabled", "disabled")),
    ("httpProtocolIpv6", ("enabled", "disabled")),
    ("instanceMetadataTags", ("enabled", "disabled")),
)


class LaunchTemplate(AwsType):
    """`ec2.LaunchTemplate`."""

    token = LAUNCH_TEMPLATE
    name_property = "name"
    name_maximum = 125
    replace_on = frozenset({"name", "namePrefix", "region"})
    defaults: ClassVar[Mapping[str, Any]] = {}

    def resource_id(self, request: AwsRequest) -> Any:
        """`lt-…`."""
        return request.ec2_id("lt")

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Known words, user-data that is base64 and that cloud-init reads, contradictions."""
        words = "3 to 125 characters of a-z, A-Z, 0-9, ( ) . - / _"
        yield from pattern_problem(inputs, "name", r"[a-zA-Z0-9().\-/_]{3,125}", words)
        for name, other, property_name in _CONFLICTS:
            if inputs.get(name) and inputs.get(other):
                yield Failure(name, f'"{name}": conflicts with {property_name}')
        yield from _user_data_problems(inputs.get("userData"))
        yield from _metadata_problems(inputs.get("metadataOptions"))
        yield from _disk_problems(inputs.get("blockDeviceMappings"))

    def refuse(self, request: AwsRequest) -> None:
        """A name that is taken, and what the versions may not hold."""
        for other in self.registry.of_type(self.token):
            if other.id != request.id and other.outputs.get("name") == _name(request, request.inputs):
                raise Refused(
                    "creating EC2 Launch Template: api error InvalidLaunchTemplateName.AlreadyExistsException"
                    ": Launch template name already in use."
                )
        self._refuse(request.inputs)

    def _refuse(self, inputs: Properties) -> None:
        verb = "creating EC2 Launch Template Version: api error"
        data = base64.b64decode(inputs.get("userData") or "")
        if len(data) > USER_DATA_BYTES:
            raise Refused(f"{verb} InvalidParameterValue: User data is limited to {USER_DATA_BYTES} bytes")
        image, kind = inputs.get("imageId"), inputs.get("instanceType")
        if image is not None and not str(image).startswith("resolve:"):
            architecture = image_architectures().get(image)
            if architecture is None:
                raise Refused(f"{verb} InvalidAMIID.NotFound: The image id '[{image}]' does not exist")
            if kind is not None and architecture != instance_architecture(kind):
                raise Refused(
                    f"{verb} InvalidParameterValue: The architecture '{instance_architecture(kind)}' of the "
                    f"specified instance type does not match the architecture '{architecture}' of the "
                    "specified AMI"
                )
        for group in _security_groups(inputs):
            self.existing(
                SECURITY_GROUP,
                group,
                f"{verb} InvalidGroup.NotFound: The security group '{{id}}' does not exist",
            )
        profile = _profile(inputs)
        if profile is not None:
            try:
                self.endpoint.client("iam").get_instance_profile(InstanceProfileName=profile)
            except ClientError as error:
                raise Refused(
                    f"{verb} InvalidParameterValue: Value ({profile}) for parameter iamInstanceProfile.name "
                    "is invalid. Invalid IAM Instance Profile name"
                ) from error

    def computed(self, request: AwsRequest) -> Properties:
        """ARN and name, and the versions of a template that is new."""
        return {
            "arn": request.arn("ec2", text("launch-template/", request.id)),
            "defaultVersion": 1,
            "latestVersion": 1,
            "name": _name(request, request.inputs),
        }

    def preview_renewal(self, request: AwsRequest) -> Iterable[str]:
        """The next version, which AWS counts."""
        if _makes_version(request.old_inputs, request.inputs):
            yield "latestVersion"
            if request.inputs.get("updateDefaultVersion"):
                yield "defaultVersion"

    def provision(self, request: AwsRequest) -> Properties:
        """Keeps the first version."""
        self._put(request.id, 1, request.inputs)
        return {}

    def renew(self, request: AwsRequest) -> Properties:
        """Keeps another version, if anything of it changed."""
        latest, default = int(request.outputs["latestVersion"]), int(request.outputs["defaultVersion"])
        if _makes_version(request.old_inputs, request.inputs):
            self._refuse(request.inputs)
            latest += 1
            self._put(request.id, latest, request.inputs)
            if request.inputs.get("updateDefaultVersion"):
                default = latest
        return {
            "latestVersion": latest,
            "defaultVersion": int(given(request.inputs, "defaultVersion", default)),
        }

    def dispose(self, request: AwsRequest) -> None:
        """Deletes all versions."""
        self._groups().delete_template(request.id)

    def _put(self, resource_id: str, version: int, inputs: Properties) -> None:
        kind = given(inputs, "instanceType", "m1.small")
        self._groups().put_template(
            TemplateVersion(
                template_id=resource_id,
                version=version,
                image_id=given(inputs, "imageId", ""),
                instance_type=kind,
                architecture=instance_architecture(kind),
                instance_profile=_profile(inputs),
                user_data=given(inputs, "userData", ""),
            )
        )

    def _groups(self) -> Groups:
        if self.groups is None:
            raise Refused("launch templates need a running sandbox; this provider only previews")
        return self.groups


def _user_data_problems(data: Any) -> Iterable[Failure]:
    if not known(data):
        return
    try:
        written_files(base64.b64decode(str(data), validate=True))
    except binascii.Error:
        yield Failure("userData", "expected user_data to be a base64-encoded string")
    except UserDataError as error:
        yield Failure("userData", str(error))


def _metadata_problems(options: Any) -> Iterable[Failure]:
    if not isinstance(options, Mapping):
        return
    for name, allowed in _OPTIONS:
        for failure in choice_problem(options, name, allowed):
            yield Failure("metadataOptions", failure.reason)
    hops = options.get("httpPutResponseHopLimit")
    if known(hops) and not 1 <= int(str(hops)) <= 64:
        yield Failure(
            "metadataOptions",
            f"expected http_put_response_hop_limit to be in the range (1 - 64), got {hops}",
        )


def _disk_problems(mappings: Any) -> Iterable[Failure]:
    for mapping in mappings if isinstance(mappings, list) else ():
        disk = mapping.get("ebs") if isinstance(mapping, Mapping) else None
        if not isinstance(disk, Mapping):
            continue
        for failure in choice_problem(disk, "volumeType", _VOLUMES):
            yield Failure("blockDeviceMappings", failure.reason)
        if known(disk.get("kmsKeyId")) and str(disk.get("encrypted")).lower() == "false":
            yield Failure("blockDeviceMappings", "kms_key_id needs encrypted = true")


def _name(resource: AwsRequest, inputs: Properties) -> Any:
    if inputs.get("name") is not None:
        return inputs["name"]
    return text(inputs["namePrefix"], resource.digest("name")[:26])


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


def _security_groups(inputs: Properties) -> list[Any]:
    interfaces = given(inputs, "networkInterfaces", [])
    return [
        *given(inputs, "vpcSecurityGroupIds", []),
        *(group for item in interfaces for group in given(item, "securityGroups", [])),
    ]
