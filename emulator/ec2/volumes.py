"""EBS volumes. Recorded; what they hold is a folder of `emulator.ec2.machines`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from emulator.core.aws_type import AwsType, Resource, choice_problem, given, known
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

    def resource_id(self, resource: Resource, inputs: Properties) -> Any:
        """`vol-…`."""
        del inputs
        return resource.id("vol")

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

    def refuse(self, resource: Resource, resource_id: str, inputs: Properties) -> None:
        """Unknown zone."""
        del resource_id
        if inputs["availabilityZone"] not in zone_names(resource.region):
            raise Refused(
                "creating EBS Volume: api error InvalidZone.NotFound: The zone "
                f"'{inputs['availabilityZone']}' does not exist."
            )

    def computed(self, resource: Resource, resource_id: Any, inputs: Properties) -> Properties:
        """Defaults of the kind."""
        kind = given(inputs, "type", "gp2")
        outputs = {
            "arn": resource.arn("ec2", f"volume/{resource_id}"),
            "createTime": "2026-01-01T00:00:00Z",
            "encrypted": given(inputs, "encrypted", False),
            "iops": given(inputs, "iops", 3000 if kind == "gp3" else 100),
            "multiAttachEnabled": given(inputs, "multiAttachEnabled", False),
            "snapshotId": given(inputs, "snapshotId", ""),
            "type": kind,
        }
        if kind == "gp3":
            outputs["throughput"] = given(inputs, "throughput", 125)
        return outputs

    def renew(
        self,
        resource: Resource,
        resource_id: str,
        old_inputs: Properties,
        inputs: Properties,
        outputs: Properties,
    ) -> Properties:
        """A volume only grows."""
        del resource, outputs
        if int(given(inputs, "size", 0)) < int(given(old_inputs, "size", 0)):
            raise Refused(
                f"modifying EBS Volume ({resource_id}): api error InvalidParameterValue: New size cannot "
                "be smaller than "
                "existing size"
            )
        return {}

    def dispose(self, resource_id: str, inputs: Properties, outputs: Properties) -> None:
        """Deletes what it holds, or keeps it as a snapshot."""
        del outputs
        snapshot = f"snap-{resource_id.removeprefix('vol-')}" if inputs.get("finalSnapshot") else None
        self.machines.delete_volume(resource_id, snapshot)


class VolumeAttachment(AwsType):
    """`ec2.VolumeAttachment`."""

    token = VOLUME_ATTACHMENT
    required = ("deviceName", "instanceId", "volumeId")
    replace_on = frozenset({"deviceName", "instanceId", "volumeId", "region"})
    taggable = False

    def resource_id(self, resource: Resource, inputs: Properties) -> Any:
        """`vai-…`."""
        del inputs
        return resource.id("vai")

    def refuse(self, resource: Resource, resource_id: str, inputs: Properties) -> None:
        """Unknown instance or volume, different zones, or a volume in use."""
        del resource
        verb = "attaching EBS Volume: api error"
        volume = self.existing(
            VOLUME, inputs["volumeId"], verb + " InvalidVolume.NotFound: The volume '{id}' does not exist."
        )
        refusal = verb + " InvalidInstanceID.NotFound: The instance ID '{id}' does not exist"
        instance = self.existing(INSTANCE, inputs["instanceId"], refusal)
        if volume.inputs["availabilityZone"] != instance.outputs.get("availabilityZone"):
            raise Refused(
                f"{verb} InvalidVolume.ZoneMismatch: The volume '{volume.id}' is not in the same "
                "availability zone as "
                f"instance '{instance.id}'"
            )
        for other in self.registry.of_type(self.token):
            if other.id != resource_id and other.inputs["volumeId"] == volume.id:
                raise Refused(f"{verb} VolumeInUse: {volume.id} is already attached to an instance")

    def provision(self, resource: Resource, resource_id: str, inputs: Properties) -> Properties:
        """Puts the volume where the machine's PostgreSQL looks for its data."""
        del resource, resource_id
        self.machines.attach(inputs["volumeId"], inputs["instanceId"])
        return {}

    def dispose(self, resource_id: str, inputs: Properties, outputs: Properties) -> None:
        """Takes it away again."""
        del resource_id, outputs
        if not inputs.get("skipDestroy"):
            self.machines.detach(inputs["volumeId"])
