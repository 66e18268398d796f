"""A load balancer whose one listener wants a client certificate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import pulumi
from pulumi_aws import lb

from components.account import Account
from components.private_bucket import Delivery, PrivateBucket, PrivateBucketArgs
from gateway.header_names import header_names
from settings import Gateway

HEALTH_PATH = "/healthz"
LOG_DELIVERY = "logdelivery.elasticloadbalancing.amazonaws.com"

_IDLE_SECONDS = 60
_DEREGISTRATION_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class MutualTlsListenerArgs:
    """Arguments of `MutualTlsListener`.

    Attributes:
        account: Where it is.
        vpc_id: The VPC.
        subnets: Ids of subnets in two zones at least.
        security_group: The load balancer's security group.
        settings: The section `gateway`: port, TLS policy, what it faces, how long logs are kept.
        target_port: Port of the targets, HTTPS.
        certificate_arn: Certificate of ACM for the load balancer's name.
        trust_store_arn: Which clients' certificates it takes.
        header_suffix: End of the names of the headers in which it hands the certificate on; made a secret
            here, whatever the caller passes.
        reached_by: What must be there before the load balancer is, such as the VPC's way in.
        serve_after: What must be there before anybody is let in.
        tags: Tags of every child.

    Raises:
        ValueError: Fewer than two subnets.
    """

    account: Account
    vpc_id: pulumi.Input[str]
    subnets: Sequence[pulumi.Input[str]]
    security_group: pulumi.Input[str]
    settings: Gateway
    target_port: int
    certificate_arn: pulumi.Input[str]
    trust_store_arn: pulumi.Input[str]
    header_suffix: pulumi.Input[str] = field(repr=False)
    reached_by: Sequence[pulumi.Resource] = ()
    serve_after: Sequence[pulumi.Resource] = ()
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what can be checked before anything is registered."""
        if len(self.subnets) < 2:
            raise ValueError(
                f"subnets: {len(self.subnets)}; a load balancer needs subnets in two zones at least"
            )
        object.__setattr__(self, "header_suffix", pulumi.Output.secret(self.header_suffix))


@final
@dataclass(frozen=True, kw_only=True)
class MutualTlsListenerResources:
    """Children of `MutualTlsListener`."""

    logs: PrivateBucket
    load_balancer: lb.LoadBalancer
    target_group: lb.TargetGroup
    listener: lb.Listener


