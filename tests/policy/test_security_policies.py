"""The table of security policies agrees with AWS's documentation."""

from __future__ import annotations

from policy.rules.elb.security_policies import POLICIES, RECOMMENDED

WITH_OLD_TLS = (
    "2016-08", "2015-05", "TLS-1-0-2015-04", "TLS-1-1-2017-01", "FS-2018-06", "FS-1-1-2019-08",
    "TLS13-1-0-2021-06", "TLS13-1-0-FIPS-2023-04", "TLS13-1-0-PQ-2025-09", "TLS13-1-0-FIPS-PQ-2025-09",
    "TLS13-1-1-2021-06", "TLS13-1-1-FIPS-2023-04",
)  # fmt: skip
OF_ELB_17 = (
    "TLS13-1-3-2021-06", "TLS13-1-3-FIPS-2023-04", "TLS13-1-2-Res-2021-06", "TLS13-1-2-Res-FIPS-2023-04",
    "TLS13-1-3-PQ-2025-09", "TLS13-1-3-FIPS-PQ-2025-09", "TLS13-1-2-Res-PQ-2025-09",
    "TLS13-1-2-Res-FIPS-PQ-2025-09",
)  # fmt: skip


def test_exactly_the_policies_with_old_versions_are_below_the_floor() -> None:
    below = {name for name, policy in POLICIES.items() if policy.minimum in ("1.0", "1.1")}
    assert below == {f"ELBSecurityPolicy-{name}" for name in WITH_OLD_TLS}


def test_what_aws_recommends_has_forward_secrecy_and_authenticated_encryption() -> None:
    for name in OF_ELB_17:
        policy = POLICIES[f"ELBSecurityPolicy-{name}"]
        assert (policy.forward_secret, policy.authenticated) == (True, True), name
    assert POLICIES[RECOMMENDED].post_quantum


def test_authenticated_encryption_is_nowhere_without_forward_secrecy() -> None:
    assert all(policy.forward_secret for policy in POLICIES.values() if policy.authenticated)
