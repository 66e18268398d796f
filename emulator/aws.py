"""The stand-in for pulumi-aws."""

from __future__ import annotations

import os
from collections.abc import Sequence

from emulator.acm import certificate
from emulator.autoscaling import group, scaling_policy
from emulator.cloudwatch import alarms
from emulator.core.aws_type import AwsType
from emulator.core.provider import Provider
from emulator.core.registry import Registry
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.core.state_layout import AWS
from emulator.ec2 import instances, launch_templates, network, routes, security_groups, volumes
from emulator.elb import listener, load_balancer, target_group, trust_store
from emulator.endpoint.aws_endpoint import AwsEndpoint
from emulator.endpoint.credentials import ACCOUNT
from emulator.iam import roles
from emulator.invokes import functions
from emulator.kms import keys
from emulator.lambda_ import function
from emulator.logs import log_groups
from emulator.rds import event_subscriptions, groups
from emulator.rds import instances as databases
from emulator.route53 import zones
from emulator.s3 import buckets, objects
from emulator.scheduler import schedule
from emulator.secretsmanager import secrets
from emulator.ssm import parameters

_MODULES = (
    alarms,
    group,
    scaling_policy,
    buckets,
    certificate,
    databases,
    event_subscriptions,
    groups,
    instances,
    keys,
    function,
    launch_templates,
    listener,
    load_balancer,
    log_groups,
    network,
    objects,
    parameters,
    roles,
    routes,
    schedule,
    secrets,
    security_groups,
    target_group,
    trust_store,
    volumes,
    zones,
)
TYPES: Sequence[type[AwsType]] = tuple(
    found
    for module in _MODULES
    for found in vars(module).values()
    if isinstance(found, type)
    and issubclass(found, AwsType)
    and found.__module__ == module.__name__
    and "token" in vars(found)
)
"""Every type that the modules define; one without `token` is a base."""


class AwsProvider(Provider):
    """Serves the aws types that the sandbox has; any other is refused by name.

    Args:
        endpoint: Where services live that something reads at run time; must be running.
        services: What brings resources to life. Types whose service is absent can only be previewed.
    """

    def __init__(self, endpoint: AwsEndpoint, *services: object) -> None:
        self.registry = Registry(endpoint.state_dir / AWS / "resources.sqlite")
        types = [kind(endpoint, self.registry, services) for kind in TYPES]
        super().__init__("aws", types, functions(endpoint))

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
        inherited = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        region = configuration.get("region") or inherited
        if not region:
            raise Refused("aws: no region; set aws:region in the stack's configuration, or AWS_REGION")
        return {**configuration, "region": region}
