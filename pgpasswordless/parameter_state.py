"""Whether an RDS instance runs with the parameters that its parameter group says."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError

from pgpasswordless.aws import Aws, reason
from pgpasswordless.checks import Check

IN_SYNC = "in-sync"


def check(aws: Aws, database: str, region: str, resource_id: str) -> Check | str:
    """The check `parameters`, or why it cannot be made: only some callers may describe instances.

    Args:
        aws: access to the account.
        database: name in the connections document.
        region: where the instance is.
        resource_id: its `DbiResourceId`.
    """
    unknown = f"whether the parameters of database {database!r} are applied is not known"
    try:
        pages = aws.databases(region).get_paginator("describe_db_instances").paginate()
        found = next(
            (
                instance
                for page in pages
                for instance in page["DBInstances"]
                if instance.get("DbiResourceId") == resource_id
            ),
            None,
        )
    except (BotoCoreError, ClientError) as error:
        return f"{unknown}: {reason(error)}"
    if found is None:
        return f"{unknown}: this account has no instance {resource_id} in {region}"
    states = {
        group.get("DBParameterGroupName", ""): group.get("ParameterApplyStatus", "")
        for group in found.get("DBParameterGroups", [])
    }
    said = ", ".join(f"{name}: {state}" for name, state in states.items()) or "no parameter group"
    in_sync = bool(states) and set(states.values()) == {IN_SYNC}
    advice = "" if in_sync else f"; reboot {found.get('DBInstanceIdentifier')} where a change is pending"
    return Check(name="parameters", database=database, passed=in_sync, detail=said + advice)
