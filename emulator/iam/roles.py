"""IAM roles, their policies and instance profiles; kept on the endpoint."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from emulator.core.aws_type import AwsType, Resource, given, known, pattern_problem, text
from emulator.core.properties import UNKNOWN
from emulator.core.registry import Record
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

    def resource_id(self, resource: Resource, inputs: Properties) -> Any:
        """The name."""
        if inputs.get("name") is not None:
            return inputs["name"]
        return text(inputs["namePrefix"], resource.digest("name")[:26])

    def _arn(self, kind: str, resource: Resource, resource_id: Any, inputs: Properties) -> Any:
        return resource.arn("iam", text(kind, given(inputs, "path", "/"), resource_id), region="")

    def _refuse_taken(self, kind: str, resource: Resource, resource_id: str) -> None:
        if self.taken(resource, resource_id):
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

    def refuse(self, resource: Resource, resource_id: str, inputs: Properties) -> None:
        """A name that is taken."""
        del inputs
        self._refuse_taken("Role", resource, resource_id)

    def computed(self, resource: Resource, resource_id: Any, inputs: Properties) -> Properties:
        """ARN."""
        return {"arn": self._arn("role", resource, resource_id, inputs), "name": resource_id}

    def unknown_outputs(self, inputs: Properties) -> Properties:
        """AWS makes the id up."""
        del inputs
        return {"createDate": UNKNOWN, "uniqueId": UNKNOWN}

    def provision(self, resource: Resource, resource_id: str, inputs: Properties) -> Properties:
        """Creates it."""
        client = self.endpoint.client("iam")
        options = {"Description": inputs["description"]} if inputs.get("description") else {}
        accept = ("EntityAlreadyExists",) if resource.resumed else ()
        with service_call(f"creating IAM Role ({resource_id})", accept=accept):
            client.create_role(
                RoleName=resource_id,
                AssumeRolePolicyDocument=inputs["assumeRolePolicy"],
                Path=inputs["path"],
                MaxSessionDuration=int(inputs["maxSessionDuration"]),
                **options,
            )
        if resource.resumed:
            client.update_assume_role_policy(RoleName=resource_id, PolicyDocument=inputs["assumeRolePolicy"])
        role = client.get_role(RoleName=resource_id)["Role"]
        return {"createDate": role["CreateDate"].strftime("%Y-%m-%dT%H:%M:%SZ"), "uniqueId": role["RoleId"]}

    def renew(
        self,
        resource: Resource,
        resource_id: str,
        old_inputs: Properties,
        inputs: Properties,
        outputs: Properties,
    ) -> Properties:
        """Changes trust, description and duration."""
        del resource
        client = self.endpoint.client("iam")
        with service_call(f"updating IAM Role ({resource_id})"):
            if old_inputs.get("assumeRolePolicy") != inputs["assumeRolePolicy"]:
                client.update_assume_role_policy(
                    RoleName=resource_id, PolicyDocument=inputs["assumeRolePolicy"]
                )
            client.update_role(
                RoleName=resource_id,
                Description=given(inputs, "description", ""),
                MaxSessionDuration=int(inputs["maxSessionDuration"]),
            )
        return {name: outputs[name] for name in ("createDate", "uniqueId") if name in outputs}

    def observe(self, resource_id: str, record: Record) -> Properties | None:
        """The trust policy."""
        try:
            role = self.endpoint.client("iam").get_role(RoleName=resource_id)["Role"]
        except ClientError:
            return None
        given = record.inputs["assumeRolePolicy"]
        found = role["AssumeRolePolicyDocument"]
        # The same document in another spelling is no drift.
        return {"assumeRolePolicy": given if json.loads(given) == found else json.dumps(found)}

    def dispose(self, resource_id: str, inputs: Properties, outputs: Properties) -> None:
        """Deletes it; AWS refuses while policies or profiles hang on it."""
        del inputs, outputs
        client = self.endpoint.client("iam")
        with service_call(f"deleting IAM Role ({resource_id})", accept=_GONE):
            if client.list_instance_profiles_for_role(RoleName=resource_id)["InstanceProfiles"]:
                raise Refused(
                    f"deleting IAM Role ({resource_id}): api error DeleteConflict: Cannot delete entity, "
                    "must remove roles "
                    "from instance profile first."
                )
            client.delete_role(RoleName=resource_id)


class RolePolicy(AwsType):
    """`iam.RolePolicy`."""

    token = "aws:iam/rolePolicy:RolePolicy"
    required = ("policy", "role")
    name_property = "name"
    name_maximum = 128
    replace_on = frozenset({"name", "namePrefix", "role"})
    taggable = False

    def resource_id(self, resource: Resource, inputs: Properties) -> Any:
        """Role and name."""
        name = inputs.get("name")
        return text(
            inputs["role"],
            ":",
            name if name is not None else text(inputs["namePrefix"], resource.digest("name")[:26]),
        )

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Name and document."""
        yield from pattern_problem(inputs, "name", _NAME % 128, _NAME_WORDS)
        yield from _document_problem(inputs, "policy")

    def computed(self, resource: Resource, resource_id: Any, inputs: Properties) -> Properties:
        """The name."""
        del resource
        return {
            "name": given(
                inputs, "name", UNKNOWN if resource_id is UNKNOWN else str(resource_id).partition(":")[2]
            )
        }

    def provision(self, resource: Resource, resource_id: str, inputs: Properties) -> Properties:
        """Puts the document."""
        del resource
        role, _, name = resource_id.partition(":")
        with service_call(f"putting IAM Role ({role}) Policy ({name})"):
            self.endpoint.client("iam").put_role_policy(
                RoleName=role, PolicyName=name, PolicyDocument=inputs["policy"]
            )
        return {}

    def renew(
        self,
        resource: Resource,
        resource_id: str,
        old_inputs: Properties,
        inputs: Properties,
        outputs: Properties,
    ) -> Properties:
        """Puts the document anew."""
        del old_inputs, outputs
        return self.provision(resource, resource_id, inputs)

    def observe(self, resource_id: str, record: Record) -> Properties | None:
        """The document."""
        role, _, name = resource_id.partition(":")
        try:
            found = self.endpoint.client("iam").get_role_policy(RoleName=role, PolicyName=name)[
                "PolicyDocument"
            ]
        except ClientError:
            return None
        given = record.inputs["policy"]
        return {"policy": given if json.loads(given) == found else json.dumps(found)}

    def dispose(self, resource_id: str, inputs: Properties, outputs: Properties) -> None:
        """Deletes it."""
        del inputs, outputs
        role, _, name = resource_id.partition(":")
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

    def refuse(self, resource: Resource, resource_id: str, inputs: Properties) -> None:
        """A name that is taken."""
        del inputs
        self._refuse_taken("Instance Profile", resource, resource_id)

    def computed(self, resource: Resource, resource_id: Any, inputs: Properties) -> Properties:
        """ARN."""
        return {"arn": self._arn("instance-profile", resource, resource_id, inputs), "name": resource_id}

    def unknown_outputs(self, inputs: Properties) -> Properties:
        """AWS makes the id up."""
        del inputs
        return {"createDate": UNKNOWN, "uniqueId": UNKNOWN}

    def provision(self, resource: Resource, resource_id: str, inputs: Properties) -> Properties:
        """Creates it and puts the role in."""
        client = self.endpoint.client("iam")
        accept = ("EntityAlreadyExists",) if resource.resumed else ()
        with service_call(f"creating IAM Instance Profile ({resource_id})", accept=accept):
            client.create_instance_profile(InstanceProfileName=resource_id, Path=inputs["path"])
        self._set_role(client, resource_id, inputs.get("role"))
        found = client.get_instance_profile(InstanceProfileName=resource_id)["InstanceProfile"]
        created = found["CreateDate"].strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"createDate": created, "uniqueId": found["InstanceProfileId"]}

    def renew(
        self,
        resource: Resource,
        resource_id: str,
        old_inputs: Properties,
        inputs: Properties,
        outputs: Properties,
    ) -> Properties:
        """Exchanges the role."""
        del resource, old_inputs
        self._set_role(self.endpoint.client("iam"), resource_id, inputs.get("role"))
        return {name: outputs[name] for name in ("createDate", "uniqueId") if name in outputs}

    def _set_role(self, client: Any, profile: str, role: str | None) -> None:
        with service_call(f"updating IAM Instance Profile ({profile})"):
            found = client.get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]["Roles"]
            present = [item["RoleName"] for item in found]
            for name in present:
                if name != role:
                    client.remove_role_from_instance_profile(InstanceProfileName=profile, RoleName=name)
            if role is not None and role not in present:
                client.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=role)

    def observe(self, resource_id: str, record: Record) -> Properties | None:
        """Its role."""
        del record
        try:
            found = self.endpoint.client("iam").get_instance_profile(InstanceProfileName=resource_id)
        except ClientError:
            return None
        roles = found["InstanceProfile"]["Roles"]
        return {"role": roles[0]["RoleName"]} if roles else {}

    def dispose(self, resource_id: str, inputs: Properties, outputs: Properties) -> None:
        """Takes the role out and deletes it."""
        del inputs, outputs
        client = self.endpoint.client("iam")
        try:
            client.get_instance_profile(InstanceProfileName=resource_id)
        except ClientError:
            return
        self._set_role(client, resource_id, None)
        with service_call(f"deleting IAM Instance Profile ({resource_id})", accept=_GONE):
            client.delete_instance_profile(InstanceProfileName=resource_id)
