"""The resources of Elastic Load Balancing: one model each, from the program's inputs to the data plane."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from emulator.acm.service import Issued
from emulator.core.model import ResourceModel

Mode: TypeAlias = Literal["off", "passthrough", "verify"]
DesyncMode: TypeAlias = Literal["monitor", "defensive", "strictest"]
_SecretText: TypeAlias = Annotated[str | None, Field(repr=False)]


class ConfigurationRefused(ValueError):
    """AWS would refuse this configuration; the text says which part and why, and contains no key."""


class ElbResource(ResourceModel):
    """Base of the resources that have an ARN."""

    arn: str


class LoadBalancer(ElbResource):
    """A load balancer.

    Attributes:
        client_keep_alive: How long a client's connection lives at most, in seconds.
        desync_mitigation_mode: What is done with requests that can be read in two ways.
        drop_invalid_header_fields: Whether headers are removed whose names hold more than letters, digits and
            hyphens.
        enable_tls_version_and_cipher_suite_headers: Adds `X-Amzn-TLS-Version` and `X-Amzn-TLS-Cipher-Suite`.
        enable_xff_client_port: Whether the client's port goes into `X-Forwarded-For` as well.
        idle_timeout: Seconds without a byte after which the client or the target has failed.
        xff_header_processing_mode: What is done with `X-Forwarded-For`.
    """

    client_keep_alive: int = Field(default=3600, ge=60, le=604_800)
    desync_mitigation_mode: DesyncMode = "defensive"
    drop_invalid_header_fields: bool = False
    enable_tls_version_and_cipher_suite_headers: bool = False
    enable_xff_client_port: bool = False
    idle_timeout: int = Field(default=60, ge=1, le=4000)
    xff_header_processing_mode: Literal["append", "preserve", "remove"] = "append"

    @property
    def name_and_id(self) -> str:
        """`app/<name>/<id>`, as in the access log."""
        return self.arn.partition(":loadbalancer/")[2]


class MutualAuthentication(ResourceModel):
    """How clients are authenticated.

    Attributes:
        mode: `verify` demands a certificate, `passthrough` forwards whatever is presented.
        trust_store_arn: In verify mode: which authorities clients' certificates have to come from.
        ignore_client_certificate_expiry: In verify mode: accepts expired certificates.
        advertise_trust_store_ca_names: In verify mode: whether clients get the names of the authorities.
    """

    mode: Mode = "off"
    trust_store_arn: str | None = None
    ignore_client_certificate_expiry: bool = False
    advertise_trust_store_ca_names: Literal["on", "off"] = "off"


class TargetGroupWeight(ResourceModel):
    """One of the target groups of a `forward` block."""

    arn: str


class Forward(ResourceModel):
    """The `forward` block of an action."""

    target_groups: tuple[TargetGroupWeight]


class Action(ResourceModel):
    """A default action: it forwards to one target group, given in one of two ways."""

    target_group_arn: str | None = None
    forward: Forward | None = None


class Listener(ElbResource):
    """A listener for HTTPS that forwards to one target group.

    `routing_http_request_<header>_header_name` renames a header that the listener adds to requests;
    `routing_http_response_<header>_header_value` sets a header of every response.

    Attributes:
        port: TCP port on loopback.
        ssl_policy: Name of the security policy. The API's default still allows TLS 1.0.
        default_actions: Exactly one.
    """

    load_balancer_arn: str
    port: int = Field(ge=1, le=65535)
    ssl_policy: str = "ELBSecurityPolicy-2016-08"
    certificate_arn: str
    mutual_authentication: MutualAuthentication = MutualAuthentication()
    default_actions: tuple[Action]

    routing_http_request_x_amzn_mtls_clientcert_header_name: _SecretText = None
    routing_http_request_x_amzn_mtls_clientcert_issuer_header_name: _SecretText = None
    routing_http_request_x_amzn_mtls_clientcert_leaf_header_name: _SecretText = None
    routing_http_request_x_amzn_mtls_clientcert_serial_number_header_name: _SecretText = None
    routing_http_request_x_amzn_mtls_clientcert_subject_header_name: _SecretText = None
    routing_http_request_x_amzn_mtls_clientcert_validity_header_name: _SecretText = None
    routing_http_request_x_amzn_tls_cipher_suite_header_name: _SecretText = None
    routing_http_request_x_amzn_tls_version_header_name: _SecretText = None

    routing_http_response_access_control_allow_credentials_header_value: str | None = None
    routing_http_response_access_control_allow_headers_header_value: str | None = None
    routing_http_response_access_control_allow_methods_header_value: str | None = None
    routing_http_response_access_control_allow_origin_header_value: str | None = None
    routing_http_response_access_control_expose_headers_header_value: str | None = None
    routing_http_response_access_control_max_age_header_value: str | None = None
    routing_http_response_content_security_policy_header_value: str | None = None
    routing_http_response_strict_transport_security_header_value: str | None = None
    routing_http_response_x_content_type_options_header_value: str | None = None
    routing_http_response_x_frame_options_header_value: str | None = None

    @property
    def target_group_arn(self) -> str:
        """The target group that requests are forwarded to."""
        (action,) = self.default_actions
        if action.forward is None or action.target_group_arn is not None:
            return action.target_group_arn or ""
        return action.forward.target_groups[0].arn

    @property
    def header_names(self) -> Mapping[str, str]:
        """The new, secret names of headers by their original ones, all in lower case."""
        return {header: name.lower() for header, name in self._headers("request_(.+)_header_name")}

    @property
    def response_headers(self) -> Mapping[str, str]:
        """The headers of every response, whatever the target says of them."""
        return dict(self._headers("response_(.+)_header_value"))

    def _headers(self, pattern: str) -> Iterator[tuple[str, str]]:
        for name in type(self).model_fields:
            found = re.fullmatch(f"routing_http_{pattern}", name)
            value = getattr(self, name)
            if found is not None and value:
                yield found[1].replace("_", "-"), value


class HealthCheck(ResourceModel):
    """How a target group finds out which targets are healthy.

    Attributes:
        enabled: Always, for targets that are instances.
        healthy_threshold: Successes in a row that make an unhealthy target healthy. A new target needs one.
        interval: Seconds between the starts of two checks of a target.
        matcher: Status codes that count as success, such as `200` or `200-299,301`.
        path: Requested with GET.
        port: The port that is asked; here always the target's own.
        protocol: The emulator has HTTPS.
        timeout: Seconds after which a check has failed.
        unhealthy_threshold: Failures in a row that make a target unhealthy.
    """

    enabled: bool = True
    healthy_threshold: int = Field(default=3, ge=2, le=10)
    interval: int = Field(default=30, ge=5, le=300)
    matcher: str = "200"
    path: str = "/"
    port: str = "traffic-port"
    protocol: Literal["HTTP", "HTTPS", "TCP"] = "HTTP"
    timeout: int = Field(default=5, ge=2, le=120)
    unhealthy_threshold: int = Field(default=3, ge=2, le=10)


class TargetGroup(ElbResource):
    """Where requests are forwarded; targets speak HTTPS, and their certificates are never validated.

    Attributes:
        deregistration_delay: How many seconds a deregistered target may take to finish what it has.
    """

    deregistration_delay: int = Field(default=300, ge=0, le=3600)
    health_check: HealthCheck = HealthCheck()


class TrustStore(ElbResource):
    """A trust store: what was read from S3 when it was created or changed.

    Attributes:
        bundle: CA certificates, PEM.
        revocations: Certificate revocation lists by their ids, PEM.
        next_revocation_id: Ids increase and are never used again.
    """

    bundle: str
    revocations: Mapping[int, str] = {}
    next_revocation_id: int = 1

    @property
    def revocation_lists(self) -> tuple[str, ...]:
        """The lists in the order of their ids."""
        return tuple(pem for _, pem in sorted(self.revocations.items()))


@dataclass(frozen=True, kw_only=True, order=True)
class Target:
    """A registered target, by address."""

    host: str
    port: int

    def __str__(self) -> str:
        """As logs have it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class ListenerConfiguration:
    """A listener with everything that it refers to.

    Attributes:
        trust_store: In verify mode: whom clients' certificates have to come from.
    """

    listener: Listener
    load_balancer: LoadBalancer
    target_group: TargetGroup
    trust_store: TrustStore | None
    certificate: Issued
    targets: frozenset[Target] = frozenset()


def matched_statuses(matcher: str) -> Iterator[int]:
    """The status codes of a matcher such as `200` or `200-299,301`.

    Raises:
        ValueError: It has another form, or holds a status below 200 or above 499.
    """
    for part in matcher.split(","):
        first, dash, last = part.partition("-")
        low, high = int(first), int(last if dash else first)
        if not 200 <= low <= high <= 499:
            raise ValueError(f"{part!r}: status codes between 200 and 499 are allowed")
        yield from range(low, high + 1)
