"""Requirements of other rule sets on TLS, identity, secrets and networks that this pack leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

LEFT_OUT: Mapping[str, str] = MappingProxyType(
    {
        "SH:RDS.23, a port other than 5432": (
            "A scan finds a server on any port. The security group decides who can connect."
        ),
        "guard:RDS_MASTER_USER_NAME_NO_PLAINTEXT_PASSWORD, the master user's name as a secret": (
            "A name is not a secret. PGTLS-N47 and PGTLS-N83 keep the master user from being used."
        ),
        "prowler: encryption controls of the VPC": (
            "They need a resource that depends on the instance types, and other rules require TLS on every "
            "way to a database."
        ),
        "prowler: a bucket policy that locks out everybody but root": (
            "Denying everybody but named writers protects a CA bundle from being replaced."
        ),
        "an explicit key policy": (
            "Without one, IAM policies decide who may use the key, and PGTLS-P153 limits these."
        ),
        "SH:SecretsManager.1, automatic rotation of each secret": (
            "Deployments renew the certificates that they issue, and RDS rotates the master password."
        ),
        "CKV_AWS_287 and others, actions that expose credentials or write": (
            "The list of such actions changes every week. PGTLS-P146 to PGTLS-P149 refuse access to every "
            "resource instead."
        ),
    }
)
"""The reason for each."""
