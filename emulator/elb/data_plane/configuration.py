"""What a listener of a load balancer is told: the attributes of AWS that its data plane acts on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

RECOMMENDED_SSL_POLICY = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"

Mode: TypeAlias = Literal["off", "passthrough", "verify"]
DesyncMode: TypeAlias = Literal["monitor", "defensive", "strictest"]
ForwardedForMode: TypeAlias = Literal["append", "preserve", "remove"]


class ConfigurationRefused(ValueError):
    """AWS would refuse this configuration; the text says which part and why, and repeats no key."""


@dataclass(frozen=True, kw_only=True, order=True)
class Target:
    """A registered target, by address.

    Attributes:
        host: Address or name.
        port: TCP port.
    """

    host: str
    port: int

    def __str__(self) -> str:
        """As logs have it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class HealthCheck:
    """How a target group tells healthy targets; defaults are those of AWS.

    Attributes:
        path: What is asked for by GET.
        interval_seconds: Between the starts of two checks of a target.
        timeout_seconds: After which a check has failed.
        healthy_threshold: Successes in a row that make an unhealthy target healthy. A new target needs one.
        unhealthy_threshold: Failures in a row that make a target unhealthy.
        statuses: What counts as success.
    """

    path: str = "/"
    interval_seconds: float = 30.0
    timeout_seconds: float = 5.0
    healthy_threshold: int = 5
    unhealthy_threshold: int = 2
    statuses: frozenset[int] = frozenset({200})


@dataclass(frozen=True, kw_only=True)
class TargetGroup:
    """Where requests are forwarded.

    Attributes:
        targets: The registered ones.
        protocol: Of requests and of health checks; certificates of targets are never validated, as by ALB.
        health_check: See there.
        deregistration_delay_seconds: How long a target that is no longer registered may finish what it has.
        arn: For the access log.
    """

    targets: tuple[Target, ...] = ()
    protocol: Literal["HTTP", "HTTPS"] = "HTTPS"
    health_check: HealthCheck = field(default_factory=HealthCheck)
    deregistration_delay_seconds: float = 300.0
    arn: str = "-"


@dataclass(frozen=True, kw_only=True)
class Forward:
    """To the target group."""


@dataclass(frozen=True, kw_only=True)
class FixedResponse:
    """An answer of the load balancer itself.

    Attributes:
        status: Of the answer.
        content_type: Of the body.
        body: Text, at most 1024 characters in AWS.
    """

    status: int
    content_type: str = "text/plain"
    body: str = ""


@dataclass(frozen=True, kw_only=True)
class Redirect:
    """To another address.

    `#{protocol}`, `#{host}`, `#{port}`, `#{path}` and `#{query}` stand for what the request has.

    Attributes:
        status: 301 or 302.
        protocol: Of the address.
        host: Of the address.
        port: Of the address.
        path: Begins with a slash; the request's path comes without its own.
        query: Without the question mark.
    """

    status: Literal[301, 302] = 301
    protocol: str = "#{protocol}"
    host: str = "#{host}"
    port: str = "#{port}"
    path: str = "/#{path}"
    query: str = "#{query}"


Action: TypeAlias = Forward | FixedResponse | Redirect


@dataclass(frozen=True, kw_only=True)
class ListenerConfiguration:
    """One listener with its load balancer's attributes; a new one holds for connections made after it.

    Attributes:
        port: On loopback; 0 lets the system choose.
        certificate_chain_pem: The server's certificate and its intermediates. Empty: plain HTTP.
        private_key_pem: Its key, unencrypted.
        ssl_policy: Name of a security policy.
        mode: Mutual TLS.
        trust_store_pem: The CA bundle of verify mode.
        revocation_lists: CRLs of the trust store, each PEM.
        ignore_expiry: Lets clients in whose certificate has expired.
        advertise_ca_names: Tells clients the names of the authorities.
        header_names: Original name of a header that the listener adds, in any case, to what it is called
            instead. Those of the TLS version and cipher suite may be among them.
        response_headers: Name and value of headers that every response has, whatever the target says of
            them.
        target_group: Where `Forward` goes.
        default_action: What is done with requests.
        idle_timeout_seconds: Without a byte for that long, client or target has failed.
        client_keep_alive_seconds: How long a client's connection lives at most.
        drop_invalid_header_fields: Removes headers whose names hold more than letters, digits and hyphens.
        desync_mode: What is done with requests that could be read in two ways.
        tls_version_and_cipher_suite_headers: Adds `X-Amzn-TLS-Version` and `X-Amzn-TLS-Cipher-Suite`.
        forwarded_for_mode: What is done with `X-Forwarded-For`.
        forwarded_for_client_port: Whether the client's port goes into it as well.
        load_balancer: `app/name/id`, for the access log.
        certificate_arn: For the access log.
    """

    port: int
    certificate_chain_pem: str = ""
    private_key_pem: str = field(default="", repr=False)
    ssl_policy: str = RECOMMENDED_SSL_POLICY
    mode: Mode = "off"
    trust_store_pem: str = ""
    revocation_lists: tuple[str, ...] = ()
    ignore_expiry: bool = False
    advertise_ca_names: bool = False
    header_names: Mapping[str, str] = field(default_factory=dict, repr=False)
    response_headers: Mapping[str, str] = field(default_factory=dict)
    target_group: TargetGroup = field(default_factory=TargetGroup)
    default_action: Action = field(default_factory=Forward)
    idle_timeout_seconds: float = 60.0
    client_keep_alive_seconds: float = 3600.0
    drop_invalid_header_fields: bool = False
    desync_mode: DesyncMode = "defensive"
    tls_version_and_cipher_suite_headers: bool = False
    forwarded_for_mode: ForwardedForMode = "append"
    forwarded_for_client_port: bool = False
    load_balancer: str = "app/local/0000000000000000"
    certificate_arn: str = "-"

    @property
    def secure(self) -> bool:
        """Whether it speaks TLS."""
        return bool(self.certificate_chain_pem)
