"""IAM roles, their policies and instance profiles; the endpoint keeps them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from emulator.core.aws_type import AwsRequest, AwsType, given, text
from emulator.core.checks import Check, between, json_policy, matching, not_emulated
from emulator.core.resource_type import Properties, Refused
from emulator.core.service_errors import answer_or_none, arguments, service_call

_GONE = ("NoSuchEntity",)
_ELSEWHERE = (not_emulated("use iam.RolePolicy"),)


def _entity_name(longest: int) -> Sequence[Check]:
    return (matching(rf"[\w+=,.@-]{{1,{longest}}}", "letters, digits and +=,.@-_ are allowed"),)


def _document(declared: str, found: Any) -> str:
    """A policy document as it is found; the same document in another spelling is no drift."""
    return declared if json.loads(declared) == found else json.dumps(found)


class _NamedEntity(AwsType):
    """An entity with an ARN, a path and an id that AWS generates."""

    name_property = "name"
    replace_on = ("name", "namePrefix", "path")
    unknown_outputs = ("createDate", "uniqueId")
    path: ClassVar[str]

    def computed(self, request: AwsRequest) -> Properties:
        path = text(self.path, given(request.inputs, "path", "/"), request.id)
        return {"arn": request.arn("iam", path, region="")}


class Role(_NamedEntity):
    """`iam.Role`."""

    token = "aws:iam/role:Role"
    path = "role"
    required = ("assumeRolePolicy",)
    defaults: ClassVar[Mapping[str, Any]] = {
        "forceDetachPolicies": False,
        "maxSessionDuration": 3600,
        "path": "/",
    }
    checks: ClassVar = {
        "assumeRolePolicy": (json_policy,),
        "inlinePolicies": _ELSEWHERE,
        "managedPolicyArns": _ELSEWHERE,
        "maxSessionDuration": (between(3600, 43200),),
        "name": _entity_name(64),
    }
    name_taken = (
        "creating IAM Role ({id}): api error EntityAlreadyExists: Role with name {id} already exists."
    )
    name_maximum = 64

    def provision(self, request: AwsRequest) -> Properties:
        client = self.endpoint.client("iam")
        accept = ("EntityAlreadyExists",) if request.resumed else ()
        trust = request.inputs["assumeRolePolicy"]
        with service_call(f"creating IAM Role ({request.id})", accept=accept):
            client.create_role(
                RoleName=request.id,
                AssumeRolePolicyDocument=trust,
                Path=request.inputs["path"],
                MaxSessionDuration=int(request.inputs["maxSessionDuration"]),
                **arguments(request.inputs, {"description": "Description"}),
            )
        if request.resumed:
            client.update_assume_role_policy(RoleName=request.id, PolicyDocument=trust)
        role = client.get_role(RoleName=request.id)["Role"]
        return {"createDate": role["CreateDate"].strftime("%Y-%m-%dT%H:%M:%SZ"), "uniqueId": role["RoleId"]}

    def renew(self, request: AwsRequest) -> Properties:
        client = self.endpoint.client("iam")
        with service_call(f"updating IAM Role ({request.id})"):
            if request.old_inputs.get("assumeRolePolicy") != request.inputs["assumeRolePolicy"]:
                client.update_assume_role_policy(
                    RoleName=request.id, PolicyDocument=request.inputs["assumeRolePolicy"]
                )
            client.update_role(
                RoleName=request.id,
                Description=given(request.inputs, "description", ""),
                MaxSessionDuration=int(request.inputs["maxSessionDuration"]),
            )
        return {}

    def observe(self, request: AwsRequest) -> Properties | None:
        found = answer_or_none(self.endpoint.client("iam").get_role, RoleName=request.id)
        if found is None:
            return None
        trust = found["Role"]["AssumeRolePolicyDocument"]
        return {"assumeRolePolicy": _document(request.inputs["assumeRolePolicy"], trust)}

    def dispose(self, request: AwsRequest) -> None:
        """Deletes it; AWS refuses while policies or profiles are attached to it."""
        client = self.endpoint.client("iam")
        with service_call(f"deleting IAM Role ({request.id})", accept=_GONE):
            if client.list_instance_profiles_for_role(RoleName=request.id)["InstanceProfiles"]:
                raise Refused(
                    f"deleting IAM Role ({request.id}): api error DeleteConflict: Cannot delete entity, "
                    "must remove roles from instance profile first."
                )
            client.delete_role(RoleName=request.id)


class RolePolicy(AwsType):
    """`iam.RolePolicy`."""

    token = "aws:iam/rolePolicy:RolePolicy"
    required = ("policy", "role")
    checks: ClassVar = {"name": _entity_name(128), "policy": (json_policy,)}
    name_property = "name"
    name_maximum = 128
    replace_on = ("name", "namePrefix", "role")
    provision_again = True
    taggable = False

    def resource_id(self, request: AwsRequest) -> Any:
        """`<role>:<name>`."""
        return text(request.inputs["role"], ":", self.physical_name(request))

    def provision(self, request: AwsRequest) -> Properties:
        role, _, name = request.id.partition(":")
        with service_call(f"putting IAM Role ({role}) Policy ({name})"):
            self.endpoint.client("iam").put_role_policy(
                RoleName=role, PolicyName=name, PolicyDocument=request.inputs["policy"]
            )
        return {}

    def observe(self, request: AwsRequest) -> Properties | None:
        role, _, name = request.id.partition(":")
        client = self.endpoint.client("iam")
        found = answer_or_none(client.get_role_policy, RoleName=role, PolicyName=name)
        return found and {"policy": _document(request.inputs["policy"], found["PolicyDocument"])}

    def dispose(self, request: AwsRequest) -> None:
        role, _, name = request.id.partition(":")
        with service_call(f"deleting IAM Role ({role}) Policy ({name})", accept=_GONE):
            self.endpoint.client("iam").delete_role_policy(RoleName=role, PolicyName=name)


class InstanceProfile(_NamedEntity):
    """`iam.InstanceProfile`."""

    token = "aws:iam/instanceProfile:InstanceProfile"
    path = "instance-profile"
    defaults: ClassVar[Mapping[str, Any]] = {"path": "/"}
    checks: ClassVar = {"name": _entity_name(128)}
    name_taken = (
        "creating IAM Instance Profile ({id}): api error EntityAlreadyExists: Instance Profile with name "
        "{id} already exists."
    )
    name_maximum = 128

    def provision(self, request: AwsRequest) -> Properties:
        client = self.endpoint.client("iam")
        accept = ("EntityAlreadyExists",) if request.resumed else ()
        with service_call(f"creating IAM Instance Profile ({request.id})", accept=accept):
            client.create_instance_profile(InstanceProfileName=request.id, Path=request.inputs["path"])
        self._set_role(request.id, request.inputs.get("role"))
        found = client.get_instance_profile(InstanceProfileName=request.id)["InstanceProfile"]
        created = found["CreateDate"].strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"createDate": created, "uniqueId": found["InstanceProfileId"]}

    def renew(self, request: AwsRequest) -> Properties:
        self._set_role(request.id, request.inputs.get("role"))
        return {}

    def _set_role(self, profile: str, role: str | None) -> None:
        client = self.endpoint.client("iam")
        with service_call(f"updating IAM Instance Profile ({profile})"):
            found = client.get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]["Roles"]
            present = [item["RoleName"] for item in found]
            for name in present:
                if name != role:
                    client.remove_role_from_instance_profile(InstanceProfileName=profile, RoleName=name)
            if role is not None and role not in present:
                client.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=role)

    def observe(self, request: AwsRequest) -> Properties | None:
        client = self.endpoint.client("iam")
        found = answer_or_none(client.get_instance_profile, InstanceProfileName=request.id)
        if found is None:
            return None
        roles = found["InstanceProfile"]["Roles"]
        return {"role": roles[0]["RoleName"]} if roles else {}

    def dispose(self, request: AwsRequest) -> None:
        client = self.endpoint.client("iam")
        if answer_or_none(client.get_instance_profile, InstanceProfileName=request.id) is None:
            return
        self._set_role(request.id, None)
        with service_call(f"deleting IAM Instance Profile ({request.id})", accept=_GONE):
            client.delete_instance_profile(InstanceProfileName=request.id)
