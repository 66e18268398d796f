"""Fixtures are what the SDK's classes send of them."""

from __future__ import annotations

import json

from tests.policy import typed
from tests.policy.registering import resources_of
from tests.policy.test_rules import PASSES
from tests.recording_monitor import is_secret, record


def test_fixtures_mark_as_secret_what_the_sdk_s_classes_mark() -> None:
    fixtures = {f"s{number}": stack for number, stack in enumerate(PASSES.values())}
    resources = resources_of(fixtures)
    one_of_each = {each["type"]: each for each in resources if not each["dependencies"]}
    sent = json.loads(json.dumps(list(one_of_each.values())))
    registrations = record(lambda: typed.register(sent)).registrations
    assert len(registrations) == len(one_of_each) > 30
    for each in registrations:
        stated = one_of_each[each.type]["properties"]
        demanded = typed.demanded_of(each.type).items()
        marked = {
            key
            for key, value in each.inputs.items()
            if is_secret(value) and (key, stated[key]) not in demanded
        }
        assert marked == {key for key, value in stated.items() if is_secret(value)}, each.type


def test_a_type_that_no_sdk_has_stays_a_resource_without_a_class() -> None:
    assert typed.class_of("aws:ssm/parameter:Parameter").__name__ == "Parameter"
    assert typed.secrets_of("aws:ssm/parameter:Parameter") == {"value", "valueWo"}
    assert typed.arguments_of("aws:ssm/parameter:Parameter")["keyId"] == "key_id"
    assert typed.class_of("aws:ssm/newThing:NewThing") is None
    assert typed.class_of("kubernetes:core/v1:Secret") is None
