"""EBS volumes. Recorded; what they hold is a folder of `emulator.ec2.machines`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from emulator.core import checks
from emulator.core.aws_type import AwsRequest, AwsType, given, known
from emulator.core.checks import between, one_of
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.ec2.instances import INSTANCE
from emulator.ec2.launch_parameters import VOLUME_TYPES
from emulator.ec2.machines import Machines
from emulator.ec2.zones import zone_names

VOLUME = "aws:ebs/volume:Volume"
VOLUME_ATTACHMENT = "aws:ec2/volumeAttachment:VolumeAttachment"
_ATTACHING = "attaching EBS Volume: api error"


class Volume(AwsType):
    """`ebs.Volume`."""

    token = VOLUME
    id_prefix = "vol"
    arn_format = ("ec2", "volume/{id}")
    required = ("availabilityZone",)
    defaults: ClassVar[Mapping[str, Any]] = {"finalSnapshot": False}
    at_least_one = (("size", "snapshotId"),)
    checks: ClassVar = {
        "type": (one_of(*VOLUME_TYPES),),
        "size": (between(1, 65536),),
        "throughput": (between(125, 2000),),
    }
    output_defaults: ClassVar[Mapping[str, Any]] = {
        "createTime": "2026-01-01T00:00:00Z",
        "encrypted": False,
        "multiAttachEnabled": False,
        "snapshotId": "",
        "type": "gp2",
    }
    replace_on = (
        "availabilityZone", "encrypted", "kmsKeyId", "multiAttachEnabled", "outpostArn", "snapshotId",
    )  # fmt: skip
    blockers = (VOLUME_ATTACHMENT,)
    not_deletable = (
        "deleting EBS Volume ({id}): api error VolumeInUse: Volume {id} is currently attached to an instance"
    )

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        kind = given(inputs, "type", "gp2")
        if inputs.get("throughput") is not None and kind != "gp3":
            yield Failure("throughput", f"'throughput' must not be set when 'type' is '{kind}'")
        if inputs.get("iops") is not None and kind not in ("gp3", "io1", "io2"):
            yield Failure("iops", f"'iops' must not be set when 'type' is '{kind}'")
        if known(inputs.get("kmsKeyId")) and inputs.get("encrypted") is not True:
            yield Failure("kmsKeyId", "kms_key_id needs encrypted = true")
        yield from checks.failures({"iops": (between(_lowest_iops(inputs), 256000),)}, inputs)

    def refuse(self, request: AwsRequest) -> None:
        zone = request.inputs["availabilityZone"]
        if zone not in zone_names(request.region):
            raise Refused(
                f"creating EBS Volume: api error InvalidZone.NotFound: The zone '{zone}' does not exist."
            )

    def computed(self, request: AwsRequest) -> Properties:
        outputs = {"iops": given(request.inputs, "iops", _lowest_iops(request.inputs))}
        if request.inputs.get("type") == "gp3":
            outputs["throughput"] = given(request.inputs, "throughput", 125)
        return outputs

    def renew(self, request: AwsRequest) -> Properties:
        if int(given(request.inputs, "size", 0)) < int(given(request.old_inputs, "size", 0)):
            raise Refused(
                f"modifying EBS Volume ({request.id}): api error InvalidParameterValue: New size cannot "
                "be smaller than existing size"
            )
        return {}

    def dispose(self, request: AwsRequest) -> None:
        snapshot = f"snap-{request.id.removeprefix('vol-')}" if request.inputs.get("finalSnapshot") else None
        self.service(Machines).delete_volume(request.id, snapshot)


class VolumeAttachment(AwsType):
    """`ec2.VolumeAttachment`: puts the volume where the machine's PostgreSQL looks for its data."""

    token = VOLUME_ATTACHMENT
    id_prefix = "vai"
    required = ("deviceName", "instanceId", "volumeId")
    replace_on = ("deviceName", "instanceId", "volumeId")
    taggable = False

    def refuse(self, request: AwsRequest) -> None:
        volume = self.existing(
            VOLUME,
            request.inputs["volumeId"],
            f"{_ATTACHING} InvalidVolume.NotFound: The volume '{{id}}' does not exist.",
        )
        instance = self.existing(
            INSTANCE,
            request.inputs["instanceId"],
            f"{_ATTACHING} InvalidInstanceID.NotFound: The instance ID '{{id}}' does not exist",
        )
        if volume.inputs["availabilityZone"] != instance.outputs.get("availabilityZone"):
            raise Refused(
                f"{_ATTACHING} InvalidVolume.ZoneMismatch: The volume '{volume.id}' is not in the same "
                f"availability zone as instance '{instance.id}'"
            )
        if any(other.inputs["volumeId"] == volume.id for other in self.others(request)):
            raise Refused(f"{_ATTACHING} VolumeInUse: {volume.id} is already attached to an instance")

    def provision(self, request: AwsRequest) -> Properties:
        self.service(Machines).attach(request.inputs["volumeId"], request.inputs["instanceId"])
        return {}

    def dispose(self, request: AwsRequest) -> None:
        if not request.inputs.get("skipDestroy"):
            self.service(Machines).detach(request.inputs["volumeId"])


def _lowest_iops(inputs: Properties) -> int:
    return 3000 if inputs.get("type") == "gp3" else 100
