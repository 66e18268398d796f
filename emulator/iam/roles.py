"""IAM roles, their policies and instance profiles; kept on the endpoint."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from emulator.core.aws_type import AwsRequest, AwsType, given, known, pattern_problem, text
from emulator.core.properties import UNKNOWN
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.core.service_errors import service_call

_NAME = r"[\w+=,.@-]{1,%d}"
_NAME_WORDS = "letters, digits and +=,.@-_ are allowed"
_GONE = ("NoSuchEntity",)


def _document_problem(inputs: Properties, name: str) -> Iterable[Failure]:
    value = inputs.get(name)
    if not known(value):
        return
    try:
        parsed = json.loads(str(value))
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        yield Failure(name, f'"{name}" contains an invalid JSON policy: not a JSON object')


class _NamedEntity(AwsType):
    name_property = "name"

    def resource_id(self, request: AwsRequest) -> Any:
        """The name."""
        if request.inputs.get("name") is not None:
            return request.inputs["name"]
        return text(request.inputs["namePrefix"], request.digest("name")[:26])

    def _arn(self, kind: str, resource: AwsRequest, resource_id: Any, inputs: Properties) -> Any:
        return resource.arn("iam", text(kind, given(inputs, "path", "/"), resource_id), region="")

    def _refuse_taken(self, kind: str, resource: AwsRequest, resource_id: str) -> None:
        if self.taken(resource):
            raise Refused(
                f"creating IAM {kind} ({resource_id}): api error EntityAlreadyExists: {kind} with name "
                f"{resource_id} "
                "already exists."
            )


class Role(_NamedEntity):
    """`iam.Role`."""

    token = "aws:iam/role:Role"
    required = ("assumeRolePolicy",)
    defaults: ClassVar[Mapping[str, Any]] = {
        "forceDetachPolicies": False,
        "maxSessionDuration": 3600,
        "path": "/",
    }
    name_maximum = 64
    replace_on = frozenset({"name", "namePrefix", "path"})

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Names, documents, and what has no stand-in."""
        yield from pattern_problem(inputs, "name", _NAME % 64, _NAME_WORDS)
        yield from _document_problem(inputs, "assumeRolePolicy")
        if inputs.get("managedPolicyArns") is not None or inputs.get("inlinePolicies") is not None:
            yield Failure(
                "inlinePolicies",
                "inline_policy and managed_policy_arns have no stand-in in the sandbox; use iam.RolePolicy",
            )
        duration = inputs["maxSessionDuration"]
        if known(duration) and not 3600 <= int(duration) <= 43200:
            yield Failure(
                "maxSessionDuration",
                f"expected max_session_duration to be in the range (3600 - 43200), got {duration}",
            )

    def refuse(self, request: AwsRequest) -> None:
        """A name that is taken."""
        self._refuse_taken("Role", request, request.id)

    def computed(self, request: AwsRequest) -> Properties:
        """ARN."""
        return {"arn": self._arn("role", request, request.id, request.inputs), "name": request.id}

    def unknown_outputs(self, inputs: Properties) -> Properties:
        """AWS makes the id up."""
        del inputs
        return {"createDate": UNKNOWN, "uniqueId": UNKNOWN}

    def provision(self, request: AwsRequest) -> Properties:
        """Creates it."""
        client = self.endpoint.client("iam")
        options = {"Description": request.inputs["description"]} if request.inputs.get("description") else {}
        accept = ("EntityAlreadyExists",) if request.resumed else ()
        with service_call(f"creating IAM Role ({request.id})", accept=accept):
            client.create_role(
                RoleName=request.id,
                AssumeRolePolicyDocument=request.inputs["assumeRolePolicy"],
                Path=request.inputs["path"],
                MaxSessionDuration=int(request.inputs["maxSessionDuration"]),
                **options,
            )
        if request.resumed:
            client.update_assume_role_policy(
                RoleName=request.id, PolicyDocument=request.inputs["assumeRolePolicy"]
            )
        role = client.get_role(RoleName=request.id)["Role"]
        return {"createDate": role["CreateDate"].strftime("%Y-%m-%dT%H:%M:%SZ"), "uniqueId": role["RoleId"]}

    def renew(self, request: AwsRequest) -> Properties:
        """Changes trust, description and duration."""
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
        return {name: request.outputs[name] for name in ("createDate", "uniqueId") if name in request.outputs}

    def observe(self, request: AwsRequest) -> Properties | None:
        """The trust policy."""
        try:
            role = self.endpoint.client("iam").get_role(RoleName=request.id)["Role"]
        except ClientError:
            return None
        given = request.inputs["assumeRolePolicy"]
        found = role["AssumeRolePolicyDocument"]
        # The same document in another spelling is no drift.
        return {"assumeRolePolicy": given if json.loads(given) == found else json.dumps(found)}

    def dispose(self, request: AwsRequest) -> None:
        """Deletes it; AWS refuses while policies or profiles hang on it."""
        client = self.endpoint.client("iam")
        with service_call(f"deleting IAM Role ({request.id})", accept=_GONE):
            if client.list_instance_profiles_for_role(RoleName=request.id)["InstanceProfiles"]:
                raise Refused(
                    f"deleting IAM Role ({request.id}): api error DeleteConflict: Cannot delete entity, "
                    "must remove roles "
                    "from instance profile first."
                )
            client.delete_role(RoleName=request.id)


