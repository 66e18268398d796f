"""The stand-in for pulumi-aws."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from emulator.acm import types as certificates
from emulator.acm.certificates import Certificates
from emulator.autoscaling import types as auto_scaling
from emulator.autoscaling.groups import Groups
from emulator.cloudwatch import alarms
from emulator.core.aws_type import AwsType, Backends
from emulator.core.credentials import ACCOUNT
from emulator.core.endpoint import AwsEndpoint
from emulator.core.provider import Provider
from emulator.core.registry import Registry
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.ec2 import instances as compute
from emulator.ec2 import launch_templates, network, routes, volumes
from emulator.ec2 import security_groups as firewall
from emulator.ec2.machines import Machines
from emulator.elb import listeners, load_balancers, target_groups, trust_stores
from emulator.elb.service import LoadBalancers
from emulator.iam import roles as access
from emulator.invokes import functions
from emulator.kms import keys
from emulator.lambda_ import types as lambda_functions
from emulator.lambda_.functions import Functions
from emulator.logs import log_groups
from emulator.rds import event_subscriptions as database_events
from emulator.rds import groups as database_groups
from emulator.rds import instances as databases
from emulator.rds.databases import Databases
from emulator.route53 import zones as name_service
from emulator.s3 import buckets, objects
from emulator.secretsmanager import secrets
from emulator.ssm import parameters

TYPES: Sequence[type[AwsType]] = (
    access.InstanceProfile,
    access.Role,
    access.RolePolicy,
    auto_scaling.Group,
    auto_scaling.Policy,
    buckets.Bucket,
    buckets.BucketLifecycleConfiguration,
    buckets.BucketOwnershipControls,
    buckets.BucketPolicy,
    buckets.BucketPublicAccessBlock,
    buckets.BucketServerSideEncryptionConfiguration,
    buckets.BucketVersioning,
    certificates.Certificate,
    certificates.CertificateValidation,
    compute.Instance,
    compute.NetworkInterface,
    database_events.EventSubscription,
    database_groups.ParameterGroup,
    database_groups.SubnetGroup,
    databases.Instance,
    firewall.DefaultSecurityGroup,
    firewall.SecurityGroup,
    firewall.SecurityGroupEgressRule,
    firewall.SecurityGroupIngressRule,
    keys.Alias,
    keys.Key,
    lambda_functions.LambdaFunction,
    launch_templates.LaunchTemplate,
    listeners.Listener,
    load_balancers.LoadBalancer,
    alarms.MetricAlarm,
    log_groups.LogGroup,
    name_service.Record,
    name_service.Zone,
    network.Eip,
    network.FlowLog,
    network.InternetGateway,
    network.NatGateway,
    network.Subnet,
    network.Vpc,
    network.VpcEndpoint,
    objects.BucketObjectv2,
    parameters.Parameter,
    routes.Route,
    routes.RouteTable,
    routes.RouteTableAssociation,
    secrets.Secret,
    secrets.SecretPolicy,
    secrets.SecretVersion,
    target_groups.TargetGroup,
    trust_stores.TrustStore,
    trust_stores.TrustStoreRevocation,
    volumes.Volume,
    volumes.VolumeAttachment,
)


class AwsProvider(Provider):
    """Serves the aws types that the sandbox has; any other is refused by name.

    Args:
        endpoint: Where services live that something reads at run time; must be running.
        machines: Brings instances to life; runs at once when a pointer is written.
        state_dir: The sandbox's state folder; the registry lies in its `aws`.
        rds: Brings RDS instances to life; without it they can only be previewed.
        functions_of_lambda: The same for Lambda functions.
        certificates_of_acm: The same for certificates.
        balancers: The same for load balancers.
        groups: The same for auto scaling groups.
    """

    def __init__(
        self,
        endpoint: AwsEndpoint,
        machines: Machines,
        state_dir: Path | None = None,
        *,
        rds: Databases | None = None,
        functions_of_lambda: Functions | None = None,
        certificates_of_acm: Certificates | None = None,
        balancers: LoadBalancers | None = None,
        groups: Groups | None = None,
    ) -> None:
        self.registry = Registry((state_dir or endpoint.state_dir) / "aws" / "resources.sqlite")
        backends = Backends(
            endpoint,
            machines,
            self.registry,
            rds,
            functions_of_lambda,
            certificates_of_acm,
            balancers,
            groups,
        )
        super().__init__("aws", [kind(backends) for kind in TYPES], functions(endpoint))
        endpoint.on_write(machines.notice)

    def check_configuration(self, configuration: Properties) -> Sequence[Failure]:
        """Accounts that the deployment is allowed for."""
        allowed, forbidden = configuration.get("allowedAccountIds"), configuration.get("forbiddenAccountIds")
        if isinstance(allowed, list) and allowed and ACCOUNT not in allowed:
            return [Failure("allowedAccountIds", f"AWS account ID not allowed: {ACCOUNT}")]
        if isinstance(forbidden, list) and ACCOUNT in forbidden:
            return [Failure("forbiddenAccountIds", f"AWS account ID not allowed: {ACCOUNT}")]
        return ()

    def configure(self, configuration: Properties) -> Properties:
        """The region, from configuration or environment as with the real provider."""
        region = (
            configuration.get("region")
            or os.environ.get("AWS_REGION")
            or os.environ.get("AWS_DEFAULT_REGION")
        )
        if not region:
            raise Refused("aws: no region; set aws:region in the stack's configuration, or AWS_REGION")
        return {**configuration, "region": region}
