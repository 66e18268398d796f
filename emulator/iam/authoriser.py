"""Decides whether a caller may make a call.

It goes by the documents that the program itself put into IAM, S3 and Secrets Manager.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from emulator.endpoint.credentials import ACCOUNT, Identity
from emulator.endpoint.moto_backend import Moto
from emulator.endpoint.operations import Operation
from emulator.endpoint.refusals import Kind, Refusal
from emulator.endpoint.resources import Access, accesses
from emulator.iam.conditions import Context
from emulator.iam.policy import Decision, MalformedPolicyDocument, Request, Statement, decide, parse_policy

_EVERYTHING = parse_policy({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})
# Everybody may ask who they are: AWS does not check permissions for it.
_UNRESTRICTED = frozenset({"sts:GetCallerIdentity"})


class Authoriser:
    """Evaluates policies."""

    def __init__(self, moto: Moto) -> None:
        self._moto = moto

    def authorise(self, identity: Identity, operation: Operation, region: str) -> None:
        """Lets the call pass or refuses it.

        Raises:
            Refusal: With AWS's words: who may not do what on which resource, and why.
        """
        if operation.full_name in _UNRESTRICTED:
            return
        identity_policies = self._identity_policies(identity)
        for access in accesses(operation, region, self._moto.secret_arns(region)):
            self._check(identity, identity_policies, access, region)

    def allows(self, identity: Identity, access: Access, region: str) -> bool:
        """Whether one action on one resource is allowed."""
        try:
            self._check(identity, self._identity_policies(identity), access, region)
        except Refusal:
            return False
        return True

    def _check(
        self,
        identity: Identity,
        identity_policies: Sequence[Sequence[Statement]],
        access: Access,
        region: str,
    ) -> None:
        request = Request(
            caller=identity.caller,
            action=access.action,
            resource=access.resource,
            context={
                name: value
                for name, value in {**caller_context(identity, region), **access.context}.items()
                if name not in access.lacking
            },
        )
        trust = access.action == "sts:AssumeRole"
        resource_policy = self._resource_policy(access)
        decision = decide(request, identity_policies, resource_policy, needs_resource_policy=trust)
        if decision is not Decision.ALLOWED:
            raise Refusal(Kind.DENIED, denial(identity.caller.arn, access, decision))

    def _identity_policies(self, identity: Identity) -> Sequence[Sequence[Statement]]:
        if identity.session is None:
            return [_EVERYTHING]
        role = self._moto.role(identity.session.role_name)
        if role is None or role.role_id != identity.session.role_id:
            raise Refusal(Kind.UNKNOWN_KEY)
        return [parse_policy(document) for document in role.policies]

    def _resource_policy(self, access: Access) -> Sequence[Statement]:
        service = access.action.split(":", 1)[0]
        document = None
        if service == "s3" and access.resource != "*":
            document = self._moto.bucket_policy(
                access.resource.removeprefix("arn:aws:s3:::").split("/", 1)[0]
            )
        elif service == "secretsmanager" and access.resource.startswith("arn:"):
            document = self._moto.secret_policy(access.resource)
        elif access.action == "sts:AssumeRole":
            role = self._moto.role(access.resource.rsplit("/", 1)[-1])
            document = role.trust_policy if role is not None and role.arn == access.resource else None
        return parse_policy(document) if document else ()


def denial(caller_arn: str, access: Access, decision: Decision) -> str:
    """AWS's message for a denied call."""
    service = access.action.split(":", 1)[0]
    resource = f'"{access.resource}"' if service == "s3" else access.resource
    reason = decision.value.format(action=access.action)
    on = f" on resource: {resource}" if access.resource != "*" else ""
    return f"User: {caller_arn} is not authorized to perform: {access.action}{on} {reason}"


def trusts_service(trust_policy: str | Mapping[str, Any], service: str) -> bool:
    """Whether a role's trust policy lets an AWS service assume it, such as `ec2.amazonaws.com`."""
    try:
        statements = parse_policy(trust_policy)
    except MalformedPolicyDocument:
        return False
    trusted = [item.principal for item in statements if item.effect == "Allow" and item.principal is not None]
    return any(service in principal.values and not principal.negated for principal in trusted)


def caller_context(identity: Identity, region: str) -> Context:
    """Global condition keys of a call.

    `aws:SecureTransport` is true although the sandbox speaks http: loopback is its protected transport, and
    policies that demand TLS are about what happens on a network.
    """
    facts: Mapping[str, str] = identity.session.facts if identity.session else {"aws:username": "operator"}
    return {
        "aws:PrincipalArn": identity.caller.principal_arn,
        "aws:PrincipalAccount": ACCOUNT,
        "aws:PrincipalType": "AssumedRole" if identity.session else "User",
        "aws:PrincipalIsAWSService": "false",
        "aws:ViaAWSService": "false",
        "aws:ResourceAccount": ACCOUNT,
        "aws:RequestedRegion": region,
        "aws:SecureTransport": "true",
        "aws:SourceIp": "127.0.0.1",
        "aws:userid": identity.user_id,
        **facts,
    }
