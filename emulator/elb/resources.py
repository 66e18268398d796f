"""What was declared of load balancers, as it is kept on disk."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from emulator.elb.data_plane.configuration import DesyncMode, ForwardedForMode, Mode


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

    arn: str


class LoadBalancer(Kept):
    """A load balancer.

    Attributes:
        name: Its name.
        region: Where it is.
        idle_timeout: In seconds.
        client_keep_alive: How long a client's connection lives at most, in seconds.
        drop_invalid_header_fields: Whether header names other than `[-A-Za-z0-9]+` are removed.
        desync_mode: What is done with requests that can be read in two ways.
        tls_version_and_cipher_suite_headers: Whether the headers about TLS are added.
        forwarded_for_mode: What is done with `X-Forwarded-For`.
        forwarded_for_client_port: Whether the client's port goes into it.
    """

    name: str
    region: str
    idle_timeout: int = 60
    client_keep_alive: int = 3600
    drop_invalid_header_fields: bool = False
    desync_mode: DesyncMode = "defensive"
    tls_version_and_cipher_suite_headers: bool = False
    forwarded_for_mode: ForwardedForMode = "append"
    forwarded_for_client_port: bool = False


class Listener(Kept):
    """A listener for HTTPS that forwards to one target group.

    Attributes:
        load_balancer_arn: Whose it is.
        port: Where it listens.
        ssl_policy: Name of the policy.
        certificate_arn: The server's certificate.
        mode: How clients are authenticated.
        trust_store_arn: Whom clients' certificates have to come from, in verify mode.
        ignore_expiry: Whether expired certificates do.
        advertise_ca_names: Whether clients are told the authorities' names.
        header_names: Secret; the name in use by the name that AWS gives, both in lower case.
        response_headers: Headers that every response has.
        target_group_arn: Where requests go.
    """

    load_balancer_arn: str
    port: int
    ssl_policy: str
    certificate_arn: str
    mode: Mode = "off"
    trust_store_arn: str | None = None
    ignore_expiry: bool = False
    advertise_ca_names: bool = False
    header_names: Mapping[str, str] = Field(default={}, repr=False)
    response_headers: Mapping[str, str] = {}
    target_group_arn: str


class TargetGroup(Kept):
    """A target group of HTTPS targets, with its health check.

    Attributes:
        health_path: What is asked for, with GET.
        health_interval: Seconds between two checks.
        health_timeout: Seconds that an answer may take.
        healthy_threshold: Good answers in a row that make a target healthy.
        unhealthy_threshold: Bad ones in a row that make it unhealthy.
        matcher: Status codes that are good, such as `200` or `200-299,301`.
        deregistration_delay: Seconds for which a target may go on with what it has begun.
    """

    health_path: str = "/"
    health_interval: int = 30
    health_timeout: int = 5
    healthy_threshold: int = 3
    unhealthy_threshold: int = 3
    matcher: str = "200"
    deregistration_delay: int = 300


class TrustStore(Kept):
    """A trust store: what was read from S3 when it was made or changed.

    Attributes:
        bundle: PEM certificates.
        revocations: PEM of certificate revocation lists by their ids.
        next_revocation_id: Ids increase and are never used again.
    """

    bundle: str
    revocations: Mapping[int, str] = {}
    next_revocation_id: int = 1
