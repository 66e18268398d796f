"""Requirements of other rule sets, about TLS, identity, secrets and networks, that are no rules here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

LEFT_OUT: Mapping[str, str] = MappingProxyType(
    {
        "SH:RDS.23, a port other than 5432": (
            "Another port hides a server from nobody who looks; the security group decides who may."
        ),
        "guard:RDS_MASTER_USER_NAME_NO_PLAINTEXT_PASSWORD, the master's name as a secret": (
            "A name is no secret; PGTLS-N47 and PGTLS-N83 keep the master from being used."
        ),
        "prowler: encryption controls of the VPC": (
            "They take a resource of their own that depends on the kinds of instances; every way to a "
            "database has TLS of its own by other rules."
        ),
        "prowler: a bucket's policy that locks out everybody but root": (
            "Denying everybody but named writers is what keeps a bundle of authorities from being replaced."
        ),
        "a key's policy that is stated": (
            "Without one, a key has the policy by which IAM decides, and PGTLS-P153 bounds that."
        ),
        "SH:SecretsManager.1, automatic rotation of each secret": (
            "Certificates are renewed by the deployment that issues them, and the master's password by RDS."
        ),
        "CKV_AWS_287 and others, actions that expose credentials or write": (
            "Which of thousands of actions are meant takes a table that AWS changes weekly; PGTLS-P146 to "
            "PGTLS-P149 refuse what reaches every resource."
        ),
    }
)
"""Why each is left out."""
