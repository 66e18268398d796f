"""What AWS would refuse of a stack's rendered text, found before the first resource is registered. Pure.

What AWS or Pulumi names is as long here as it can be, so that what is accepted is accepted in every region.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from components import iam_documents
from components.pki.secrets_key import key_readers
from components.rds.instance import instance_identifier, shares_identifier
from components.rds.roles_function import event_json
from components.self_managed.desired_state import writers
from settings import Gateway, Rds, Settings
from settings.problems import Path, Problem
from settings.quotas import (
    BUCKET_POLICY,
    INLINE_POLICIES,
    KEY_POLICY,
    ROLE_NAME,
    SCHEDULE_EVENT,
    SECRET_POLICY,
    TRUST_POLICY,
    Quotas,
)

_PLACE = {"partition": "aws-iso-f", "region": "us-isof-south-1", "account_id": "123456789012"}
_RESOURCE_ID = f"db-{'A' * 26}"
_BUCKET = iam_documents.arn("s3", "b" * 63, partition=_PLACE["partition"])
_SECRET = iam_documents.arn("secretsmanager", f"secret:{'s' * 100}", **_PLACE)
_LOG_GROUP = iam_documents.arn("logs", f"log-group:{'l' * 150}", **_PLACE)
_ROLE = iam_documents.arn(
    "iam", f"role/{'r' * ROLE_NAME.limit}", partition=_PLACE["partition"], account_id=_PLACE["account_id"]
)
_ADMINISTRATORS: Path = ("certificates", "administrators")


def preflight_problems(stack: str, settings: Settings) -> Iterator[Problem]:
    """What AWS would refuse.

    Args:
        stack: Name of the stack.
        settings: Its settings, which are valid.
    """
    administrators = settings.certificates.administrators
    if settings.self_managed is not None:
        yield from _secret_problems(_ADMINISTRATORS, [_ROLE], administrators)
        for name, role in settings.self_managed.roles.items():
            path = ("selfManaged", "roles", name, "secretReaders")
            yield from _secret_problems(path, role.secret_readers, administrators)
    if settings.rds is not None:
        yield from _rds_problems(stack, settings.rds, settings.quotas)
    if settings.gateway is not None:
        yield from _gateway_problems(settings.gateway, administrators)
    if readers := key_readers(settings):
        key = iam_documents.secrets_key(**_PLACE, readers=readers, administrators=administrators)
        if excess := KEY_POLICY.excess(KEY_POLICY.size(key)):
            yield Problem(
                ("certificates", "secretsKey"), f"makes {excess}; name fewer secretReaders, such as one role"
            )
    # No bucket has a longer policy than that of a desired state.
    policy = iam_documents.private_bucket(_BUCKET, writers(_ROLE, administrators))
    if excess := BUCKET_POLICY.excess(BUCKET_POLICY.size(policy)):
        yield Problem(_ADMINISTRATORS, f"makes {excess}; name fewer, such as one role that they all assume")


def _secret_problems(path: Path, readers: Sequence[str], administrators: Sequence[str]) -> Iterator[Problem]:
    policy = iam_documents.identity_secret(_SECRET, readers, administrators)
    if excess := SECRET_POLICY.excess(SECRET_POLICY.size(policy)):
        yield Problem(path, f"makes {excess}; name fewer, such as one role that they all assume")


def _rds_problems(stack: str, server: Rds, quotas: Quotas) -> Iterator[Problem]:
    if server.identifier is None and shares_identifier(stack):
        identifier = instance_identifier(stack, "rds")
        yield Problem(
            ("rds", "identifier"),
            f"is missing, and the name of the stack {stack!r} makes {identifier}, which other stacks make as "
            "well; give this one if the stack has the instance already, and one of its own otherwise",
        )
    logins: dict[str, list[str]] = {}
    for name, role in server.roles.items():
        for iam_role in role.iam_roles:
            logins.setdefault(iam_role, []).append(iam_documents.connect(_connect_arn(name)))
        if role.new_iam_role is not None:
            trust = iam_documents.application_trust(
                role.new_iam_role.trusted_services,
                role.new_iam_role.trusted_principals,
                role.new_iam_role.service_accounts,
            )
            if excess := TRUST_POLICY.excess(TRUST_POLICY.size(trust), quotas):
                yield Problem(("rds", "roles", name, "newIamRole"), f"makes {excess}; trust fewer principals")
    for iam_role, policies in logins.items():
        if excess := INLINE_POLICIES.excess(INLINE_POLICIES.size(*policies)):
            yield Problem(
                ("rds", "roles"),
                f"has the IAM role {iam_role} among the iamRoles of {len(policies)}, which makes {excess}; "
                "let another IAM role log in as some of them",
            )
    if excess := SCHEDULE_EVENT.excess(SCHEDULE_EVENT.size(event_json(server))):
        yield Problem(("rds",), f"makes {excess}; declare fewer roles or grants")


def _gateway_problems(gateway: Gateway, administrators: Sequence[str]) -> Iterator[Problem]:
    roles = {client.role for client in gateway.clients.values()}
    policy = iam_documents.gateway_machine(
        document_object=f"{_BUCKET}/gateway.json",
        artifact_object=f"{_BUCKET}/gateway.zip",
        reports=f"{_BUCKET}/reports/{iam_documents.arn('ec2', 'instance/', **_PLACE)}",
        connects={role: _connect_arn(role) for role in roles},
        log_group=_LOG_GROUP,
    )
    if excess := INLINE_POLICIES.excess(INLINE_POLICIES.size(policy)):
        yield Problem(
            ("gateway", "clients"),
            f"act as {len(roles)} database roles, which makes {excess}; let several clients act as one role",
        )
    for name, client in gateway.clients.items():
        path = ("gateway", "clients", name, "secretReaders")
        yield from _secret_problems(path, client.secret_readers, administrators)


def _connect_arn(user: str) -> str:
    return iam_documents.connect_arn(**_PLACE, resource_id=_RESOURCE_ID, user=user)
