"""Resources of clouds that no rule reads are counted in one line."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import empty_pb2
from pulumi.runtime import proto

from policy.coverage import CLOUDS
from policy.pack import COVERAGE
from tests.policy.examples import Sent, Stub, hardened, sent, unjudged
from tests.policy.fixtures import account, native

GCP = [sent("gcp:sql/databaseInstance:DatabaseInstance", f"db-{each}", {}) for each in range(2)]
NAMESPACE = sent("kubernetes:core/v1:Namespace", "space", {})


def said(*resources: Sent) -> list[str]:
    return [each.message for each in unjudged(Stub(), resources)]


def test_types_of_every_cloud_are_counted_once_in_one_line() -> None:
    types = "gcp:sql/databaseInstance:DatabaseInstance (2), kubernetes:core/v1:Namespace (1)"
    assert said(*GCP, NAMESPACE, *hardened()) == [f"3 resources of 2 types are judged by no rule: {types}"]


def test_one_resource_is_one_resource() -> None:
    assert said(NAMESPACE) == ["1 resource of 1 type is judged by no rule: kubernetes:core/v1:Namespace (1)"]


@pytest.mark.parametrize("package", sorted(CLOUDS))
def test_every_package_of_the_list_is_a_cloud(package: str) -> None:
    assert said(sent(f"{package}:new/new:New", "n", {})) != []


def test_what_is_no_cloud_is_not_counted() -> None:
    assert said(sent("random:index/randomId:RandomId", "n", {}), sent("my:index:Component", "c", {})) == []


def test_what_only_a_stack_rule_looks_up_is_read() -> None:
    assert said(*account.NETWORK) == []


def test_a_mapped_type_of_aws_native_is_read_and_another_is_counted() -> None:
    other = sent("aws-native:rds:DbShardGroup", "s", {})
    assert said(*native.DATABASE, *native.STORAGE, other) == [
        "1 resource of 1 type is judged by no rule: aws-native:rds:DbShardGroup (1)"
    ]


def test_many_types_are_not_all_listed() -> None:
    [line] = said(*(sent(f"gcp:m/t{each:02}:T{each:02}", "t", {}) for each in range(23)))
    assert line.startswith("23 resources of 23 types are judged by no rule: gcp:m/t00:T00 (1), ")
    assert line.endswith("gcp:m/t19:T19 (1) and 3 more types")


@pytest.mark.parametrize(
    ("level", "found"), [(proto.MANDATORY, proto.MANDATORY), (proto.DISABLED, proto.ADVISORY)]
)
def test_its_level_is_raised_as_that_of_a_rule(level: Any, found: Any) -> None:
    stub = Stub()
    names = [each.name for each in stub.GetAnalyzerInfo(empty_pb2.Empty()).policies]
    assert COVERAGE in names
    request = proto.ConfigureAnalyzerRequest()
    request.policyConfig[COVERAGE].enforcementLevel = level
    stub.Configure(request)
    assert [each.enforcementLevel for each in unjudged(stub, GCP)] == [found]
