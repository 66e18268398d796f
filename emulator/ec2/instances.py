"""Instances and their network interfaces. Recorded; `emulator.ec2.machines` runs what they start."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from emulator.core.aws_type import AwsRequest, AwsType, given, known
from emulator.core.properties import UNKNOWN
from emulator.core.request import Request
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.ec2.addresses import host_address, private_dns_name
from emulator.ec2.cloud_init import UserDataError
from emulator.ec2.launch_parameters import (
    METADATA_OPTIONS,
    instance_architecture,
    refuse_image,
    refuse_profile,
    refuse_user_data,
)
from emulator.ec2.machines import Machines
from emulator.ec2.metadata import InstanceFacts
from emulator.ec2.network import NETWORK_INTERFACE, NO_SUCH_GROUP, NO_SUCH_SUBNET, SECURITY_GROUP, SUBNET
from emulator.ec2.security_groups import ANY_SECURITY_GROUP
from emulator.endpoint.credentials import ACCOUNT

INSTANCE = "aws:ec2/instance:Instance"
_CREATING = "creating EC2 Instance: api error"
_NO_SUCH_INTERFACE = (
    f"{_CREATING} InvalidNetworkInterfaceID.NotFound: The networkInterface ID '{{id}}' does not exist"
)
_OF_THE_INTERFACE = ("subnetId", "vpcSecurityGroupIds", "networkInterfaces", "privateIp")


class NetworkInterface(AwsType):
    """`ec2.NetworkInterface`."""

    token = NETWORK_INTERFACE
    id_prefix = "eni"
    arn_format = ("ec2", "network-interface/{id}")
    required = ("subnetId",)
    defaults: ClassVar[Mapping[str, Any]] = {"sourceDestCheck": True}
    references: ClassVar = {
        "subnetId": (SUBNET, NO_SUCH_SUBNET),
        "securityGroups": (ANY_SECURITY_GROUP, NO_SUCH_GROUP),
    }
    output_defaults: ClassVar[Mapping[str, Any]] = {
        "interfaceType": "interface",
        "ownerId": ACCOUNT,
        "privateIpsCount": 0,
        "securityGroups": [],
    }
    replace_on = ("subnetId", "interfaceType", "enablePrimaryIpv6")
    blockers = (INSTANCE,)
    not_deletable = (
        "deleting EC2 Network Interface ({id}): api error InvalidParameterValue: Network interface '{id}' is "
        "currently in use."
    )

    def computed(self, request: AwsRequest) -> Properties:
        """Its addresses, the same for the same URN."""
        address = given(request.inputs, "privateIp", None)
        if address is None:
            address = self._free_address(request)
        digits = request.digest("mac")
        return {
            "macAddress": ":".join(["02", *(digits[at : at + 2] for at in range(0, 10, 2))]),
            "privateDnsName": private_dns_name(address, request.region) if known(address) else UNKNOWN,
            "privateIp": address,
            "privateIps": [address],
            "privateIpLists": [address],
        }

    def _free_address(self, request: AwsRequest) -> Any:
        subnet = self.registry.get(SUBNET, request.inputs["subnetId"])
        if subnet is None:
            return UNKNOWN
        with self.registry.lock:
            own = self.registry.get(self.token, request.id)
            if own is not None and own.inputs["subnetId"] == subnet.id and own.outputs:
                return own.outputs["privateIp"]
            taken = [
                str(other.outputs["privateIp"])
                for other in self.others(request)
                if other.inputs["subnetId"] == subnet.id and other.outputs
            ]
        return host_address(subnet.inputs["cidrBlock"], request.number("address", 1 << 16), taken)


class Instance(AwsType):
    """`ec2.Instance`."""

    token = INSTANCE
    id_prefix = "i"
    arn_format = ("ec2", "instance/{id}")
    defaults: ClassVar[Mapping[str, Any]] = {
        "getPasswordData": False,
        "sourceDestCheck": True,
        "userDataReplaceOnChange": False,
    }
    at_least_one = (("ami", "launchTemplate"),)
    at_most_one = (
        ("userDataBase64", "userData"),
        *(("primaryNetworkInterface", name) for name in _OF_THE_INTERFACE),
    )
    checks: ClassVar = METADATA_OPTIONS
    output_defaults: ClassVar[Mapping[str, Any]] = {
        "associatePublicIpAddress": False,
        "instanceInitiatedShutdownBehavior": "stop",
        "instanceState": "running",
        "publicDns": "",
        "publicIp": "",
        "tenancy": "default",
    }
    replace_on = (
        "ami", "associatePublicIpAddress", "availabilityZone", "cpuOptions", "ebsBlockDevices",
        "ebsOptimized", "enablePrimaryIpv6", "enclaveOptions", "ephemeralBlockDevices", "hibernation",
        "hostId", "hostResourceGroupArn", "instanceMarketOptions", "ipv6AddressCount", "ipv6Addresses",
        "keyName", "networkInterfaces", "placementGroup", "placementGroupId", "primaryNetworkInterface",
        "privateIp", "secondaryNetworkInterfaces", "securityGroups", "subnetId", "tenancy",
    )  # fmt: skip

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        try:
            _user_data(inputs)
        except binascii.Error:
            yield Failure("userDataBase64", "expected user_data_base64 to be a base64-encoded string")
        root = inputs.get("rootBlockDevice")
        if isinstance(root, dict) and known(root.get("kmsKeyId")) and root.get("encrypted") is False:
            yield Failure("rootBlockDevice", "kms_key_id needs encrypted = true")

    def refuse(self, request: AwsRequest) -> None:
        inputs = request.inputs
        refuse_user_data(_CREATING, _user_data(inputs) or b"")
        refuse_image(_CREATING, inputs["ami"], given(inputs, "instanceType", "m1.small"))
        interface = _interface_id(inputs)
        if interface is not None:
            self.existing(NETWORK_INTERFACE, interface, _NO_SUCH_INTERFACE)
            if any(other.holds(interface) for other in self.others(request)):
                raise Refused(f"{_CREATING} InvalidNetworkInterface.InUse: Interface: [{interface}] in use.")
        elif inputs.get("subnetId") is not None:
            self.existing(SUBNET, inputs["subnetId"], NO_SUCH_SUBNET)
        else:
            raise Refused(f"{_CREATING} MissingInput: No subnets found for the default VPC")
        for group in inputs.get("vpcSecurityGroupIds") or ():
            self.existing(SECURITY_GROUP, group, NO_SUCH_GROUP)
        refuse_profile(_CREATING, self.endpoint, inputs.get("iamInstanceProfile"))

    def further_replaces(self, request: Request, changes: Sequence[str]) -> Iterable[str]:
        """User-data when asked for, and the parts of the root volume that cannot change."""
        if request.inputs.get("userDataReplaceOnChange") is True:
            yield from (name for name in ("userData", "userDataBase64") if name in changes)
        before, after = (
            given(inputs, "rootBlockDevice", {}) for inputs in (request.old_inputs, request.inputs)
        )
        if after is not UNKNOWN:
            fixed = ("encrypted", "kmsKeyId")
            if [before.get(name) for name in fixed] != [after.get(name) for name in fixed]:
                yield "rootBlockDevice"

    def computed(self, request: AwsRequest) -> Properties:
        """What a running instance shows; what is not known yet is unknown in a preview, else left out."""
        inputs, interface_id = request.inputs, _interface_id(request.inputs)
        unknown = UNKNOWN if request.preview else None
        interface = self.registry.get(NETWORK_INTERFACE, interface_id)
        subnet_id = interface.inputs["subnetId"] if interface is not None else inputs.get("subnetId")
        subnet = self.registry.get(SUBNET, subnet_id)
        address = interface.outputs.get("privateIp") if interface is not None else inputs.get("privateIp")
        if address is None and subnet is not None and interface_id is None:
            address = host_address(subnet.inputs["cidrBlock"], request.number("address", 1 << 16), ())
        groups = interface.outputs.get("securityGroups") if interface is not None else None
        outputs = {
            "availabilityZone": (subnet.outputs if subnet is not None else inputs).get("availabilityZone"),
            "primaryNetworkInterfaceId": request.ec2_id("eni") if interface_id is None else interface_id,
            "privateDns": private_dns_name(address, request.region) if known(address) else address,
            "privateIp": address,
            "subnetId": subnet_id if known(subnet_id) else None,
            "vpcSecurityGroupIds": given(inputs, "vpcSecurityGroupIds", groups),
        }
        outputs = {name: unknown if value is None else value for name, value in outputs.items()}
        return {name: value for name, value in outputs.items() if value is not None}

    def provision(self, request: AwsRequest) -> Properties:
        try:
            self.service(Machines).launch(self._facts(request), _user_data(request.inputs) or b"")
        except UserDataError as error:
            raise Refused(f"creating EC2 Instance ({request.id}): {error}") from error
        return {}

    def renew(self, request: AwsRequest) -> Properties:
        """Another type or profile; user-data that changes in place is not run again, as on EC2."""
        refuse_profile(_CREATING, self.endpoint, request.inputs.get("iamInstanceProfile"))
        self.service(Machines).configure(self._facts(request))
        return {}

    def _facts(self, request: AwsRequest) -> InstanceFacts:
        outputs, inputs = self.computed(request), request.inputs
        subnet = self.registry.get(SUBNET, outputs.get("subnetId"))
        kind = given(inputs, "instanceType", "m1.small")
        return InstanceFacts.declared(
            outputs,
            instance_id=request.id,
            image_id=inputs["ami"],
            instance_type=kind,
            architecture=instance_architecture(kind),
            region=request.region,
            instance_profile=inputs.get("iamInstanceProfile"),
            vpc_id=subnet.inputs["vpcId"] if subnet is not None else None,
        )

    def dispose(self, request: AwsRequest) -> None:
        if request.inputs.get("disableApiTermination") and not request.inputs.get("forceDestroy"):
            raise Refused(
                f"terminating EC2 Instance ({request.id}): api error OperationNotPermitted: The instance "
                f"'{request.id}' may not be terminated. Modify its 'disableApiTermination' instance "
                "attribute and try again."
            )
        self.service(Machines).terminate(request.id)


def _interface_id(inputs: Properties) -> Any:
    primary, interfaces = inputs.get("primaryNetworkInterface"), inputs.get("networkInterfaces")
    if isinstance(primary, dict):
        return primary.get("networkInterfaceId")
    if primary is UNKNOWN or not isinstance(interfaces, list):
        return primary
    return next((item.get("networkInterfaceId") for item in interfaces if item.get("deviceIndex") == 0), None)


def _user_data(inputs: Properties) -> bytes | None:
    encoded, plain = inputs.get("userDataBase64"), inputs.get("userData")
    if known(encoded):
        return base64.b64decode(str(encoded), validate=True)
    return str(plain).encode() if known(plain) else None
