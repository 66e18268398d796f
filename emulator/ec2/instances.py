"""Instances and their network interfaces. Recorded; `emulator.ec2.machines` runs what they start."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from emulator.core.aws_type import AwsRequest, AwsType, choice_problem, given, known
from emulator.core.credentials import ACCOUNT
from emulator.core.moto_backend import image_architectures
from emulator.core.properties import UNKNOWN
from emulator.core.request import Request
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.ec2.addresses import host_address
from emulator.ec2.cloud_init import UserDataError
from emulator.ec2.metadata import InstanceFacts
from emulator.ec2.network import NETWORK_INTERFACE, NO_SUCH_SUBNET, SECURITY_GROUP, SUBNET
from emulator.ec2.security_groups import DEFAULT_SECURITY_GROUP

INSTANCE = "aws:ec2/instance:Instance"
USER_DATA_BYTES = 16384
_NO_SUCH_GROUP = "creating: api error InvalidGroup.NotFound: The security group '{id}' does not exist"
_ARM_FAMILY = re.compile(r"^(a1|[a-z]+\d+g[a-z]*)\.")


def instance_architecture(instance_type: str) -> str:
    """`arm64` for Graviton families (a `g` right after the generation, and a1), else `x86_64`."""
    return "arm64" if _ARM_FAMILY.match(instance_type) else "x86_64"


class NetworkInterface(AwsType):
    """`ec2.NetworkInterface`."""

    token = NETWORK_INTERFACE
    required = ("subnetId",)
    defaults: ClassVar[Mapping[str, Any]] = {"sourceDestCheck": True}
    replace_on = frozenset({"subnetId", "interfaceType", "enablePrimaryIpv6", "region"})
    blockers = (INSTANCE,)
    not_deletable = (
        "deleting EC2 Network Interface ({id}): api error InvalidParameterValue: Network interface '{id}' is "
        "currently in use."
    )

    def resource_id(self, request: AwsRequest) -> Any:
        """`eni-…`."""
        return request.ec2_id("eni")

    def refuse(self, request: AwsRequest) -> None:
        """Unknown subnet or group."""
        self.existing(SUBNET, request.inputs["subnetId"], NO_SUCH_SUBNET)
        for group in request.inputs.get("securityGroups") or ():
            if self.registry.get(DEFAULT_SECURITY_GROUP, group) is None:
                self.existing(SECURITY_GROUP, group, _NO_SUCH_GROUP)

    def computed(self, request: AwsRequest) -> Properties:
        """Its addresses, the same for the same URN."""
        address = given(request.inputs, "privateIp", None)
        if address is None:
            address = self._address(request, request.id, request.inputs)
        digits = request.digest("mac")
        mac = ":".join(["02", *(digits[at : at + 2] for at in range(0, 10, 2))])
        dns = UNKNOWN
        if known(address):
            dns = f"ip-{str(address).replace('.', '-')}.{request.region}.compute.internal"
        return {
            "arn": request.arn("ec2", f"network-interface/{request.id}"),
            "interfaceType": given(request.inputs, "interfaceType", "interface"),
            "macAddress": mac,
            "ownerId": ACCOUNT,
            "privateDnsName": dns,
            "privateIp": address,
            "privateIps": [address],
            "privateIpLists": [address],
            "privateIpsCount": 0,
            "securityGroups": given(request.inputs, "securityGroups", []),
        }

    def _address(self, resource: AwsRequest, resource_id: Any, inputs: Properties) -> Any:
        subnet = self.registry.get(SUBNET, inputs["subnetId"]) if known(inputs["subnetId"]) else None
        if subnet is None:
            return UNKNOWN
        with self.registry.lock:
            others = [
                item for item in self.registry.of_type(self.token) if item.inputs["subnetId"] == subnet.id
            ]
            own = next((item.outputs.get("privateIp") for item in others if item.id == resource_id), None)
            if own is not None:
                return own
            taken = [str(item.outputs["privateIp"]) for item in others if item.outputs]
        return host_address(subnet.inputs["cidrBlock"], resource.number("address", 1 << 16), taken)


class Instance(AwsType):
    """`ec2.Instance`."""

    token = INSTANCE
    defaults: ClassVar[Mapping[str, Any]] = {
        "getPasswordData": False,
        "sourceDestCheck": True,
        "userDataReplaceOnChange": False,
    }
    replace_on = frozenset(
        {
            "ami",
            "associatePublicIpAddress",
            "availabilityZone",
            "cpuOptions",
            "ebsBlockDevices",
            "ebsOptimized",
            "enablePrimaryIpv6",
            "enclaveOptions",
            "ephemeralBlockDevices",
            "hibernation",
            "hostId",
            "hostResourceGroupArn",
            "instanceMarketOptions",
            "ipv6AddressCount",
            "ipv6Addresses",
            "keyName",
            "networkInterfaces",
            "placementGroup",
            "placementGroupId",
            "primaryNetworkInterface",
            "privateIp",
            "region",
            "secondaryNetworkInterfaces",
            "securityGroups",
            "subnetId",
            "tenancy",
        }
    )

    def resource_id(self, request: AwsRequest) -> Any:
        """`i-…`."""
        return request.ec2_id("i")

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Contradictions, user-data that is not base64, metadata options."""
        if inputs.get("ami") is None and inputs.get("launchTemplate") is None:
            yield Failure("ami", "one of `ami,launch_template` must be specified")
        if inputs.get("userData") is not None and inputs.get("userDataBase64") is not None:
            yield Failure("userData", '"user_data": conflicts with user_data_base64')
        if inputs.get("primaryNetworkInterface") is not None:
            for name in (
                "subnetId",
                "vpcSecurityGroupIds",
                "networkInterfaces",
                "privateIp",
                "sourceDestCheck",
            ):
                if inputs.get(name) is not None and name not in self.defaults:
                    yield Failure(name, f'"{name}": conflicts with primary_network_interface')
        try:
            _user_data(inputs)
        except binascii.Error:
            yield Failure("userDataBase64", "expected user_data_base64 to be a base64-encoded string")
        options = inputs.get("metadataOptions")
        if isinstance(options, dict):
            yield from choice_problem(options, "httpTokens", ("optional", "required"))
            yield from choice_problem(options, "httpEndpoint", ("enabled", "disabled"))
            hops = options.get("httpPutResponseHopLimit")
            if known(hops) and not 1 <= int(hops or 0) <= 64:
                yield Failure(
                    "metadataOptions",
                    f"expected http_put_response_hop_limit to be in the range (1 - 64), got {hops}",
                )
        root = inputs.get("rootBlockDevice")
        if isinstance(root, dict) and known(root.get("kmsKeyId")) and root.get("encrypted") is False:
            yield Failure("rootBlockDevice", "kms_key_id needs encrypted = true")

    def refuse(self, request: AwsRequest) -> None:
        """Unknown image, subnet, interface, group or profile; an interface in use; wrong architecture."""
        data = _user_data(request.inputs) or b""
        if len(data) > USER_DATA_BYTES:
            raise Refused(
                "creating EC2 Instance: operation error EC2: RunInstances, api error "
                "InvalidParameterValue: User data is "
                f"limited to {USER_DATA_BYTES} bytes"
            )
        self._refuse_image(request.inputs)
        interface = _interface_id(request.inputs)
        if interface is not None:
            refusal = (
                "creating EC2 Instance: api error InvalidNetworkInterfaceID.NotFound: The "
                "networkInterface ID '{id}' "
                "does not exist"
            )
            self.existing(NETWORK_INTERFACE, interface, refusal)
            other = self.registry.holding(interface, self.token)
            if other is not None and other.id != request.id:
                raise Refused(
                    "creating EC2 Instance: api error InvalidNetworkInterface.InUse: Interface: "
                    f"[{interface}] in use."
                )
        elif request.inputs.get("subnetId") is not None:
            self.existing(SUBNET, request.inputs["subnetId"], NO_SUCH_SUBNET)
        else:
            raise Refused(
                "creating EC2 Instance: api error MissingInput: No subnets found for the default VPC"
            )
        for group in request.inputs.get("vpcSecurityGroupIds") or ():
            self.existing(SECURITY_GROUP, group, _NO_SUCH_GROUP)
        self._refuse_profile(request.inputs)

    def _refuse_profile(self, inputs: Properties) -> None:
        profile = inputs.get("iamInstanceProfile")
        if profile is None:
            return
        try:
            self.endpoint.client("iam").get_instance_profile(InstanceProfileName=profile)
        except ClientError as error:
            raise Refused(
                f"creating EC2 Instance: api error InvalidParameterValue: Value ({profile}) for parameter "
                "iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
            ) from error

    def _refuse_image(self, inputs: Properties) -> None:
        image = inputs["ami"]
        architecture = image_architectures().get(image)
        if architecture is None:
            raise Refused(
                f"creating EC2 Instance: api error InvalidAMIID.NotFound: The image id '[{image}]' does "
                "not exist"
            )
        wanted = instance_architecture(given(inputs, "instanceType", "m1.small"))
        if architecture != wanted:
            raise Refused(
                f"creating EC2 Instance: api error InvalidParameterValue: The architecture '{wanted}' of "
                "the specified "
                f"instance type does not match the architecture '{architecture}' of the specified AMI. "
                "Specify "
                "an instance type and an AMI that have matching architectures, and try again."
            )

    def further_replaces(self, request: Request, changes: Sequence[str]) -> Iterable[str]:
        """User-data when asked for, and the parts of the root volume that cannot change."""
        replaced = []
        if request.inputs.get("userDataReplaceOnChange") is True:
            replaced += [name for name in ("userData", "userDataBase64") if name in changes]
        before, after = (
            given(request.old_inputs, "rootBlockDevice", {}),
            given(request.inputs, "rootBlockDevice", {}),
        )
        if after is UNKNOWN:
            return replaced
        if any(before.get(name) != after.get(name) for name in ("encrypted", "kmsKeyId")):
            replaced.append("rootBlockDevice")
        return replaced

    def computed(self, request: AwsRequest) -> Properties:
        """What a running instance shows."""
        interface = _interface_id(request.inputs)
        record = self.registry.get(NETWORK_INTERFACE, interface) if known(interface) else None
        subnet_id = record.inputs["subnetId"] if record is not None else request.inputs.get("subnetId")
        subnet = self.registry.get(SUBNET, subnet_id) if known(subnet_id) else None
        unknown = UNKNOWN if request.preview else None
        address = (
            record.outputs["privateIp"]
            if record is not None and record.outputs
            else request.inputs.get("privateIp")
        )
        if address is None and subnet is not None and interface is None:
            address = host_address(subnet.inputs["cidrBlock"], request.number("address", 1 << 16), ())
        address = unknown if address is None else address
        dns = (
            f"ip-{str(address).replace('.', '-')}.{request.region}.compute.internal"
            if known(address)
            else address
        )
        zone = (
            subnet.outputs.get("availabilityZone")
            if subnet is not None
            else request.inputs.get("availabilityZone")
        )
        outputs = {
            "arn": request.arn("ec2", f"instance/{request.id}"),
            "associatePublicIpAddress": given(request.inputs, "associatePublicIpAddress", False),
            "availabilityZone": zone if zone is not None else unknown,
            "instanceInitiatedShutdownBehavior": given(
                request.inputs, "instanceInitiatedShutdownBehavior", "stop"
            ),
            "instanceState": "running",
            "primaryNetworkInterfaceId": request.ec2_id("eni") if interface is None else interface,
            "privateDns": dns,
            "privateIp": address,
            "publicDns": "",
            "publicIp": "",
            "subnetId": subnet_id if known(subnet_id) else unknown,
            "tenancy": given(request.inputs, "tenancy", "default"),
            "vpcSecurityGroupIds": given(
                request.inputs,
                "vpcSecurityGroupIds",
                record.outputs.get("securityGroups") if record is not None else unknown,
            ),
        }
        return {name: value for name, value in outputs.items() if value is not None}

    def provision(self, request: AwsRequest) -> Properties:
        """Boots the machine."""
        try:
            self.machines.launch(self._facts(request), _user_data(request.inputs) or b"")
        except UserDataError as error:
            raise Refused(f"creating EC2 Instance ({request.id}): {error}") from error
        return {}

    def renew(self, request: AwsRequest) -> Properties:
        """Another type or profile; user-data that changes in place is not run again, as on EC2."""
        self._refuse_profile(request.inputs)
        self.machines.configure(self._facts(request))
        return {}

    def _facts(self, request: AwsRequest) -> InstanceFacts:
        outputs, inputs = self.computed(request), request.inputs
        subnet = self.registry.get(SUBNET, outputs.get("subnetId"))
        kind = given(inputs, "instanceType", "m1.small")
        return InstanceFacts(
            instance_id=request.id,
            image_id=inputs["ami"],
            instance_type=kind,
            architecture=instance_architecture(kind),
            private_ip=outputs.get("privateIp") or "",
            availability_zone=outputs["availabilityZone"],
            region=request.region,
            instance_profile=inputs.get("iamInstanceProfile"),
            vpc_id=subnet.inputs["vpcId"] if subnet is not None else None,
        )

    def dispose(self, request: AwsRequest) -> None:
        """Terminates the machine, unless it is protected."""
        if request.inputs.get("disableApiTermination") and not request.inputs.get("forceDestroy"):
            raise Refused(
                f"terminating EC2 Instance ({request.id}): api error OperationNotPermitted: The instance "
                f"'{request.id}' may not be terminated. Modify its 'disableApiTermination' instance "
                "attribute and try again."
            )
        self.machines.terminate(request.id)

    def observe(self, request: AwsRequest) -> Properties | None:
        """As recorded."""
        return {}


def _interface_id(inputs: Properties) -> Any:
    primary = inputs.get("primaryNetworkInterface")
    if isinstance(primary, dict):
        return primary.get("networkInterfaceId")
    if primary is UNKNOWN:
        return UNKNOWN
    first = next((item for item in _list(inputs, "networkInterfaces") if item.get("deviceIndex") == 0), None)
    return first.get("networkInterfaceId") if first else None


def _list(inputs: Properties, name: str) -> Sequence[Any]:
    value = inputs.get(name)
    return value if isinstance(value, list) else ()


def _user_data(inputs: Properties) -> bytes | None:
    encoded, plain = inputs.get("userDataBase64"), inputs.get("userData")
    if known(encoded):
        return base64.b64decode(str(encoded), validate=True)
    return str(plain).encode() if known(plain) else None
