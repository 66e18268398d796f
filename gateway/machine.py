"""What user-data tells an instance of the gateway; it never changes during the instance's life."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from documents.document import Document, ObjectAddress, ObjectPointer

MACHINE_FILE = "/etc/passwordless-postgres-gateway/machine.json"
APPLICATION = "gateway.application:application"
"""The default ASGI application, for stacks that name none of their own."""

Application = Annotated[
    str,
    StringConstraints(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*$", max_length=200
    ),
]


class Machine(Document):
    """The instance's file, written by its user-data; it holds no secret.

    Attributes:
        region: AWS region of everything named here.
        account: AWS account of everything named here, which its buckets must belong to.
        gateway: what metrics call the gateway.
        document: the gateway's document.
        reports: bucket, and prefix of the key, under which the instance reports; its own id follows.
        artifact: what to run: the gateway with its dependencies, as a zip file.
        application: `module:attribute` of the ASGI application in the artifact.
        port: HTTPS port to which the load balancer's target group sends requests.
        metrics_port: Prometheus port, on loopback only.
    """

    schema_version: Literal[1] = 1
    region: str = Field(min_length=1)
    account: str = Field(pattern=r"^[0-9]{12}$")
    gateway: str = Field(pattern=r"^/")
    document: ObjectAddress
    reports: ObjectAddress
    artifact: ObjectPointer
    application: Application = APPLICATION
    port: int = Field(ge=1, le=65535)
    metrics_port: int = Field(ge=1, le=65535)
