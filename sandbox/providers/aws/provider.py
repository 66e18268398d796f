"""The stand-in for pulumi-aws."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from sandbox.auto_scaling.groups import Groups
from sandbox.aws_endpoint import AwsEndpoint
from sandbox.aws_endpoint.credentials import ACCOUNT
from sandbox.certificate_manager.certificates import Certificates
from sandbox.functions import Functions
from sandbox.load_balancing.load_balancers import LoadBalancers
from sandbox.machines import Machines
from sandbox.providers.aws import (
    access,
    auto_scaling,
    buckets,
    certificates,
    compute,
    database_events,
    database_groups,
    databases,
    firewall,
    keys,
    lambda_functions,
    launch_templates,
    listeners,
    load_balancers,
    monitoring,
    name_service,
    network,
    objects,
    parameters,
    routes,
    secrets,
    target_groups,
    trust_stores,
    volumes,
)
from sandbox.providers.aws.aws_type import AwsType, Surroundings
from sandbox.providers.aws.functions import functions
from sandbox.providers.aws.registry import Registry
from sandbox.providers.provider import Provider
from sandbox.providers.resource_type import Failure, Properties, Refused
from sandbox.rds.databases import Databases

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
    monitoring.LogGroup,
    monitoring.MetricAlarm,
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
        """See the class."""
        self.registry = Registry((state_dir or endpoint.state_dir) / "aws" / "resources.sqlite")
        surroundings = Surroundings(
            endpoint,
            machines,
            self.registry,
            rds,
            functions_of_lambda,
            certificates_of_acm,
            balancers,
            groups,
        )
        super().__init__("aws", [kind(surroundings) for kind in TYPES], functions(endpoint))
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
