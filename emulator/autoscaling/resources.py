"""Groups and their instances, as they are kept on disk."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Lifecycle = Literal["pending", "in service", "terminating"]


class Kept(BaseModel):
    """Base of the documents: camelCase in JSON, immutable."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        # A state folder outlives the code that wrote it, which may have known more.
        extra="ignore",
        hide_input_in_errors=True,
    )


class LaunchTemplate(Kept):
    """One version of a launch template.

    Attributes:
        template_id: `lt-…`.
        version: From 1; a version never changes.
        image_id: `ami-…`.
        instance_type: Such as `t4g.small`.
        architecture: `arm64` or `x86_64`.
        instance_profile: Name of the instance profile, or None.
        user_data: Base64.
    """

    template_id: str
    version: int
    image_id: str
    instance_type: str
    architecture: str
    instance_profile: str | None = None
    user_data: str = Field(default="", repr=False)


class Subnet(Kept):
    """Where instances can be."""

    subnet_id: str
    vpc_id: str
    cidr_block: str
    availability_zone: str


class Group(Kept):
    """A group.

    Attributes:
        name: Its name, which is its id.
        region: Where it is.
        minimum: Fewest instances.
        maximum: Most instances.
        desired: How many there are to be.
        subnets: Instances are spread over them.
        target_group_arns: Where instances register.
        template: What they are launched from.
        refreshes: Whether another version replaces the instances that there are, one after the other.
        health_path: What says of an instance that it serves, asked for with GET over HTTPS.
    """

    name: str
    region: str
    minimum: int
    maximum: int
    desired: int
    subnets: tuple[Subnet, ...]
    target_group_arns: tuple[str, ...] = ()
    template: LaunchTemplate
    refreshes: bool = False
    health_path: str = "/healthz"


class Process(Kept):
    """A running process: see `engine.processes.Identity`."""

    pid: int
    started: int


class Instance(Kept):
    """An instance of a group.

    Attributes:
        instance_id: `i-…`.
        region: Where it is.
        template: What it was launched from.
        subnet: Where it is.
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
    process: Process | None = None
