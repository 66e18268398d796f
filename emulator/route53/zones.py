"""Route 53 zones and records. Recorded: nothing in the sandbox asks them, every endpoint is localhost."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from emulator.core.aws_type import AwsRequest, AwsType, given, known, text
from emulator.core.checks import one_of, values
from emulator.core.properties import UNKNOWN
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.ec2.network import NO_SUCH_VPC, VPC
from emulator.route53.public_zone import PUBLIC_ZONE, PUBLIC_ZONE_ID

ZONE = "aws:route53/zone:Zone"
RECORD = "aws:route53/record:Record"
_TYPES = (
    "A", "AAAA", "CAA", "CNAME", "DS", "HTTPS", "MX", "NAPTR", "NS", "PTR", "SOA", "SPF", "SRV", "SSHFP",
    "SVCB", "TLSA", "TXT",
)  # fmt: skip
_NAME_SERVERS = [
    f"ns-{number * 512}.awsdns-{number:02}.{end}" for number, end in enumerate(("com", "net", "org", "co.uk"))
]


class Zone(AwsType):
    """`route53.Zone`."""

    token = ZONE
    defaults: ClassVar[Mapping[str, Any]] = {"comment": "Managed by Pulumi", "forceDestroy": False}
    name_property = "name"
    references: ClassVar = {"vpcs.vpcId": (VPC, NO_SUCH_VPC)}
    output_defaults: ClassVar[Mapping[str, Any]] = {
        "nameServers": _NAME_SERVERS,
        "primaryNameServer": _NAME_SERVERS[0],
    }
    replace_on = ("name", "delegationSetId")
    blockers = (RECORD,)
    not_deletable = (
        "deleting Route53 Hosted Zone ({id}): api error HostedZoneNotEmpty: The specified hosted zone "
        "contains non-required resource record sets and so cannot be deleted."
    )

    def resource_id(self, request: AwsRequest) -> Any:
        return f"Z0{request.digest('zone')[:19].upper()}"

    def refuse(self, request: AwsRequest) -> None:
        networks = set(values(request.inputs, "vpcs.vpcId"))
        for other in self.others(request):
            shared = networks & set(values(other.inputs, "vpcs.vpcId"))
            if shared and other.inputs["name"] == request.inputs["name"]:
                raise Refused(
                    "creating Route53 Hosted Zone: api error ConflictingDomainExists: The VPC "
                    f"{min(shared)} is already associated with a hosted zone {request.inputs['name']}"
                )

    def computed(self, request: AwsRequest) -> Properties:
        vpcs = given(request.inputs, "vpcs", [])
        if isinstance(vpcs, list):
            vpcs = [
                {**item, "vpcRegion": given(item, "vpcRegion", request.region)}
                if isinstance(item, dict)
                else item
                for item in vpcs
            ]
        return {"arn": f"arn:aws:route53:::hostedzone/{request.id}", "vpcs": vpcs, "zoneId": request.id}


class Record(AwsType):
    """`route53.Record`."""

    token = RECORD
    required = ("name", "type", "zoneId")
    defaults: ClassVar[Mapping[str, Any]] = {"allowOverwrite": False}
    exactly_one = (("records", "aliases"),)
    checks: ClassVar = {"type": (one_of(*_TYPES),)}
    replace_on = ("name", "setIdentifier", "zoneId")
    taggable = False

    def resource_id(self, request: AwsRequest) -> Any:
        parts = [request.inputs["zoneId"], "_", request.inputs["name"], "_", request.inputs["type"]]
        if request.inputs.get("setIdentifier") is not None:
            parts += ["_", request.inputs["setIdentifier"]]
        return text(*parts)

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        if inputs.get("records") is not None and inputs.get("ttl") is None:
            yield Failure("ttl", '"records": all of `records,ttl` must be specified')
        version = {"A": 4, "AAAA": 6}.get(inputs["type"])
        records = inputs.get("records")
        for value in records if version is not None and isinstance(records, list) else ():
            if known(value) and not _is_address(str(value), version):
                yield Failure(
                    "records",
                    f"InvalidChangeBatch: value {value!r} is not an IPv{version} address, as a record of "
                    f"type {inputs['type']} needs",
                )

    def refuse(self, request: AwsRequest) -> None:
        zone = self._zone_name(request.inputs["zoneId"])
        if zone is None:
            raise Refused(
                "creating Route53 Record: api error NoSuchHostedZone: No hosted zone found with ID: "
                f"{request.inputs['zoneId']}"
            )
        if self.taken(request) and not request.inputs["allowOverwrite"]:
            raise Refused(
                "creating Route53 Record: api error InvalidChangeBatch: [Tried to create resource record "
                f"set [name='{_full(request.inputs['name'], zone)}.', type='{request.inputs['type']}'] but "
                "it already exists]"
            )

    def computed(self, request: AwsRequest) -> Properties:
        zone = self._zone_name(request.inputs["zoneId"])
        if zone is None or not known(request.inputs["name"]):
            return {"fqdn": UNKNOWN}
        return {"fqdn": _full(request.inputs["name"], zone)}

    def _zone_name(self, zone_id: Any) -> str | None:
        if zone_id == PUBLIC_ZONE_ID:
            return PUBLIC_ZONE
        zone = self.registry.get(ZONE, zone_id)
        return None if zone is None else zone.inputs["name"]


def _full(name: str, zone: str) -> str:
    """The full name: what does not end in the zone's name gets it."""
    name, zone = name.rstrip("."), zone.rstrip(".")
    if not name:
        return zone
    return name if name == zone or name.endswith(f".{zone}") else f"{name}.{zone}"


def _is_address(value: str, version: int | None) -> bool:
    try:
        return ipaddress.ip_address(value).version == version
    except ValueError:
        return False
