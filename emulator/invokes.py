"""Invokes of the aws stand-in: who and where the deployer is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emulator.core.credentials import REGION
from emulator.core.endpoint import AwsEndpoint
from emulator.core.provider import Function
from emulator.core.resource_type import Call, Properties, Refused
from emulator.ec2.zones import zone_id, zone_names

_REGIONS = {
    "eu-central-1": "Europe (Frankfurt)",
    "eu-west-1": "Europe (Ireland)",
    "us-east-1": "US East (N. Virginia)",
}
# Every zone of the sandbox is open to everybody and available; filters by these say nothing new.
_ZONE_FILTERS: Mapping[str, str] = {
    "opt-in-status": "opt-in-not-required",
    "state": "available",
    "zone-type": "availability-zone",
}


def functions(endpoint: AwsEndpoint) -> dict[str, Function]:
    """The invokes by token."""

    def caller_identity(call: Call, arguments: Properties) -> Properties:
        del call, arguments
        found = endpoint.client("sts").get_caller_identity()
        return {
            "accountId": found["Account"],
            "arn": found["Arn"],
            "userId": found["UserId"],
            "id": found["Account"],
        }

    return {
        "aws:index/getCallerIdentity:getCallerIdentity": caller_identity,
        "aws:index/getPartition:getPartition": _partition,
        "aws:index/getRegion:getRegion": _region,
        "aws:index/getAvailabilityZones:getAvailabilityZones": _availability_zones,
    }


def _wanted_region(call: Call, arguments: Properties) -> str:
    return arguments.get("region") or arguments.get("name") or call.configuration.get("region") or REGION


def _partition(call: Call, arguments: Properties) -> Properties:
    del call, arguments
    return {
        "dnsSuffix": "amazonaws.com",
        "id": "aws",
        "partition": "aws",
        "reverseDnsPrefix": "com.amazonaws",
    }


def _region(call: Call, arguments: Properties) -> Properties:
    region = _wanted_region(call, arguments)
    return {
        "description": _REGIONS.get(region, region),
        "endpoint": f"ec2.{region}.amazonaws.com",
        "id": region,
        "name": region,
        "region": region,
    }


def _availability_zones(call: Call, arguments: Properties) -> Properties:
    region = _wanted_region(call, arguments)
    names: list[Any] = list(zone_names(region))
    for item in arguments.get("filters") or ():
        wanted = _ZONE_FILTERS.get(item["name"])
        if wanted is None:
            raise Refused(
                f"getAvailabilityZones: filter {item['name']!r} has no stand-in in the sandbox; it has "
                f"{', '.join(_ZONE_FILTERS)}"
            )
        if wanted not in item["values"]:
            names = []
    excluded = {*(arguments.get("excludeNames") or ()), *(arguments.get("excludeZoneIds") or ())}
    names = [name for name in names if name not in excluded and zone_id(name) not in excluded]
    if arguments.get("state") not in (None, "available"):
        names = []
    return {
        **arguments,
        "groupNames": [f"{region}-zg-1"] if names else [],
        "id": region,
        "names": names,
        "region": region,
        "zoneIds": [zone_id(name) for name in names],
    }
