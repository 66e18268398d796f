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
        "an explicit key policy": (
            "Without one, IAM policies decide who may use the key, and PGTLS-P153 limits these."
        ),
        "CKV_AWS_287 and others, actions that expose credentials or write": (
            "The list of such actions changes every week. PGTLS-P146 to PGTLS-P149 refuse access to every "
            "resource instead."
        ),
        "SH:RDS.22, events of DB security groups": (
            "They were groups of EC2-Classic, which no longer exists."
        ),
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
        "SH:S3.7, replication of buckets": (
            "It depends on what a bucket holds, and is not about who can read it."
        ),
        "SH:S3.15, object lock of log buckets": "Nothing says that a bucket holds logs.",
        "awsguard: one way of attaching policies to a role": (
            "Mixing them hides no permission, and every update shows what it changes."
        ),
        "awsguard: required tags": "Which tags are required is a matter of the organisation.",
    }
)
"""The reason for each."""
