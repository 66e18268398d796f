"""What a listener is told, from what was declared of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.acm.certificates import Issued
from emulator.elb.data_plane.configuration import Target
from emulator.elb.listener_configuration import listener_configuration, matched_statuses
from emulator.elb.resources import Listener, LoadBalancer, TargetGroup, TrustStore

SECRET = "x-mtls-leaf-0123456789abcdef01234567"


def configuration(**more):
    balancer = LoadBalancer(arn="arn:aws:elb:loadbalancer/app/front/1", name="front", region="eu-central-1")
    values = {
        "load_balancer": balancer.model_copy(update={"drop_invalid_header_fields": True}),
        "target_group": TargetGroup(arn="tg", health_path="/healthz", matcher="200-202,204"),
        "trust_store": TrustStore(arn="ts", bundle="authorities", revocations={10: "late", 9: "early"}),
        "certificate": Issued(chain_pem="chain", private_key_pem="a private key"),
        "targets": {Target(host="127.0.0.1", port=2), Target(host="127.0.0.1", port=1)},
        **more,
    }
    listener = Listener(
        arn="l",
        load_balancer_arn=balancer.arn,
        port=443,
        ssl_policy="p",
        certificate_arn="c",
        mode="verify",
        trust_store_arn="ts",
        header_names={"x-amzn-mtls-clientcert-leaf": SECRET},
        target_group_arn="tg",
    )
    return listener_configuration(listener, **values)


def test_it_has_everything_that_was_declared():
    made = configuration()
    assert (made.mode, made.trust_store_pem, made.revocation_lists) == (
        "verify",
        "authorities",
        ("early", "late"),
    )
    assert made.target_group.health_check.path == "/healthz"
    assert made.target_group.health_check.statuses == {200, 201, 202, 204}
    assert [target.port for target in made.target_group.targets] == [1, 2]
    assert made.drop_invalid_header_fields
    assert made.load_balancer == "app/front/1"


def test_it_is_the_same_for_the_same_targets_in_another_order_so_that_nothing_is_renewed_in_vain():
    targets = [Target(host="127.0.0.1", port=port) for port in (3, 1, 2)]
    assert configuration(targets=targets) == configuration(targets=targets[::-1])


def test_secrets_are_in_no_text():
    assert SECRET not in repr(configuration())
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
