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
        "CKV_AWS_287 and others, actions that expose credentials or write": (
            "The list of such actions changes every week. PGTLS-P146 to PGTLS-P149 refuse access to every "
            "resource instead."
        ),
        "SH:RDS.26, backup plans of AWS Backup": (
            "Servers keep their own backups, by PGTLS-P008; a plan is often made in another account."
        ),
        "CKV2_AWS_30, statements in the log of RDS": (
            "Statements hold data and passwords. PGTLS-P007 keeps the log, and who logged in is in it."
        ),
        "SH:RDS.20 to SH:RDS.22, event subscriptions": (
            "Whom events reach is a matter of the account, where EventBridge reports them as well."
        ),
        "CKV_AWS_126, detailed monitoring of instances": "It costs money and finds no attacker.",
        "SH:SSM.1, instances managed by Systems Manager": (
            "It needs a policy of AWS with access to every parameter, which PGTLS-P160 reports."
        ),
        "prowler: age of an image": "A program names an image by its id, which tells nothing of its age.",
        "pulumi-cp: a key of one's own for volumes": (
            "The account's default key can be one's own, and no resource says so."
        ),
        "CKV_AWS_23, descriptions of security groups and their rules": "A description protects nothing.",
        "CKV2_AWS_5, security groups attached to nothing": (
            "What uses a group is often in another stack, so this would be wrong too often."
        ),
        "CKV_AWS_145 and CKV_AWS_158, a key of one's own for buckets and logs": (
            "S3 and CloudWatch encrypt everything. A key of one's own is one more way to lose the logs."
        ),
        "SH:S3.20, MFA delete": "It can be turned on with the root user's credentials only.",
        "SH:S3.9, access logs of buckets": "CloudTrail's data events have more, and are set for the account.",
        "SH:S3.10 and SH:S3.7, life cycle and replication of buckets": (
            "They depend on what a bucket holds. Neither is about who can read it."
        ),
        "SH:S3.15, object lock of log buckets": "Nothing says that a bucket holds logs.",
        "awsguard: required tags": "Which tags are required is a matter of the organisation.",
    }
)
"""The reason for each."""
