"""Application load balancers.

Their logs stay in files of the emulator: nothing is put into the buckets that a program names for them, and
what ELB refuses about these is refused all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from emulator.core.aws_type import AwsRequest, given, known
from emulator.core.checks import emulated, one_of
from emulator.core.properties import UNKNOWN
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.ec2.network import SECURITY_GROUP, SUBNET
from emulator.elb.model import LoadBalancer
from emulator.elb.naming import LOAD_BALANCER, NamedElbType
from emulator.s3.buckets import BUCKET

HOST = "localhost"
"""Where every load balancer of the sandbox is reached."""
_LOG_DELIVERY = "logdelivery.elasticloadbalancing.amazonaws.com"
_ZONE_IDS = {"eu-central-1": "Z215JYRZR1TBD5", "us-east-1": "Z35SXDOTRQ7X7K", "eu-west-1": "Z32O12XQLNTSW2"}


class LoadBalancerType(NamedElbType):
    """`lb.LoadBalancer`, of the kind `application`."""

    token = LOAD_BALANCER
    model = LoadBalancer
    path = "loadbalancer/app"
    words = "Load Balancer"
    reserved = "internal-"
    defaults: ClassVar[Mapping[str, Any]] = {
        **LoadBalancer.defaults(),
        "enableCrossZoneLoadBalancing": True,
        "enableDeletionProtection": False,
        "enableHttp2": True,
        "enableWafFailOpen": False,
        "enableZonalShift": False,
        "loadBalancerType": "application",
        "preserveHostHeader": False,
    }
    checks: ClassVar = {
        "ipAddressType": (one_of("ipv4", "dualstack", "dualstack-without-public-ipv4"),),
        "loadBalancerType": (emulated("application"),),
    }
    output_defaults: ClassVar = {"internal": False, "ipAddressType": "ipv4"}
    replace_on = ("customerOwnedIpv4Pool", "internal", "loadBalancerType", "name", "namePrefix")

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        yield from super().problems(inputs)
        if (inputs.get("subnets") is None) == (inputs.get("subnetMappings") is None):
            yield Failure("subnets", "exactly one of `subnet_mapping,subnets` must be specified")
        for name in ("accessLogs", "connectionLogs"):
            log = inputs.get(name)
            if isinstance(log, Mapping) and known(log.get("prefix")) and "AWSLogs" in str(log["prefix"]):
                yield Failure(name, f"prefix {log['prefix']!r}: it may not contain AWSLogs")

    def refuse(self, request: AwsRequest) -> None:
        """A name that is taken, and what an update is refused for too."""
        super().refuse(request)
        self._refuse_parts(request)

    def _refuse_parts(self, request: AwsRequest) -> None:
        """Unknown subnets and groups, less than two zones, unusable log buckets."""
        creating = f"creating ELBv2 application Load Balancer ({self.physical_name(request)}): api error"
        zones, networks = set(), set()
        for subnet_id in _subnets(request.inputs):
            refusal = f"{creating} SubnetNotFound: The subnet ID '{{id}}' does not exist"
            subnet = self.existing(SUBNET, subnet_id, refusal)
            zone = subnet.outputs.get("availabilityZone")
            if zone in zones:
                raise Refused(
                    f"{creating} InvalidConfigurationRequest: A load balancer cannot be attached to multiple "
                    f"subnets in the same Availability Zone ({zone})"
                )
            zones.add(zone)
            networks.add(subnet.inputs["vpcId"])
        if len(zones) < 2:
            raise Refused(
                f"{creating} ValidationError: At least two subnets in two different Availability Zones must "
                "be specified"
            )
        if len(networks) > 1:
            raise Refused(f"{creating} InvalidSubnet: All subnets must be in the same VPC")
        for group in given(request.inputs, "securityGroups", []):
            refusal = f"{creating} InvalidSecurityGroup: One or more security groups are invalid: {{id}}"
            self.existing(SECURITY_GROUP, group, refusal)
        for log in ("accessLogs", "connectionLogs"):
            block = request.inputs.get(log)
            if isinstance(block, Mapping) and block.get("enabled"):
                self._refuse_bucket(self.physical_name(request), log, block["bucket"])

    def _refuse_bucket(self, name: str, log: str, bucket: str) -> None:
        verb = f"modifying ELBv2 Load Balancer ({name}) attributes: api error InvalidConfigurationRequest:"
        self.existing(BUCKET, bucket, f"{verb} The S3 bucket '{{id}}' of {log} does not exist")
        policies = (record.inputs for record in self.registry.of_type("aws:s3/bucketPolicy:BucketPolicy"))
        if not any(policy.get("bucket") == bucket and _LOG_DELIVERY in str(policy) for policy in policies):
            raise Refused(
                f"{verb} Access Denied for bucket: {bucket}. Please check S3bucket permission: its "
                f"policy must let {_LOG_DELIVERY} put objects"
            )

    def computed(self, request: AwsRequest) -> Properties:
        subnets = _subnets(request.inputs)
        record = self.registry.get(SUBNET, subnets[0]) if subnets and known(subnets[0]) else None
        return {
            **super().computed(request),
            "dnsName": HOST,
            "subnets": given(request.inputs, "subnets", subnets or UNKNOWN),
            "vpcId": record.inputs["vpcId"] if record is not None else UNKNOWN,
            "zoneId": _ZONE_IDS.get(request.region, f"Z{request.digest(request.region)[:13].upper()}"),
        }

    def renew(self, request: AwsRequest) -> Properties:
        self._refuse_parts(request)
        return self.provision(request)

    def dispose(self, request: AwsRequest) -> None:
        """Deletes it with its listeners, unless it is protected."""
        # What was never finished has no outputs, and is not protected yet.
        if request.outputs and request.inputs.get("enableDeletionProtection"):
            raise Refused(
                f"deleting ELBv2 Load Balancer ({request.id}): api error OperationNotPermitted: Load "
                f"balancer '{request.id}' cannot be deleted because deletion protection is enabled"
            )
        super().dispose(request)


def _subnets(inputs: Properties) -> list[Any]:
    mappings, subnets = inputs.get("subnetMappings"), inputs.get("subnets")
    if isinstance(mappings, list):
        return [item.get("subnetId") for item in mappings if isinstance(item, Mapping)]
    return list(subnets) if isinstance(subnets, list) else []
