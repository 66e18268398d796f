"""Invokes of the aws stand-in: who and where the deployer is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emulator.core.provider import Function
from emulator.core.request import Request
from emulator.core.resource_type import Properties, Refused
from emulator.ec2.zones import zone_id, zone_names
from emulator.endpoint.aws_endpoint import AwsEndpoint
from emulator.endpoint.credentials import REGION

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

    def caller_identity(request: Request) -> Properties:
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


def _wanted_region(request: Request) -> str:
    return (
        request.inputs.get("region")
        or request.inputs.get("name")
        or request.configuration.get("region")
        or REGION
    )


def _partition(request: Request) -> Properties:
    return {
        "dnsSuffix": "amazonaws.com",
        "id": "aws",
        "partition": "aws",
        "reverseDnsPrefix": "com.amazonaws",
    }


def _region(request: Request) -> Properties:
    region = _wanted_region(request)
    return {
        "description": _REGIONS.get(region, region),
        "endpoint": f"ec2.{region}.amazonaws.com",
        "id": region,
        "name": region,
        "region": region,
    }


def _availability_zones(request: Request) -> Properties:
    region = _wanted_region(request)
    names: list[Any] = list(zone_names(region))
    for item in request.inputs.get("filters") or ():
        wanted = _ZONE_FILTERS.get(item["name"])
        if wanted is None:
            raise Refused(
                f"getAvailabilityZones: filter {item['name']!r} has no stand-in in the sandbox; it has "
                f"{', '.join(_ZONE_FILTERS)}"
            )
        if wanted not in item["values"]:
            names = []
    excluded = {*(request.inputs.get("excludeNames") or ()), *(request.inputs.get("excludeZoneIds") or ())}
    names = [name for name in names if name not in excluded and zone_id(name) not in excluded]
    if request.inputs.get("state") not in (None, "available"):
        names = []
    return {
        **request.inputs,
        "groupNames": [f"{region}-zg-1"] if names else [],
        "id": region,
        "names": names,
        "region": region,
        "zoneIds": [zone_id(name) for name in names],
    }