class MutualTlsListener(pulumi.ComponentResource):
    """`passwordless-postgres:index:MutualTlsListener`: an Application Load Balancer with one way in.

    Makes a `PrivateBucket` for access and connection logs, a `lb.LoadBalancer`, its only `lb.Listener`
    (HTTPS, mutual TLS in verify mode, expiry never ignored) and the `lb.TargetGroup` behind it, which
    nothing else forwards to. There is no listener for HTTP, not even one that redirects.

    Attributes:
        dns_name: The load balancer's own name.
        zone_id: Zone of that name, for alias records.
        arn_suffix: What metrics call the load balancer.
        target_group_arn: The target group; known once the listener forwards to it.
        target_group_arn_suffix: What metrics call the target group.
        resources: The children.
    """

    dns_name: pulumi.Output[str]
    zone_id: pulumi.Output[str]
    arn_suffix: pulumi.Output[str]
    target_group_arn: pulumi.Output[str]
    target_group_arn_suffix: pulumi.Output[str]
    resources: MutualTlsListenerResources

    def __init__(
        self, name: str, args: MutualTlsListenerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Make load balancer and listener."""
        super().__init__("passwordless-postgres:index:MutualTlsListener", name, {}, opts)
        self._name, self._args = name, args
        logs = self._logs()
        load_balancer = self._load_balancer(logs)
        target_group = self._target_group()
        listener = self._listener(load_balancer, target_group)
        self.resources = MutualTlsListenerResources(
            logs=logs, load_balancer=load_balancer, target_group=target_group, listener=listener
        )
        self.dns_name = load_balancer.dns_name
        self.zone_id = load_balancer.zone_id
        self.arn_suffix = load_balancer.arn_suffix
        self.target_group_arn = target_group.arn
        self.target_group_arn_suffix = target_group.arn_suffix
        self.register_outputs({"dnsName": self.dns_name, "targetGroupArn": self.target_group_arn})

    def _logs(self) -> PrivateBucket:
        args = self._args
        account = args.account
        source = pulumi.Output.concat(
            "arn:",
            account.partition,
            ":elasticloadbalancing:",
            account.region,
            ":",
            account.account_id,
            ":loadbalancer/*",
        )
        return PrivateBucket(
            f"{self._name}-logs",
            PrivateBucketArgs(
                writers={},
                deliveries=[
                    Delivery(
                        service=LOG_DELIVERY,
                        path=pulumi.Output.concat(kind, "/AWSLogs/", account.account_id, "/*"),
                        source=source,
                    )
                    for kind in ("access", "connection")
                ],
                retention_days=args.settings.log_retention_days,
                disposable=not args.settings.deletion_protection,
                tags=args.tags,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _load_balancer(self, logs: PrivateBucket) -> lb.LoadBalancer:
        args = self._args
        return lb.LoadBalancer(
            self._name,
            load_balancer_type="application",
            internal=args.settings.internal,
            ip_address_type="ipv4",
            subnets=list(args.subnets),
            security_groups=[args.security_group],
            drop_invalid_header_fields=True,
            desync_mitigation_mode="strictest",
            enable_http2=True,
            xff_header_processing_mode="append",
            preserve_host_header=True,
            enable_waf_fail_open=False,
            idle_timeout=_IDLE_SECONDS,
            enable_deletion_protection=args.settings.deletion_protection,
            access_logs=lb.LoadBalancerAccessLogsArgs(enabled=True, bucket=logs.id, prefix="access"),
            connection_logs=lb.LoadBalancerConnectionLogsArgs(
                enabled=True, bucket=logs.id, prefix="connection"
            ),
            tags={**args.tags, "Name": self._name},
            # Elastic Load Balancing writes a test object when logging to a bucket is enabled.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[logs, *args.reached_by]),
        )

    def _target_group(self) -> lb.TargetGroup:
        args = self._args
        return lb.TargetGroup(
            f"{self._name}-gateway",
            vpc_id=args.vpc_id,
            target_type="instance",
            protocol="HTTPS",
            protocol_version="HTTP1",
            port=args.target_port,
            deregistration_delay=_DEREGISTRATION_SECONDS,
            load_balancing_algorithm_type="least_outstanding_requests",
            health_check=lb.TargetGroupHealthCheckArgs(
                enabled=True,
                protocol="HTTPS",
                path=HEALTH_PATH,
                port="traffic-port",
                matcher="200",
                interval=10,
                timeout=5,
                healthy_threshold=2,
                unhealthy_threshold=3,
            ),
            tags={**args.tags, "Name": f"{self._name}-gateway"},
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _listener(self, load_balancer: lb.LoadBalancer, target_group: lb.TargetGroup) -> lb.Listener:
        args = self._args
        suffix = pulumi.Output.from_input(args.header_suffix)

        def header(which: str) -> pulumi.Output[str]:
            return suffix.apply(lambda text: getattr(header_names(text), which))

        return lb.Listener(
            f"{self._name}-https",
            load_balancer_arn=load_balancer.arn,
            port=args.settings.port,
            protocol="HTTPS",
            certificate_arn=args.certificate_arn,
            ssl_policy=args.settings.ssl_policy,
            mutual_authentication=lb.ListenerMutualAuthenticationArgs(
                mode="verify",
                trust_store_arn=args.trust_store_arn,
                ignore_client_certificate_expiry=False,
                advertise_trust_store_ca_names="on",
            ),
            routing_http_response_strict_transport_security_header_value="max-age=31536000",
            routing_http_request_x_amzn_mtls_clientcert_leaf_header_name=header("leaf"),
            routing_http_request_x_amzn_mtls_clientcert_serial_number_header_name=header("serial_number"),
            routing_http_request_x_amzn_mtls_clientcert_issuer_header_name=header("issuer"),
            routing_http_request_x_amzn_mtls_clientcert_subject_header_name=header("subject"),
            routing_http_request_x_amzn_mtls_clientcert_validity_header_name=header("validity"),
            routing_http_response_server_enabled=False,
            default_actions=[lb.ListenerDefaultActionArgs(type="forward", target_group_arn=target_group.arn)],
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(args.serve_after)),
        )
