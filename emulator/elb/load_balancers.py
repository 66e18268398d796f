"""Application load balancers; their listeners run in `emulator.elb`.

Their logs stay in files there: nothing is put into the buckets that a program names for them, and what ELB
refuses about these is refused all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from emulator.core.aws_type import AwsRequest, AwsType, choice_problem, given, known
from emulator.core.properties import UNKNOWN
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.ec2.network import SECURITY_GROUP, SUBNET
from emulator.elb.names import (
    LOAD_BALANCER,
    arn_suffix,
    balancing_arn,
    chosen_name,
    name_problem,
)
from emulator.elb.resources import LoadBalancer as DeclaredLoadBalancer
from emulator.elb.service import LoadBalancers
from emulator.s3.buckets import BUCKET

HOST = "localhost"
"""Where every load balancer of the sandbox is reached."""
_ZONE_IDS = {"eu-central-1": "Z215JYRZR1TBD5", "us-east-1": "Z35SXDOTRQ7X7K", "eu-west-1": "Z32O12XQLNTSW2"}
_RANGES = (("idleTimeout", 1, 4000), ("clientKeepAlive", 60, 604_800))
_CREATING = "creating ELBv2 application Load Balancer"


class LoadBalancer(AwsType):
    """`lb.LoadBalancer`, of the kind `application`."""

    token = LOAD_BALANCER
    defaults: ClassVar[Mapping[str, Any]] = {
        "clientKeepAlive": 3600,
        "desyncMitigationMode": "defensive",
        "dropInvalidHeaderFields": False,
        "enableCrossZoneLoadBalancing": True,
        "enableDeletionProtection": False,
        "enableHttp2": True,
        "enableTlsVersionAndCipherSuiteHeaders": False,
        "enableWafFailOpen": False,
        "enableXffClientPort": False,
        "enableZonalShift": False,
        "idleTimeout": 60,
        "loadBalancerType": "application",
        "preserveHostHeader": False,
        "xffHeaderProcessingMode": "append",
    }
    name_property = "name"
    name_maximum = 32
    replace_on = frozenset(
        {"customerOwnedIpv4Pool", "internal", "loadBalancerType", "name", "namePrefix", "region"}
    )

    def resource_id(self, request: AwsRequest) -> Any:
        """The ARN."""
        return balancing_arn(request, "loadbalancer/app", chosen_name(request, request.inputs))

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Form of the name, known words, ranges, what has no stand-in."""
        yield from name_problem(inputs, reserved="internal-")
        yield from choice_problem(inputs, "desyncMitigationMode", ("monitor", "defensive", "strictest"))
        yield from choice_problem(inputs, "xffHeaderProcessingMode", ("append", "preserve", "remove"))
        yield from choice_problem(
            inputs, "ipAddressType", ("ipv4", "dualstack", "dualstack-without-public-ipv4")
        )
        if known(inputs["loadBalancerType"]) and inputs["loadBalancerType"] != "application":
            yield Failure(
                "loadBalancerType",
                f"{inputs['loadBalancerType']!r} has no stand-in in the sandbox; it has application",
            )
        for name, low, high in _RANGES:
            value = inputs.get(name)
            if known(value) and not low <= int(str(value)) <= high:
                yield Failure(name, f"expected {name} to be in the range ({low} - {high}), got {value}")
        if (inputs.get("subnets") is None) == (inputs.get("subnetMappings") is None):
            yield Failure("subnets", "exactly one of `subnet_mapping,subnets` must be specified")
        for name in ("accessLogs", "connectionLogs"):
            log = inputs.get(name)
            if isinstance(log, Mapping) and known(log.get("prefix")) and "AWSLogs" in str(log["prefix"]):
                yield Failure(name, f"prefix {log['prefix']!r}: it may not contain AWSLogs")

    def refuse(self, request: AwsRequest) -> None:
        """A name that is taken, unknown subnets and groups, less than two zones, unusable log buckets."""
        name = chosen_name(request, request.inputs)
        for other in self.registry.of_type(self.token):
            if other.id != request.id and other.outputs.get("name", other.inputs.get("name")) == name:
                raise Refused(
                    f"{_CREATING} ({name}): api error DuplicateLoadBalancerName: A load balancer with the "
                    f"same name '{name}' exists, but with different settings"
                )
        self._refuse(name, request.inputs)

    def _refuse(self, name: str, inputs: Properties) -> None:
        zones, networks = set(), set()
        for subnet_id in _subnets(inputs):
            refusal = f"{_CREATING} ({name}): api error SubnetNotFound: The subnet ID '{{id}}' does not exist"
            subnet = self.existing(SUBNET, subnet_id, refusal)
            zone = subnet.outputs.get("availabilityZone")
            if zone in zones:
                raise Refused(
                    f"{_CREATING} ({name}): api error InvalidConfigurationRequest: A load balancer cannot be "
                    f"attached to multiple subnets in the same Availability Zone ({zone})"
                )
            zones.add(zone)
            networks.add(subnet.inputs["vpcId"])
        if len(zones) < 2:
            raise Refused(
                f"{_CREATING} ({name}): api error ValidationError: At least two subnets in two different "
                "Availability Zones must be specified"
            )
        if len(networks) > 1:
            raise Refused(
                f"{_CREATING} ({name}): api error InvalidSubnet: All subnets must be in the same VPC"
            )
        for group in given(inputs, "securityGroups", []):
            refusal = (
                f"{_CREATING} ({name}): api error InvalidSecurityGroup: One or more security groups are "
                "invalid: {id}"
            )
            self.existing(SECURITY_GROUP, group, refusal)
        for log in ("accessLogs", "connectionLogs"):
            bucket = _log_bucket(inputs, log)
            if bucket is not None:
                self._refuse_bucket(name, log, bucket)

    def _refuse_bucket(self, name: str, log: str, bucket: str) -> None:
        verb = f"modifying ELBv2 Load Balancer ({name}) attributes: api error InvalidConfigurationRequest:"
        self.existing(BUCKET, bucket, f"{verb} The S3 bucket '{{id}}' of {log} does not exist")
        policies = [
            record
            for record in self.registry.of_type("aws:s3/bucketPolicy:BucketPolicy")
            if record.inputs.get("bucket") == bucket
        ]
        if not any("logdelivery.elasticloadbalancing.amazonaws.com" in str(item.inputs) for item in policies):
            raise Refused(
                f"{verb} Access Denied for bucket: {bucket}. Please check S3bucket permission: its "
                "policy must let logdelivery.elasticloadbalancing.amazonaws.com put objects"
            )

    def computed(self, request: AwsRequest) -> Properties:
        """ARNs, and where it is reached."""
        subnets = _subnets(request.inputs)
        record = self.registry.get(SUBNET, subnets[0]) if subnets and known(subnets[0]) else None
        return {
            "arn": request.id,
            "arnSuffix": arn_suffix(request.id, ":loadbalancer/"),
            "dnsName": HOST,
            "internal": given(request.inputs, "internal", False),
            "ipAddressType": given(request.inputs, "ipAddressType", "ipv4"),
            "name": chosen_name(request, request.inputs),
            "subnets": given(request.inputs, "subnets", subnets or UNKNOWN),
            "vpcId": record.inputs["vpcId"] if record is not None else UNKNOWN,
            "zoneId": _ZONE_IDS.get(request.region, f"Z{request.digest(request.region)[:13].upper()}"),
        }

    def provision(self, request: AwsRequest) -> Properties:
        """Declares it."""
        mode = request.inputs["desyncMitigationMode"]
        declared = DeclaredLoadBalancer(
            arn=request.id,
            name=chosen_name(request, request.inputs),
            region=request.region,
            idle_timeout=int(request.inputs["idleTimeout"]),
            client_keep_alive=int(request.inputs["clientKeepAlive"]),
            drop_invalid_header_fields=request.inputs["dropInvalidHeaderFields"],
            desync_mode=mode,
            tls_version_and_cipher_suite_headers=request.inputs["enableTlsVersionAndCipherSuiteHeaders"],
            forwarded_for_mode=request.inputs["xffHeaderProcessingMode"],
            forwarded_for_client_port=request.inputs["enableXffClientPort"],
        )
        self._balancers().put(declared)
        return {}

    def renew(self, request: AwsRequest) -> Properties:
        """Other attributes, subnets or groups."""
        self._refuse(chosen_name(request, request.inputs), request.inputs)
        return self.provision(request)

    def dispose(self, request: AwsRequest) -> None:
        """Deletes it with its listeners, unless it is protected."""
        # What was never finished has no outputs, and is not protected yet.
        if request.outputs and request.inputs.get("enableDeletionProtection"):
            raise Refused(
                f"deleting ELBv2 Load Balancer ({request.id}): api error OperationNotPermitted: Load "
                f"balancer '{request.id}' cannot be deleted because deletion protection is enabled"
            )
        self._balancers().remove(DeclaredLoadBalancer, request.id)

    def _balancers(self) -> LoadBalancers:
        if self.load_balancers is None:
            raise Refused("load balancers need a running sandbox; this provider only previews")
        return self.load_balancers


def _subnets(inputs: Properties) -> list[Any]:
    mappings, subnets = inputs.get("subnetMappings"), inputs.get("subnets")
    if isinstance(mappings, list):
        return [item.get("subnetId") for item in mappings if isinstance(item, Mapping)]
    return list(subnets) if isinstance(subnets, list) else []


def _log_bucket(inputs: Properties, name: str) -> str | None:
    log = inputs.get(name)
    return log["bucket"] if isinstance(log, Mapping) and log.get("enabled") else None
