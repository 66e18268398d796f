"""Whether strangers can satisfy conditions: by cases, and against an evaluator that shares no code."""

from __future__ import annotations

import ipaddress
from random import Random
from typing import Any

import pytest

from emulator.iam.conditions import condition_holds
from policy.conditions import Answer, Condition, admits_strangers, covers, unsatisfiable_keys
from policy.context_keys import OF_AN_ACCOUNT, OF_EVERYBODY
from policy.owned import Owned
from policy.text.policy_document import is_every_resource
from tests.policy import condition_cases
from tests.policy.condition_cases import OWN, OWN_ORGANISATION, Conditions
from tests.policy.examples import UNKNOWN, a_pack, in_process, sent
from tests.policy.fixtures.account import trusting

OWNED = Owned(accounts=frozenset({OWN}), organisations=frozenset({OWN_ORGANISATION}))


def of(conditions: Conditions) -> tuple[Condition, ...]:
    return tuple(
        Condition(operator=operator, key=key.lower(), values=tuple(values))
        for operator, keys in conditions.items()
        for key, values in keys.items()
    )


def a_stranger_satisfies(conditions: Conditions) -> bool:
    """Whether one of the requests that strangers can make satisfies all of them."""
    for key in {key for keys in conditions.values() for key in keys}:
        block = [(operator, keys[key]) for operator, keys in conditions.items() if key in keys]
        stated = [value for operator, values in block if operator != "Null" for value in values]
        if not any(
            all(condition_holds(operator, key, values, context) for operator, values in block)
            for context in condition_cases.requests(key, stated)
        ):
            return False
    return True


def compare(number: int, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - cases, no secrets
    answers: list[bool] = []
    lacking = 0
    for _ in range(number):
        conditions = condition_cases.conditions(random)
        answer = admits_strangers(of(conditions), OF_EVERYBODY, OWNED)
        found = a_stranger_satisfies(conditions)
        # A variable can have more values than the requests have.
        chosen = "${aws:PrincipalAccount}" in str(conditions)
        assert answer is Answer.YES or not found, conditions
        lacking += answer is Answer.YES and not found and not chosen
        answers.append(found)
    # The requests are made of few texts, and so lack some that only a mix of several patterns matches.
    assert lacking <= number // 500
    assert 0.2 < sum(answers) / number < 0.9, "both answers are tried"


def test_random_conditions_are_judged_as_requests_show() -> None:
    compare(400, seed=7)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
def test_many_random_conditions_are_judged_as_requests_show(seed: int) -> None:
    compare(10_000, seed=1000 + seed)


@pytest.mark.parametrize(
    ("networks", "wide"),
    [
        (["0.0.0.0/0"], True),
        (["0.0.0.0/1"], True),
        (["0.0.0.0/1", "128.0.0.0/1"], True),
        (["12.0.0.0/8", "13.0.0.0/8"], True),
        (["12.0.0.0/8"], False),
        (["10.0.0.0/7"], False),
        (["10.0.0.0/8", "192.168.0.0/16"], False),
        (["203.0.113.7"], False),
        (["2000::/3"], True),
        (["2001:db8::/32"], False),
        (["fc00::/7"], False),
        (["203.0.113.0/24", "::/0"], True),
        (["no address"], False),
    ],
)
def test_networks_that_are_too_wide_to_be_ones_own(networks: list[str], *, wide: bool) -> None:
    conditions = of({"IpAddress": {"aws:SourceIp": networks}})
    assert (admits_strangers(conditions, OF_EVERYBODY, OWNED) is Answer.YES) == wide


def test_networks_are_excluded_before_they_are_measured() -> None:
    everything = {"aws:SourceIp": ["0.0.0.0/0"]}
    but_halves = {"aws:SourceIp": [str(each) for each in ipaddress.ip_network("0.0.0.0/0").subnets(1)]}
    excluded = of({"IpAddress": everything, "NotIpAddress": but_halves})
    assert admits_strangers(excluded, OF_EVERYBODY, OWNED) is Answer.NO
    assert unsatisfiable_keys(excluded) == ["aws:sourceip"]


@pytest.mark.parametrize(
    ("operator", "value", "met"),
    [
        ("StringLike", "a*", True),
        ("StringEquals", "a*", True),
        ("StringLike", "${*}", True),
        ("NumericLessThan", "5", True),
        ("DateLessThan", "2026-01-01T00:00:00Z", True),
    ],
)
def test_keys_that_nobody_knows_can_have_any_value(operator: str, value: str, *, met: bool) -> None:
    assert (unsatisfiable_keys(of({operator: {"app:key": [value]}})) == []) == met


def test_numbers_and_dates_are_ordered() -> None:
    between = {"NumericGreaterThan": {"n": ["5"]}, "NumericLessThan": {"n": ["6"]}}
    assert unsatisfiable_keys(of(between)) == []
    assert unsatisfiable_keys(of({**between, "NumericGreaterThanEquals": {"n": ["6"]}})) == ["n"]
    dates = {"DateGreaterThan": {"d": ["2027-01-01T00:00:00Z"]}, "DateLessThan": {"d": ["2026-01-01"]}}
    assert unsatisfiable_keys(of(dates)) == ["d"]
    never = {"NumericNotEquals": {"n": ["5"]}, "NumericEquals": {"n": ["5"]}}
    assert unsatisfiable_keys(of(never)) == ["n"]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"StringEquals": {"aws:SourceAccount": [OWN]}}, Answer.UNDECIDED),
        ({"StringLike": {"aws:SourceAccount": [OWN, "*"]}}, Answer.YES),
        ({"ArnLike": {"aws:PrincipalArn": [f"arn:aws:iam::{OWN}:role/*"]}}, Answer.UNDECIDED),
        ({"StringEquals": {"aws:PrincipalOrgID": [OWN_ORGANISATION]}}, Answer.UNDECIDED),
        ({"StringEquals": {"aws:PrincipalAccount": ["${aws:ResourceAccount}"]}}, Answer.NO),
        ({"StringEquals": {"aws:SourceVpc": ["${ec2:Unheard}"]}}, Answer.UNDECIDED),
        ({"StringAlmostEquals": {"aws:SourceAccount": [OWN]}}, Answer.UNDECIDED),
    ],
)
def test_what_is_ones_own_has_to_be_known(conditions: Conditions, expected: Answer) -> None:
    assert admits_strangers(of(conditions), OF_EVERYBODY) is expected


