"""Where a stack is deployed: partition, account and region."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True, kw_only=True)
class Account:
    """One AWS account in one region; `partition` is `aws`, `aws-cn` or `aws-us-gov`."""

    partition: pulumi.Input[str]
    account_id: pulumi.Input[str]
    region: pulumi.Input[str]


def deploying_account() -> Account:
    """The account and region that the aws provider of this program works in."""
    return Account(
        partition=aws.get_partition_output().partition,
        account_id=aws.get_caller_identity_output().account_id,
        region=aws.get_region_output().region,
    )


def available_zones() -> pulumi.Output[list[str]]:
    """Names of the zones that every account may use, in alphabetical order."""
    zones = aws.get_availability_zones_output(
        state="available", filters=[{"name": "opt-in-status", "values": ["opt-in-not-required"]}]
    )
    return zones.names.apply(sorted)
