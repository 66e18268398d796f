"""The models of auto scaling groups, their instances and the versions of launch templates."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from emulator.core.model import ResourceModel
from engine.processes import Identity

Lifecycle = Literal["pending", "in service", "terminating"]


class LaunchTemplate(ResourceModel):
    """One version of a launch template.

    Attributes:
        template_id: `lt-…`.
        version: From 1; a version never changes.
        image_id: `ami-…`, or empty.
        instance_type: Such as `t4g.small`.
        architecture: `arm64` or `x86_64`.
        instance_profile: Name of the instance profile, or None.
        user_data: Base64.
    """

    template_id: str
    version: int
    image_id: str = ""
    instance_type: str
    architecture: str
    instance_profile: str | None = None
    user_data: str = Field(default="", repr=False)


class Subnet(ResourceModel):
    """Where instances can be."""

    subnet_id: str
    vpc_id: str
    cidr_block: str
    availability_zone: str


class Group(ResourceModel):
    """A group.

    Attributes:
        subnets: Instances are spread over them.
        refreshes: Whether another version of the template replaces running instances, one after the other.
        health_path: An instance serves when it answers GET on this path with 200.
    """

    name: str
    region: str
    desired: int
    subnets: tuple[Subnet, ...]
    target_group_arns: tuple[str, ...] = ()
    template: LaunchTemplate
    refreshes: bool = False
    health_path: str = "/healthz"


class Instance(ResourceModel):
    """An instance of a group.

    Attributes:
        instance_id: `i-…`.
        private_ip: What the instance reads as its address; it listens on loopback.
        port: Where it serves HTTPS.
        metrics_port: Where it serves metrics.
        metadata_path: Secret path of its metadata service.
        lifecycle: Where it is in its life.
        process: What runs on it now, as far as anything does.
    """

    instance_id: str
    region: str
    template: LaunchTemplate
    subnet: Subnet
    private_ip: str
    port: int
    metrics_port: int
    metadata_path: str = Field(repr=False)
    lifecycle: Lifecycle = "pending"
    process: Identity | None = None