@pytest.mark.parametrize(
    ("operator", "values", "expected"),
    [
        ("StringEquals", (None,), Answer.UNDECIDED),
        ("StringNotEquals", (None,), Answer.YES),
        ("StringEquals", (None, "999999999999"), Answer.YES),
        ("StringEquals", (None, OWN), Answer.UNDECIDED),
        ("StringLike", (None, "*"), Answer.YES),
        ("StringEqualsIfExists", (None,), Answer.YES),
    ],
)
def test_values_that_are_not_known(operator: str, values: Any, expected: Answer) -> None:
    condition = Condition(operator=operator, key="aws:sourceaccount", values=values)
    assert admits_strangers((condition,), OF_EVERYBODY, OWNED) is expected


def test_several_values_of_one_request() -> None:
    one = {"aws:PrincipalOrgPaths": ["o-one/*"]}
    other = {"aws:PrincipalOrgPaths": ["o-other/*"]}
    both = {"ForAnyValue:StringLike": one, "ForAnyValue:StringLikeIfExists": other}
    assert unsatisfiable_keys(of(both)) == []
    assert unsatisfiable_keys(of({**both, "ForAllValues:StringLike": other})) == ["aws:principalorgpaths"]
    assert unsatisfiable_keys(of({"StringLike": one, "StringLikeIfExists": other})) == [
        "aws:principalorgpaths"
    ]


def test_what_covers_what() -> None:
    assert covers("s3:*", ["s3:Get*", "s3:*"])
    assert not covers("s3:*", ["s3:Get*", "s3:Put*"])
    assert covers("arn:aws:s3:::b/*", ["arn:aws:s3:::*"])
    assert not covers("arn:aws:s3:::b/*", ["*"], but=["*/public/*"])
    assert covers("arn:aws:s3:::b/*", ["*"], but=["arn:aws:s3:::c/*"])


@pytest.mark.parametrize(
    ("resource", "every"),
    [
        ("*", True), ("arn:*", True), (f"arn:aws:iam::{OWN}:*", True), (f"arn:aws:iam::{OWN}:role/*", True),
        ("arn:aws:iam::*:role*", True), ("arn:aws:iam::*:*/*", True), ("arn:aws:iam::1:role/app-*", False),
        ("arn:aws:secretsmanager:*:1:secret:*", True),
        ("arn:aws:secretsmanager:*:1:secret:app-??????", False),
        ("arn:aws:s3:::bucket/*", False), ("arn:aws:sqs:eu-central-1:1:orders*", False),
    ],
)  # fmt: skip
def test_resources_that_are_all_of_a_kind(resource: str, *, every: bool) -> None:
    assert is_every_resource(resource) == every


def test_the_account_is_asked_for_where_it_decides() -> None:
    own = trusting({"Service": "events.amazonaws.com"}, StringEquals={"aws:SourceAccount": OWN})
    found = in_process(own, a_pack(owned=Owned()))
    assert found == {("P156", "role", "undecided")}
    assert in_process(own) == set()


def test_a_condition_that_is_not_known_yet_is_waited_for() -> None:
    for condition in (
        UNKNOWN,
        {"StringEquals": UNKNOWN},
        {"StringEquals": {"aws:SourceVpce": UNKNOWN}},
        {"StringEquals": {"aws:SourceVpce": ["vpce-1a2b", UNKNOWN]}},
    ):
        statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"}
        policy = {"Statement": [{**statement, "Condition": condition}]}
        resources = [sent("aws:s3/bucketPolicy:BucketPolicy", "b", {"bucket": "b", "policy": policy})]
        assert ("P124", "b", "undecided") in in_process(resources), condition
        assert ("P124", "b", "violated") not in in_process(resources)


def test_accounts_and_organisations_come_from_the_configuration() -> None:
    pack = a_pack(owned=Owned())
    pack.configure({}, {"accounts": [OWN], "organisations": [OWN_ORGANISATION]})
    assert pack.owned == OWNED
    assert pack.mistakes == []
    pack.configure({}, {"accounts": ["12345", OWN], "organisations": "o-1"})
    assert pack.owned.accounts == {OWN}
    assert [each.split()[0] for each in pack.mistakes] == ["accounts", "organisations"]


def test_a_partner_has_to_prove_itself() -> None:
    age = {"NumericLessThan": {"aws:MultiFactorAuthAge": ["3600"]}}
    assert admits_strangers(of(age), OF_AN_ACCOUNT, OWNED) is Answer.NO
    if_exists = {"NumericLessThanIfExists": {"aws:MultiFactorAuthAge": ["3600"]}}
    assert admits_strangers(of(if_exists), OF_AN_ACCOUNT, OWNED) is Answer.YES
