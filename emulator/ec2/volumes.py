"""EBS volumes. Recorded; what they hold is a folder of `emulator.ec2.machines`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from emulator.core.aws_type import AwsRequest, AwsType, choice_problem, given, known
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.ec2.instances import INSTANCE
from emulator.ec2.zones import zone_names

VOLUME = "aws:ebs/volume:Volume"
VOLUME_ATTACHMENT = "aws:ec2/volumeAttachment:VolumeAttachment"
_KINDS = ("standard", "io1", "io2", "gp2", "sc1", "st1", "gp3")


class Volume(AwsType):
    """`ebs.Volume`."""

    token = VOLUME
    required = ("availabilityZone",)
    defaults: ClassVar[Mapping[str, Any]] = {"finalSnapshot": False}
    replace_on = frozenset(
        {
            "availabilityZone",
            "encrypted",
            "kmsKeyId",
            "multiAttachEnabled",
            "outpostArn",
            "snapshotId",
            "region",
        }
    )
    blockers = (VOLUME_ATTACHMENT,)
    not_deletable = (
        "deleting EBS Volume ({id}): api error VolumeInUse: Volume {id} is currently attached to an instance"
    )

    def resource_id(self, request: AwsRequest) -> Any:
        """`vol-…`."""
        return request.ec2_id("vol")

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Size, kind, and what belongs to which kind."""
        yield from choice_problem(inputs, "type", _KINDS)
        kind = given(inputs, "type", "gp2")
        if inputs.get("size") is None and inputs.get("snapshotId") is None:
            yield Failure("size", "one of `size,snapshot_id` must be specified")
        if inputs.get("throughput") is not None and kind != "gp3":
            yield Failure("throughput", f"'throughput' must not be set when 'type' is '{kind}'")
        if inputs.get("iops") is not None and kind not in ("gp3", "io1", "io2"):
            yield Failure("iops", f"'iops' must not be set when 'type' is '{kind}'")
        if known(inputs.get("kmsKeyId")) and inputs.get("encrypted") is not True:
            yield Failure("kmsKeyId", "kms_key_id needs encrypted = true")
        limits = {
            "size": (1, 65536),
            "throughput": (125, 2000),
            "iops": (3000 if kind == "gp3" else 100, 256000),
        }
        for name, (lowest, highest) in limits.items():
            value = inputs.get(name)
            if known(value) and not lowest <= int(value or 0) <= highest:
                yield Failure(name, f"expected {name} to be in the range ({lowest} - {highest}), got {value}")

    def refuse(self, request: AwsRequest) -> None:
        """Unknown zone."""
        if request.inputs["availabilityZone"] not in zone_names(request.region):
            raise Refused(
                "creating EBS Volume: api error InvalidZone.NotFound: The zone "
                f"'{request.inputs['availabilityZone']}' does not exist."
            )

    def computed(self, request: AwsRequest) -> Properties:
        """Defaults of the kind."""
        kind = given(request.inputs, "type", "gp2")
        outputs = {
            "arn": request.arn("ec2", f"volume/{request.id}"),
            "createTime": "2026-01-01T00:00:00Z",
            "encrypted": given(request.inputs, "encrypted", False),
            "iops": given(request.inputs, "iops", 3000 if kind == "gp3" else 100),
            "multiAttachEnabled": given(request.inputs, "multiAttachEnabled", False),
            "snapshotId": given(request.inputs, "snapshotId", ""),
            "type": kind,
        }
        if kind == "gp3":
            outputs["throughput"] = given(request.inputs, "throughput", 125)
        return outputs

    def renew(self, request: AwsRequest) -> Properties:
        """A volume only grows."""
        if int(given(request.inputs, "size", 0)) < int(given(request.old_inputs, "size", 0)):
            raise Refused(
                f"modifying EBS Volume ({request.id}): api error InvalidParameterValue: New size cannot "
                "be smaller than "
                "existing size"
            )
        return {}

    def dispose(self, request: AwsRequest) -> None:
        """Deletes what it holds, or keeps it as a snapshot."""
        snapshot = f"snap-{request.id.removeprefix('vol-')}" if request.inputs.get("finalSnapshot") else None
        self.machines.delete_volume(request.id, snapshot)


class VolumeAttachment(AwsType):
    """`ec2.VolumeAttachment`."""

    token = VOLUME_ATTACHMENT
    required = ("deviceName", "instanceId", "volumeId")
    replace_on = frozenset({"deviceName", "instanceId", "volumeId", "region"})
    taggable = False

    def resource_id(self, request: AwsRequest) -> Any:
        """`vai-…`."""
        return request.ec2_id("vai")

    def refuse(self, request: AwsRequest) -> None:
        """Unknown instance or volume, different zones, or a volume in use."""
        verb = "attaching EBS Volume: api error"
        volume = self.existing(
            VOLUME,
            request.inputs["volumeId"],
            verb + " InvalidVolume.NotFound: The volume '{id}' does not exist.",
        )
        refusal = verb + " InvalidInstanceID.NotFound: The instance ID '{id}' does not exist"
        instance = self.existing(INSTANCE, request.inputs["instanceId"], refusal)
        if volume.inputs["availabilityZone"] != instance.outputs.get("availabilityZone"):
            raise Refused(
                f"{verb} InvalidVolume.ZoneMismatch: The volume '{volume.id}' is not in the same "
                "availability zone as "
                f"instance '{instance.id}'"
            )
        for other in self.registry.of_type(self.token):
            if other.id != request.id and other.inputs["volumeId"] == volume.id:
                raise Refused(f"{verb} VolumeInUse: {volume.id} is already attached to an instance")

    def provision(self, request: AwsRequest) -> Properties:
        """Puts the volume where the machine's PostgreSQL looks for its data."""
        self.machines.attach(request.inputs["volumeId"], request.inputs["instanceId"])
        return {}

    def dispose(self, request: AwsRequest) -> None:
        """Takes it away again."""
        if not request.inputs.get("skipDestroy"):
            self.machines.detach(request.inputs["volumeId"])
