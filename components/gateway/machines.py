"""The machines that run a gateway: an auto scaling group of stateless instances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import pulumi
from pulumi_aws import autoscaling, cloudwatch, ec2, iam, s3

from artifacts.gateway import GatewayArtifact
from components import iam_documents
from components.account import Account
from components.gateway.document import DOCUMENT_KEY
from components.gateway.user_data import user_data_base64
from components.network import PrivateSubnet
from components.pinned_image import PinnedImage, image_of
from components.private_bucket import PrivateBucket, PrivateBucketArgs, object_tags
from documents.document import ObjectAddress, ObjectPointer
from gateway.machine import Machine
from settings import Gateway

ARTIFACT_KEY = "gateway.zip"
REPORTS = "reports/"

_ROOT_DEVICE = "/dev/xvda"
_ROOT_VOLUME_GIB = 8
_WARM_UP_SECONDS = 120
_BUSY_PERCENT = 50


@dataclass(frozen=True, kw_only=True)
class GatewayMachinesArgs:
    """Arguments of `GatewayMachines`.

    Attributes:
        account: Where they are.
        subnets: Private subnets in two zones at least.
        security_group: Their one security group.
        target_group_arn: Where they are registered.
        artifact: What they run.
        launcher: The program that fetches it, see `artifacts.sources.launcher_sources`.
        settings: The section `gateway`: application, instance type, image, how many machines there are.
        gateway: What their metrics call the gateway.
        document_bucket: Bucket of the gateway's document.
        document_arn: ARN of the document's object.
        connects: `rds-db:connect` resource of each database role that they log in as.
        port: Where they serve HTTPS.
        metrics_port: Where they serve their metrics, on loopback alone.
        log_group_name: Name of the log group to make.
        writers: ARNs of the roles and users that may write the artifact.
        serve_after: What must be there before the first machine starts: ways out, permissions, listener.
        tags: Tags of every child and of the machines.

    Raises:
        ValueError: Fewer than two subnets.
    """

    account: Account
    subnets: Sequence[PrivateSubnet]
    security_group: pulumi.Input[str]
    target_group_arn: pulumi.Input[str]
    artifact: GatewayArtifact
    launcher: Mapping[str, str] = field(repr=False)
    settings: Gateway
    gateway: str
    document_bucket: pulumi.Input[str]
    document_arn: pulumi.Input[str]
    connects: Mapping[str, pulumi.Input[str]]
    port: int
    metrics_port: int
    log_group_name: str
    writers: Sequence[str]
    serve_after: Sequence[pulumi.Resource] = ()
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what can be checked before anything is registered."""
        if len(self.subnets) < 2:
            raise ValueError(f"subnets: {len(self.subnets)}; there must be two, each in a zone of its own")


@final
@dataclass(frozen=True, kw_only=True)
class GatewayMachinesResources:
    """Children of `GatewayMachines`; no `image` where its id was given."""

    bucket: PrivateBucket
    artifact: s3.BucketObjectv2
    log_group: cloudwatch.LogGroup
    role: iam.Role
    policy: iam.RolePolicy
    profile: iam.InstanceProfile
    image: PinnedImage | None
    launch_template: ec2.LaunchTemplate
    group: autoscaling.Group
    scaling: autoscaling.Policy


