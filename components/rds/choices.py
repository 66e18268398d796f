"""What can be chosen of an RDS instance, and what follows from names. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

_LONGEST_IDENTIFIER = 63
_DIGEST_CHARACTERS = 7

CaIdentifier = Literal["rds-ca-rsa2048-g1", "rds-ca-rsa4096-g1", "rds-ca-ecc384-g1"]
Executor = Literal["function", "provider"]


@dataclass(frozen=True, kw_only=True)
class Storage:
    """The gp3 storage of an instance.

    Attributes:
        size_gib: Size in GiB.
        maximum_size_gib: Size up to which RDS lets it grow; None for not at all.
        iops: Operations per second; None for the baseline.
        throughput_mibps: Throughput in MiB/s; None for the baseline.
        kms_key_arn: Key that encrypts it; None for one of the component's own.
    """

    size_gib: int = 100
    maximum_size_gib: int | None = None
    iops: int | None = None
    throughput_mibps: int | None = None
    kms_key_arn: str | None = None


@dataclass(frozen=True, kw_only=True)
class Backup:
    """Automated backups: days they are kept, daily window in UTC, a snapshot at the end."""

    retention_days: int = 14
    window: str = "02:00-03:00"
    final_snapshot: bool = True


@dataclass(frozen=True, kw_only=True)
class NewIamRole:
    """An IAM role to make for an application, which these services and principals may assume."""

    trusted_services: Sequence[str] = ()
    trusted_principals: Sequence[str] = ()


def instance_identifier(stack: str, name: str) -> str:
    """The identifier of a stack's instance: known before it exists, since log groups are named after it.

    Lower-case letters, digits and single hyphens, at most 63 (RDS API, CreateDBInstance).
    """
    plain = re.sub(r"[^a-z0-9]+", "-", f"passwordless-postgres-{stack}-{name}".lower()).strip("-")
    if len(plain) <= _LONGEST_IDENTIFIER:
        return plain
    digest = hashlib.sha256(plain.encode()).hexdigest()[:_DIGEST_CHARACTERS]
    return f"{plain[: _LONGEST_IDENTIFIER - _DIGEST_CHARACTERS - 1].rstrip('-')}-{digest}"


def master_secret_arn(secrets: Sequence[Any] | None) -> str:
    """ARN of the secret in which RDS keeps the master's password; empty while RDS has not said."""
    if not secrets:
        return ""
    first = secrets[0]
    return first["secret_arn"] if isinstance(first, dict) else first.secret_arn
