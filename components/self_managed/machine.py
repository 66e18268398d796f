"""An EC2 instance that can be replaced without losing its address or its data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import pulumi
from pulumi_aws import ebs, ec2

from components.network import PrivateSubnet
from components.pinned_image import PinnedImage, image_of
from components.self_managed.user_data import user_data_base64
from node.desired_state import Machine as MachineDocument
from settings import SelfManaged

_ROOT_VOLUME_GIB = 16
_DATA_DEVICE = "/dev/sdf"


@dataclass(frozen=True, kw_only=True)
class DatabaseMachineArgs:
    """Arguments of `DatabaseMachine`.

    Attributes:
        region: Where it is.
        subnet: Private subnet of its network interface; the volume is in the same zone.
        security_group: The one security group of the interface.
        instance_profile: Name of the instance profile with its role.
        settings: Instance type, image and volume of the server.
        launcher: The program that user-data installs, see `artifacts.sources.launcher_sources`.
        bucket: Name of the desired-state bucket.
        report_key: Key of the report in the bucket.
        log_group: Name of the log group for the server's log.
        boot_needs: What must exist at the first boot: ways to AWS and Debian's archive, permissions.
        tags: Tags of every child.
    """

    region: pulumi.Input[str]
    subnet: PrivateSubnet
    security_group: pulumi.Input[str]
    instance_profile: pulumi.Input[str]
    settings: SelfManaged
    launcher: Mapping[str, str] = field(repr=False)
    bucket: pulumi.Input[str]
    report_key: str
    log_group: str
    boot_needs: Sequence[pulumi.Resource] = ()
    tags: dict[str, str] = field(default_factory=dict)


@final
@dataclass(frozen=True, kw_only=True)
class DatabaseMachineResources:
    """Children of `DatabaseMachine`; no `image` where its id was given."""

    image: PinnedImage | None
    network_interface: ec2.NetworkInterface
    data_volume: ebs.Volume
    instance: ec2.Instance
    attachment: ec2.VolumeAttachment


class DatabaseMachine(pulumi.ComponentResource):
    """`passwordless-postgres:index:DatabaseMachine`: an instance, its address and its data volume.

    Makes a `PinnedImage`, an `ec2.NetworkInterface`, an encrypted gp3 `ebs.Volume`, an `ec2.Instance`
    (IMDSv2 only, no key pair, no public address) and an `ec2.VolumeAttachment`. Interface and volume
    attach to one instance at a time, so a replacement deletes first.

    Attributes:
        instance_id: The instance.
        private_ip: The interface's address; outlives the instance.
        resources: The children.
    """

    instance_id: pulumi.Output[str]
    private_ip: pulumi.Output[str]
    resources: DatabaseMachineResources

    def __init__(
        self, name: str, args: DatabaseMachineArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Make the machine."""
        super().__init__("passwordless-postgres:index:DatabaseMachine", name, {}, opts)
        image, image_id = image_of(
            f"{name}-image", args.settings.image, args.settings.architecture, args.region, self
        )
        interface = ec2.NetworkInterface(
            f"{name}-address",
            description=f"The address of {name}; outlives its instance",
            subnet_id=args.subnet.id,
            security_groups=[args.security_group],
            tags={**args.tags, "Name": name},
            opts=pulumi.ResourceOptions(parent=self),
        )
        volume = ebs.Volume(
            f"{name}-data",
            availability_zone=args.subnet.zone,
            type="gp3",
            size=args.settings.volume.size_gib,
            iops=args.settings.volume.iops,
            throughput=args.settings.volume.throughput_mibps,
            encrypted=True,
            kms_key_id=args.settings.volume.kms_key_arn,
            final_snapshot=args.settings.volume.deletion_protection,
            tags={**args.tags, "Name": f"{name}-data"},
            opts=pulumi.ResourceOptions(parent=self, protect=args.settings.volume.deletion_protection),
        )
        instance = self._instance(name, args, image_id, interface, volume)
        attachment = ec2.VolumeAttachment(
            f"{name}-data",
            device_name=_DATA_DEVICE,
            instance_id=instance.id,
            volume_id=volume.id,
            # PostgreSQL writes to the volume until it is stopped.
            stop_instance_before_detaching=True,
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
        self.resources = DatabaseMachineResources(
            image=image,
            network_interface=interface,
            data_volume=volume,
            instance=instance,
            attachment=attachment,
        )
        self.instance_id = instance.id
        self.private_ip = interface.private_ip
        self.register_outputs({"instanceId": self.instance_id, "privateIp": self.private_ip})

    def _instance(
        self,
        name: str,
        args: DatabaseMachineArgs,
        image_id: pulumi.Input[str],
        interface: ec2.NetworkInterface,
        volume: ebs.Volume,
    ) -> ec2.Instance:
        return ec2.Instance(
            f"{name}-instance",
            ami=image_id,
            instance_type=args.settings.instance_type,
            iam_instance_profile=args.instance_profile,
            primary_network_interface=ec2.InstancePrimaryNetworkInterfaceArgs(
                network_interface_id=interface.id
            ),
            metadata_options=ec2.InstanceMetadataOptionsArgs(
                http_endpoint="enabled",
                http_tokens="required",
                http_put_response_hop_limit=1,
                instance_metadata_tags="disabled",
            ),
            root_block_device=ec2.InstanceRootBlockDeviceArgs(
                volume_type="gp3",
                volume_size=_ROOT_VOLUME_GIB,
                encrypted=True,
                kms_key_id=args.settings.volume.kms_key_arn,
                delete_on_termination=True,
                tags={**args.tags, "Name": f"{name}-root"},
            ),
            ebs_optimized=True,
            disable_api_termination=args.settings.volume.deletion_protection,
            # Without it, termination protection would also prevent replacements by this program.
            force_destroy=True,
            instance_initiated_shutdown_behavior="stop",
            user_data_base64=pulumi.Output.all(
                region=args.region,
                bucket=args.bucket,
                report_key=args.report_key,
                log_group=args.log_group,
                volume=volume.id,
            ).apply(lambda values: user_data_base64(args.launcher, MachineDocument(**values))),
            # cloud-init writes files at the first boot only, so an update in place would have no effect.
            user_data_replace_on_change=True,
            tags={**args.tags, "Name": name},
            opts=pulumi.ResourceOptions(
                parent=self, delete_before_replace=True, depends_on=list(args.boot_needs)
            ),
        )