class GatewayMachines(pulumi.ComponentResource):
    """`passwordless-postgres:index:GatewayMachines`: an auto scaling group over the private subnets.

    Makes a `PrivateBucket` with the program and the machines' reports, a log group, the machines' own IAM
    role and its profile, a `PinnedImage`, an `ec2.LaunchTemplate` (IMDSv2 only, no key pair, no public
    address, encrypted disk), an `autoscaling.Group` that replaces machines one after another when the
    template changes, and an `autoscaling.Policy` that keeps their processors half busy.

    Attributes:
        role_arn: ARN of the machines' role.
        reports_bucket: Bucket with the machines' reports.
        reports_prefix: What the keys of the reports begin with; a machine's id follows.
        resources: The children.
    """

    role_arn: pulumi.Output[str]
    reports_bucket: pulumi.Output[str]
    reports_prefix: pulumi.Output[str]
    resources: GatewayMachinesResources

    def __init__(
        self, name: str, args: GatewayMachinesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Make the group."""
        super().__init__("passwordless-postgres:index:GatewayMachines", name, {}, opts)
        self._name, self._args = name, args
        role = self._role()
        bucket = PrivateBucket(
            f"{name}-program",
            PrivateBucketArgs(
                writers={ARTIFACT_KEY: args.writers, f"{REPORTS}*": [role.arn]}, tags=args.tags
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        artifact = s3.BucketObjectv2(
            f"{name}-program",
            bucket=bucket.id,
            key=ARTIFACT_KEY,
            source=pulumi.FileAsset(str(args.artifact.path)),
            source_hash=args.artifact.sha256,
            content_type="application/zip",
            tags=object_tags(args.tags),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[bucket]),
        )
        log_group = cloudwatch.LogGroup(
            f"{name}-log",
            name=args.log_group_name,
            retention_in_days=args.settings.log_retention_days,
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.reports_bucket = bucket.id
        self.reports_prefix = pulumi.Output.all(
            partition=args.account.partition, region=args.account.region, account_id=args.account.account_id
        ).apply(lambda place: REPORTS + iam_documents.arn("ec2", "instance/", **place))
        policy, profile = self._permissions(role, bucket, log_group)
        image, image_id = image_of(
            f"{name}-image", args.settings.image, args.settings.architecture, args.account.region, self
        )
        launch_template = self._launch_template(bucket, artifact, profile, image_id)
        group = self._group(launch_template, [policy, log_group])
        scaling = autoscaling.Policy(
            f"{name}-load",
            autoscaling_group_name=group.name,
            policy_type="TargetTrackingScaling",
            target_tracking_configuration=autoscaling.PolicyTargetTrackingConfigurationArgs(
                predefined_metric_specification=(
                    autoscaling.PolicyTargetTrackingConfigurationPredefinedMetricSpecificationArgs(
                        predefined_metric_type="ASGAverageCPUUtilization"
                    )
                ),
                target_value=_BUSY_PERCENT,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.resources = GatewayMachinesResources(
            bucket=bucket,
            artifact=artifact,
            log_group=log_group,
            role=role,
            policy=policy,
            profile=profile,
            image=image,
            launch_template=launch_template,
            group=group,
            scaling=scaling,
        )
        self.role_arn = role.arn
        self.register_outputs({"roleArn": self.role_arn, "groupName": group.name})

    def _role(self) -> iam.Role:
        args = self._args
        return iam.Role(
            self._name,
            description=f"The machines of the gateway {self._name}",
            assume_role_policy=pulumi.Output.from_input(args.account.partition).apply(
                iam_documents.instance_trust
            ),
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _permissions(
        self, role: iam.Role, bucket: PrivateBucket, log_group: cloudwatch.LogGroup
    ) -> tuple[iam.RolePolicy, iam.InstanceProfile]:
        args = self._args
        policy = iam.RolePolicy(
            self._name,
            role=role.id,
            policy=pulumi.Output.all(
                document_object=args.document_arn,
                artifact_object=pulumi.Output.concat(bucket.arn, "/", ARTIFACT_KEY),
                reports=pulumi.Output.concat(bucket.arn, "/", REPORTS),
                connects=dict(args.connects),
                log_group=log_group.arn,
            ).apply(lambda values: iam_documents.gateway_machine(**values)),
            opts=pulumi.ResourceOptions(parent=self),
        )
        profile = iam.InstanceProfile(
            self._name, role=role.name, tags=args.tags, opts=pulumi.ResourceOptions(parent=self)
        )
        return policy, profile

    def _launch_template(
        self,
        bucket: PrivateBucket,
        artifact: s3.BucketObjectv2,
        profile: iam.InstanceProfile,
        image_id: pulumi.Input[str],
    ) -> ec2.LaunchTemplate:
        args = self._args
        tags = {**args.tags, "Name": self._name}
        return ec2.LaunchTemplate(
            self._name,
            description=f"Machines of the gateway {self._name}",
            update_default_version=True,
            image_id=image_id,
            instance_type=args.settings.instance_type,
            iam_instance_profile=ec2.LaunchTemplateIamInstanceProfileArgs(arn=profile.arn),
            metadata_options=ec2.LaunchTemplateMetadataOptionsArgs(
                http_endpoint="enabled",
                http_tokens="required",
                http_put_response_hop_limit=1,
                instance_metadata_tags="disabled",
            ),
            network_interfaces=[
                ec2.LaunchTemplateNetworkInterfaceArgs(
                    device_index=0,
                    associate_public_ip_address="false",
                    delete_on_termination="true",
                    security_groups=[args.security_group],
                )
            ],
            block_device_mappings=[
                ec2.LaunchTemplateBlockDeviceMappingArgs(
                    device_name=_ROOT_DEVICE,
                    ebs=ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
                        volume_type="gp3",
                        volume_size=_ROOT_VOLUME_GIB,
                        encrypted="true",
                        delete_on_termination="true",
                    ),
                )
            ],
            ebs_optimized="true",
            monitoring=ec2.LaunchTemplateMonitoringArgs(enabled=True),
            instance_initiated_shutdown_behavior="terminate",
            tag_specifications=[
                ec2.LaunchTemplateTagSpecificationArgs(resource_type=kind, tags=tags)
                for kind in ("instance", "network-interface", "volume")
            ],
            user_data=pulumi.Output.all(
                region=args.account.region,
                account=args.account.account_id,
                document_bucket=args.document_bucket,
                bucket=bucket.id,
                reports=self.reports_prefix,
                version=artifact.version_id,
            ).apply(lambda values: self._user_data(**values)),
            tags=tags,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _user_data(
        self,
        *,
        region: str,
        account: str,
        document_bucket: str,
        bucket: str,
        reports: str,
        version: str,
    ) -> str:
        args = self._args
        return user_data_base64(
            args.launcher,
            Machine(
                region=region,
                account=account,
                gateway=args.gateway,
                document=ObjectAddress(bucket=document_bucket, key=DOCUMENT_KEY),
                reports=ObjectAddress(bucket=bucket, key=reports),
                artifact=ObjectPointer(
                    bucket=bucket, key=ARTIFACT_KEY, version=version, sha256=args.artifact.sha256
                ),
                application=args.settings.application,
                port=args.port,
                metrics_port=args.metrics_port,
            ),
            args.log_group_name,
        )

    def _group(
        self, launch_template: ec2.LaunchTemplate, needs: Sequence[pulumi.Resource]
    ) -> autoscaling.Group:
        args = self._args
        tags: dict[str, Any] = {**args.tags, "Name": self._name}
        return autoscaling.Group(
            self._name,
            min_size=args.settings.minimum_size,
            max_size=args.settings.maximum_size,
            vpc_zone_identifiers=[subnet.id for subnet in args.subnets],
            launch_template=autoscaling.GroupLaunchTemplateArgs(
                id=launch_template.id, version=launch_template.latest_version.apply(str)
            ),
            target_group_arns=[args.target_group_arn],
            health_check_type="ELB",
            health_check_grace_period=_WARM_UP_SECONDS,
            default_instance_warmup=_WARM_UP_SECONDS,
            min_elb_capacity=args.settings.minimum_size,
            wait_for_capacity_timeout="15m",
            instance_refresh=autoscaling.GroupInstanceRefreshArgs(
                strategy="Rolling",
                preferences=autoscaling.GroupInstanceRefreshPreferencesArgs(
                    # A new machine serves before an old one is terminated.
                    min_healthy_percentage=100,
                    max_healthy_percentage=200 if args.settings.minimum_size == 1 else 150,
                    instance_warmup=str(_WARM_UP_SECONDS),
                    auto_rollback=True,
                    skip_matching=True,
                ),
            ),
            tags=[
                autoscaling.GroupTagArgs(key=key, value=value, propagate_at_launch=True)
                for key, value in tags.items()
            ],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*needs, *args.serve_after]),
        )
