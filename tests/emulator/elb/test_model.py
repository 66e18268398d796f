"""The models of load balancing, from a program's inputs to what a listener runs with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.acm.service import Issued
from emulator.elb.model import (
    Listener,
    ListenerConfiguration,
    LoadBalancer,
    Target,
    TargetGroup,
    TrustStore,
    matched_statuses,
)

SECRET = "x-mtls-leaf-0123456789abcdef01234567"
PREFIX = "routingHttpRequestXAmznMtlsClientcert"
INPUTS = {
    "loadBalancerArn": "lb",
    "port": "443",
    "certificateArn": "c",
    "mutualAuthentication": {"mode": "verify", "trustStoreArn": "ts"},
    "defaultActions": [{"type": "forward", "forward": {"targetGroups": [{"arn": "tg"}]}}],
    f"{PREFIX}LeafHeaderName": SECRET.upper(),
    f"{PREFIX}SerialNumberHeaderName": None,
    "routingHttpResponseXContentTypeOptionsHeaderValue": "nosniff",
    "tags": {"some": "tag"},
}


def configuration(*targets: Target) -> ListenerConfiguration:
    return ListenerConfiguration(
        listener=Listener.declared(INPUTS, arn="l"),
        load_balancer=LoadBalancer(arn="arn:aws:elb:loadbalancer/app/front/1"),
        target_group=TargetGroup(arn="tg"),
        trust_store=TrustStore(arn="ts", bundle="authorities", revocations={10: "late", 9: "early"}),
        certificate=Issued(chain_pem="chain", private_key_pem="a private key"),
        targets=frozenset(targets),
    )


def test_a_model_has_everything_that_was_declared():
    listener = Listener.declared(INPUTS, arn="l")
    assert (listener.port, listener.target_group_arn) == (443, "tg")
    assert listener.mutual_authentication.trust_store_arn == "ts"
    assert listener.header_names == {"x-amzn-mtls-clientcert-leaf": SECRET}
    assert listener.response_headers == {"x-content-type-options": "nosniff"}
    group = TargetGroup.declared({"healthCheck": {"path": "/healthz", "matcher": "200-202,204"}}, arn="tg")
    assert group.health_check.path == "/healthz"
    assert set(matched_statuses(group.health_check.matcher)) == {200, 201, 202, 204}
    balancer = LoadBalancer.declared({"dropInvalidHeaderFields": True, "idleTimeout": 5}, arn="a")
    assert (balancer.drop_invalid_header_fields, balancer.idle_timeout) == (True, 5)


def test_a_model_is_saved_and_read_again_as_it_was():
    listener = Listener.declared(INPUTS, arn="l")
    assert Listener.model_validate_json(listener.model_dump_json(by_alias=True)) == listener


def test_revocation_lists_come_in_the_order_of_their_ids():
    store = configuration().trust_store
    assert store is not None
    assert store.revocation_lists == ("early", "late")


def test_the_access_log_names_the_load_balancer():
    assert configuration().load_balancer.name_and_id == "app/front/1"


def test_it_is_the_same_for_the_same_targets_in_another_order_so_that_nothing_is_renewed_in_vain():
    targets = [Target(host="127.0.0.1", port=port) for port in (3, 1, 2)]
    assert configuration(*targets) == configuration(*targets[::-1])


def test_secrets_are_in_no_text():
    assert SECRET not in repr(configuration()).lower()
    assert "a private key" not in repr(configuration())


@given(st.lists(st.tuples(st.integers(200, 499), st.integers(0, 50)), min_size=1, max_size=5))
def test_every_status_of_a_matcher_is_found_and_no_other_one(parts):
    ranges = [(low, min(low + more, 499)) for low, more in parts]
    text = ",".join(f"{low}-{high}" if high > low else str(low) for low, high in ranges)
    expected = {status for low, high in ranges for status in range(low, high + 1)}
    assert set(matched_statuses(text)) == expected


@pytest.mark.parametrize("matcher", ["", "ok", "200-", "-200", "200,", "199", "500", "300-200"])
def test_a_matcher_that_elb_refuses_is_refused(matcher):
    with pytest.raises(ValueError, match=r"\S"):
        list(matched_statuses(matcher))
