"""What a preview believes of a network that exists elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emulator.core.request import Request
from emulator.core.resource_type import State
from emulator.ec2.network import SUBNET
from emulator.endpoint.aws_endpoint import AwsEndpoint
from preview.stand_ins import ExistingNetwork, PreviewedAws

CONFIG = {
    "passwordless-postgres:network": {
        "existing": {"vpcId": "vpc-0a", "privateSubnetIds": ["subnet-0c", "subnet-0b", "subnet-0a"]}
    }
}


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PreviewedAws]:
    folder = tmp_path_factory.mktemp("preview")
    with AwsEndpoint(folder) as endpoint:
        yield PreviewedAws(endpoint, ExistingNetwork.of(CONFIG))


def read(aws: PreviewedAws, subnet: str) -> State | None:
    request = Request(
        urn=f"urn:pulumi:prod::passwordless-postgres::{SUBNET}::network-private-1",
        type_token=SUBNET,
        name="network-private-1",
        configuration={"region": "eu-west-1"},
        id=subnet,
    )
    return aws.type_for(SUBNET).read(request)


def test_each_subnet_lies_in_the_vpc_that_is_named_and_in_a_zone_of_its_own(aws: PreviewedAws) -> None:
    zones = {}
    for name in ("subnet-0a", "subnet-0b", "subnet-0c"):
        found = read(aws, name)
        assert found is not None
        assert found.outputs["vpcId"] == "vpc-0a"
        assert found.outputs["arn"].endswith(f"subnet/{name}")
        zones[name] = found.outputs["availabilityZone"]
    assert zones == {"subnet-0c": "eu-west-1a", "subnet-0b": "eu-west-1b", "subnet-0a": "eu-west-1c"}


def test_a_subnet_that_nobody_named_does_not_exist(aws: PreviewedAws) -> None:
    assert read(aws, "subnet-0d") is None


def test_a_stack_file_that_allows_only_its_own_account_is_right(aws: PreviewedAws) -> None:
    assert not aws.check_configuration({"allowedAccountIds": ["111122223333"]})


@pytest.mark.parametrize(
    "section", [None, [], {}, {"existing": None}, {"existing": {"privateSubnetIds": "subnet-0a"}}]
)
def test_nonsense_is_left_to_the_settings(section: object) -> None:
    network = ExistingNetwork.of({"passwordless-postgres:network": section})
    assert (network.vpc_id, network.subnet_ids) == ("", [])
