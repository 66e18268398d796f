"""Route 53 zones and records. Recorded: nothing in the sandbox asks them, every endpoint is localhost."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from emulator.core.aws_type import AwsRequest, AwsType, choice_problem, given, known, text
from emulator.core.properties import UNKNOWN
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.ec2.network import NO_SUCH_VPC, VPC
from emulator.route53.public_zone import PUBLIC_ZONE, PUBLIC_ZONE_ID

ZONE = "aws:route53/zone:Zone"
RECORD = "aws:route53/record:Record"
_KINDS = (
    "A",
    "AAAA",
    "CAA",
    "CNAME",
    "DS",
    "HTTPS",
    "MX",
    "NAPTR",
    "NS",
    "PTR",
    "SOA",
    "SPF",
    "SRV",
    "SSHFP",
    "SVCB",
    "TLSA",
    "TXT",
)


class Zone(AwsType):
    """`route53.Zone`."""

    token = ZONE
    defaults: ClassVar[Mapping[str, Any]] = {"comment": "Managed by Pulumi", "forceDestroy": False}
    name_property = "name"
    replace_on = frozenset({"name", "delegationSetId"})
    blockers = (RECORD,)
    not_deletable = (
        "deleting Route53 Hosted Zone ({id}): api error HostedZoneNotEmpty: The specified hosted zone "
        "contains "
        "non-required resource record sets and so cannot be deleted."
    )

    def resource_id(self, request: AwsRequest) -> Any:
        """`Z…`."""
        return f"Z0{request.digest('zone')[:19].upper()}"

    def refuse(self, request: AwsRequest) -> None:
        """Unknown VPC, or a zone of that name in the VPC."""
        networks = {item["vpcId"] for item in request.inputs.get("vpcs") or ()}
        for network in networks:
            self.existing(VPC, network, NO_SUCH_VPC)
        for other in self.registry.of_type(self.token):
            theirs = {item["vpcId"] for item in other.inputs.get("vpcs") or ()}
            if (
                other.id != request.id
                and other.inputs["name"] == request.inputs["name"]
                and networks & theirs
            ):
                raise Refused(
                    "creating Route53 Hosted Zone: api error ConflictingDomainExists: The VPC "
                    f"{min(networks & theirs)} is already associated with a hosted zone "
                    f"{request.inputs['name']}"
                )

    def computed(self, request: AwsRequest) -> Properties:
        """Name servers; a private zone's are those of the zone itself."""
        vpcs = given(request.inputs, "vpcs", [])
        servers = [
            f"ns-{number * 512}.awsdns-{number:02}.{end}"
            for number, end in enumerate(("com", "net", "org", "co.uk"))
        ]
        return {
            "arn": request.arn("route53", f"hostedzone/{request.id}", region="").replace(
                ":123456789012:", "::"
            ),
            "nameServers": servers,
            "primaryNameServer": servers[0],
            "vpcs": [
                {**item, "vpcRegion": given(item, "vpcRegion", request.region)}
                if isinstance(item, dict)
                else item
                for item in vpcs
            ]
            if isinstance(vpcs, list)
            else vpcs,
            "zoneId": request.id,
        }


class Record(AwsType):
    """`route53.Record`."""

    token = RECORD
    required = ("name", "type", "zoneId")
    defaults: ClassVar[Mapping[str, Any]] = {"allowOverwrite": False}
    replace_on = frozenset({"name", "setIdentifier", "zoneId"})
    taggable = False

    def resource_id(self, request: AwsRequest) -> Any:
        """Zone, name and type."""
        parts = [request.inputs["zoneId"], "_", request.inputs["name"], "_", request.inputs["type"]]
        if request.inputs.get("setIdentifier") is not None:
            parts += ["_", request.inputs["setIdentifier"]]
        return text(*parts)

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Values that fit the type."""
        yield from choice_problem(inputs, "type", _KINDS)
        if (inputs.get("records") is None) == (inputs.get("aliases") is None):
            yield Failure("records", "one of `alias,records` must be specified")
        if inputs.get("records") is not None and inputs.get("ttl") is None:
            yield Failure("ttl", '"records": all of `records,ttl` must be specified')
        if inputs["type"] in ("A", "AAAA"):
            records = inputs.get("records")
            for value in records if isinstance(records, list) else ():
                if known(value) and not _is_address(str(value), 4 if inputs["type"] == "A" else 6):
                    yield Failure(
                        "records",
                        f"InvalidChangeBatch: value {value!r} is no address for a record of type "
                        f"{inputs['type']}",
                    )

    def refuse(self, request: AwsRequest) -> None:
        """Unknown zone, a name outside it, or a record that is there."""
        zone = self._zone_name(request.inputs["zoneId"])
        if zone is None:
            raise Refused(
                "creating Route53 Record: api error NoSuchHostedZone: No hosted zone found with ID: "
                f"{request.inputs['zoneId']}"
            )
        if self.taken(request) and not request.inputs["allowOverwrite"]:
            raise Refused(
                "creating Route53 Record: api error InvalidChangeBatch: [Tried to create resource record "
                "set [name='"
                f"{_full(request.inputs['name'], zone)}.', type='{request.inputs['type']}'] but it already "
                "exists]"
            )

    def computed(self, request: AwsRequest) -> Properties:
        """The full name: what does not end in the zone's name gets it."""
        zone = self._zone_name(request.inputs["zoneId"]) if known(request.inputs["zoneId"]) else None
        if zone is None or not known(request.inputs["name"]):
            return {"fqdn": UNKNOWN}
        return {"fqdn": _full(request.inputs["name"], zone)}

    def _zone_name(self, zone_id: str) -> str | None:
        if zone_id == PUBLIC_ZONE_ID:
            return PUBLIC_ZONE
        zone = self.registry.get(ZONE, zone_id)
        return None if zone is None else zone.inputs["name"]


def _full(name: str, zone: str) -> str:
    name, zone = name.rstrip("."), zone.rstrip(".")
    if not name:
        return zone
    return name if name == zone or name.endswith(f".{zone}") else f"{name}.{zone}"


def _is_address(value: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(value).version == version
    except ValueError:
        return False
