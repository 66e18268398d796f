"""What a listener is told, put together from everything that was declared."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from emulator.acm.certificates import Issued
from emulator.elb.data_plane.configuration import HealthCheck, ListenerConfiguration, Target
from emulator.elb.data_plane.configuration import TargetGroup as RunningTargetGroup
from emulator.elb.resources import Listener, LoadBalancer, TargetGroup, TrustStore


def listener_configuration(
    listener: Listener,
    *,
    load_balancer: LoadBalancer,
    target_group: TargetGroup,
    trust_store: TrustStore | None,
    certificate: Issued,
    targets: Collection[Target],
) -> ListenerConfiguration:
    """The configuration of a listener.

    Args:
        listener: The listener.
        load_balancer: Whose it is.
        target_group: Where it forwards.
        trust_store: Whom clients' certificates have to come from.
        certificate: The server's.
        targets: What is registered in the target group.
    """
    revocations = () if trust_store is None else tuple(trust_store.revocations.items())
    return ListenerConfiguration(
        port=listener.port,
        certificate_chain_pem=certificate.chain_pem,
        private_key_pem=certificate.private_key_pem,
        ssl_policy=listener.ssl_policy,
        mode=listener.mode,
        trust_store_pem=trust_store.bundle if trust_store is not None else "",
        revocation_lists=tuple(pem for _, pem in sorted(revocations)),
        ignore_expiry=listener.ignore_expiry,
        advertise_ca_names=listener.advertise_ca_names,
        header_names=dict(listener.header_names),
        response_headers=dict(listener.response_headers),
        target_group=RunningTargetGroup(
            targets=tuple(sorted(targets)),
            protocol="HTTPS",
            health_check=HealthCheck(
                path=target_group.health_path,
                interval_seconds=target_group.health_interval,
                timeout_seconds=target_group.health_timeout,
                healthy_threshold=target_group.healthy_threshold,
                unhealthy_threshold=target_group.unhealthy_threshold,
                statuses=frozenset(matched_statuses(target_group.matcher)),
            ),
            deregistration_delay_seconds=target_group.deregistration_delay,
            arn=target_group.arn,
        ),
        idle_timeout_seconds=load_balancer.idle_timeout,
        client_keep_alive_seconds=load_balancer.client_keep_alive,
        drop_invalid_header_fields=load_balancer.drop_invalid_header_fields,
        desync_mode=load_balancer.desync_mode,
        tls_version_and_cipher_suite_headers=load_balancer.tls_version_and_cipher_suite_headers,
        forwarded_for_mode=load_balancer.forwarded_for_mode,
        forwarded_for_client_port=load_balancer.forwarded_for_client_port,
        load_balancer=load_balancer.arn.partition(":loadbalancer/")[2],
        certificate_arn=listener.certificate_arn,
    )


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