class RolePolicy(AwsType):
    """`iam.RolePolicy`."""

    token = "aws:iam/rolePolicy:RolePolicy"
    required = ("policy", "role")
    name_property = "name"
    name_maximum = 128
    replace_on = frozenset({"name", "namePrefix", "role"})
    taggable = False

    def resource_id(self, request: AwsRequest) -> Any:
        """Role and name."""
        name = request.inputs.get("name")
        return text(
            request.inputs["role"],
            ":",
            name if name is not None else text(request.inputs["namePrefix"], request.digest("name")[:26]),
        )

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Name and document."""
        yield from pattern_problem(inputs, "name", _NAME % 128, _NAME_WORDS)
        yield from _document_problem(inputs, "policy")

    def computed(self, request: AwsRequest) -> Properties:
        """The name."""
        return {
            "name": given(
                request.inputs,
                "name",
                UNKNOWN if request.id is UNKNOWN else str(request.id).partition(":")[2],
            )
        }

    def provision(self, request: AwsRequest) -> Properties:
        """Puts the document."""
        role, _, name = request.id.partition(":")
        with service_call(f"putting IAM Role ({role}) Policy ({name})"):
            self.endpoint.client("iam").put_role_policy(
                RoleName=role, PolicyName=name, PolicyDocument=request.inputs["policy"]
            )
        return {}

    def renew(self, request: AwsRequest) -> Properties:
        """Puts the document anew."""
        return self.provision(request)

    def observe(self, request: AwsRequest) -> Properties | None:
        """The document."""
        role, _, name = request.id.partition(":")
        try:
            found = self.endpoint.client("iam").get_role_policy(RoleName=role, PolicyName=name)[
                "PolicyDocument"
            ]
        except ClientError:
            return None
        given = request.inputs["policy"]
        return {"policy": given if json.loads(given) == found else json.dumps(found)}

    def dispose(self, request: AwsRequest) -> None:
        """Deletes it."""
        role, _, name = request.id.partition(":")
        with service_call(f"deleting IAM Role ({role}) Policy ({name})", accept=_GONE):
            self.endpoint.client("iam").delete_role_policy(RoleName=role, PolicyName=name)


class InstanceProfile(_NamedEntity):
    """`iam.InstanceProfile`."""

    token = "aws:iam/instanceProfile:InstanceProfile"
    defaults: ClassVar[Mapping[str, Any]] = {"path": "/"}
    name_maximum = 128
    replace_on = frozenset({"name", "namePrefix", "path"})

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """The name."""
        yield from pattern_problem(inputs, "name", _NAME % 128, _NAME_WORDS)

    def refuse(self, request: AwsRequest) -> None:
        """A name that is taken."""
        self._refuse_taken("Instance Profile", request, request.id)

    def computed(self, request: AwsRequest) -> Properties:
        """ARN."""
        return {"arn": self._arn("instance-profile", request, request.id, request.inputs), "name": request.id}

    def unknown_outputs(self, inputs: Properties) -> Properties:
        """AWS makes the id up."""
        del inputs
        return {"createDate": UNKNOWN, "uniqueId": UNKNOWN}

    def provision(self, request: AwsRequest) -> Properties:
        """Creates it and puts the role in."""
        client = self.endpoint.client("iam")
        accept = ("EntityAlreadyExists",) if request.resumed else ()
        with service_call(f"creating IAM Instance Profile ({request.id})", accept=accept):
            client.create_instance_profile(InstanceProfileName=request.id, Path=request.inputs["path"])
        self._set_role(client, request.id, request.inputs.get("role"))
        found = client.get_instance_profile(InstanceProfileName=request.id)["InstanceProfile"]
        created = found["CreateDate"].strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"createDate": created, "uniqueId": found["InstanceProfileId"]}

    def renew(self, request: AwsRequest) -> Properties:
        """Exchanges the role."""
        self._set_role(self.endpoint.client("iam"), request.id, request.inputs.get("role"))
        return {name: request.outputs[name] for name in ("createDate", "uniqueId") if name in request.outputs}

    def _set_role(self, client: Any, profile: str, role: str | None) -> None:
        with service_call(f"updating IAM Instance Profile ({profile})"):
            found = client.get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]["Roles"]
            present = [item["RoleName"] for item in found]
            for name in present:
                if name != role:
                    client.remove_role_from_instance_profile(InstanceProfileName=profile, RoleName=name)
            if role is not None and role not in present:
                client.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=role)

    def observe(self, request: AwsRequest) -> Properties | None:
        """Its role."""
        try:
            found = self.endpoint.client("iam").get_instance_profile(InstanceProfileName=request.id)
        except ClientError:
            return None
        roles = found["InstanceProfile"]["Roles"]
        return {"role": roles[0]["RoleName"]} if roles else {}

    def dispose(self, request: AwsRequest) -> None:
        """Takes the role out and deletes it."""
        client = self.endpoint.client("iam")
        try:
            client.get_instance_profile(InstanceProfileName=request.id)
        except ClientError:
            return
        self._set_role(client, request.id, None)
        with service_call(f"deleting IAM Instance Profile ({request.id})", accept=_GONE):
            client.delete_instance_profile(InstanceProfileName=request.id)
