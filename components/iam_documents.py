"""IAM documents as JSON. Pure; each statement names its resources one by one, in the partition it is for.

Documents that guard a resource deny what is not meant, because anybody's own IAM policy could allow
it. `aws:PrincipalArn` is the ARN of the role behind a session, so exact ARNs suffice.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from settings.rds import ServiceAccount

READ_SECRET = ("secretsmanager:GetSecretValue",)
MANAGE_SECRET = (
    "secretsmanager:CancelRotateSecret",
    "secretsmanager:DeleteResourcePolicy",
    "secretsmanager:DeleteSecret",
    "secretsmanager:PutResourcePolicy",
    "secretsmanager:PutSecretValue",
    "secretsmanager:ReplicateSecretToRegions",
    "secretsmanager:RestoreSecret",
    "secretsmanager:RotateSecret",
    "secretsmanager:UpdateSecret",
    "secretsmanager:UpdateSecretVersionStage",
)
WRITE_OBJECT = (
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:PutObject",
    "s3:PutObjectAcl",
    "s3:PutObjectVersionAcl",
    "s3:ReplicateDelete",
    "s3:ReplicateObject",
)

_POD_IDENTITY = "pods.eks.amazonaws.com"

Statement = dict[str, Any]


def document(statements: Sequence[Statement]) -> str:
    """A policy document with these statements."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, separators=(",", ":"))


def service_principal(service: str, partition: str) -> str:
    """Name of a service in a trust policy, such as `ec2.amazonaws.com`."""
    suffix = "amazonaws.com.cn" if partition == "aws-cn" and service == "ec2" else "amazonaws.com"
    return f"{service}.{suffix}"


def arn(service: str, resource: str, *, partition: str, region: str = "", account_id: str = "") -> str:
    """An ARN; `region` and `account_id` are empty where the service has none in it."""
    return f"arn:{partition}:{service}:{region}:{account_id}:{resource}"


def instance_trust(partition: str) -> str:
    """Trust policy of a role for EC2 instances."""
    return document(
        [
            {
                "Sid": "InstancesAssume",
                "Effect": "Allow",
                "Principal": {"Service": service_principal("ec2", partition)},
                "Action": "sts:AssumeRole",
            }
        ]
    )


def function_trust(partition: str) -> str:
    """Trust policy of a role for Lambda functions."""
    return document(
        [
            {
                "Sid": "FunctionsAssume",
                "Effect": "Allow",
                "Principal": {"Service": service_principal("lambda", partition)},
                "Action": "sts:AssumeRole",
            }
        ]
    )


def roles_function(*, master_secret: str, key: str | None, administrator: str, log_group: str) -> str:
    """What the function that makes database roles may do.

    Args:
        master_secret: ARN of the secret in which RDS keeps the master's password.
        key: ARN of the key that encrypts the secret; None for the account's own, which needs no policy.
        administrator: The administrator as `connect_arn`.
        log_group: ARN of the function's log group.
    """
    statements: list[Statement] = [
        {
            "Sid": "ReadMasterSecret",
            "Effect": "Allow",
            "Action": "secretsmanager:GetSecretValue",
            "Resource": master_secret,
        },
        {
            "Sid": "ConnectAsAdministrator",
            "Effect": "Allow",
            "Action": "rds-db:connect",
            "Resource": administrator,
        },
        {
            "Sid": "WriteLog",
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": f"{log_group}:*",
        },
        {
            # AWS restricts none of them to a resource that could be named here. Lambda needs them to
            # connect the function to the VPC; the function's own code, whose calls carry the key of the
            # condition, does not get them.
            "Sid": "LambdaConnectsToVpc",
            "Effect": "Allow",
            "Action": [
                "ec2:AssignPrivateIpAddresses",
                "ec2:CreateNetworkInterface",
                "ec2:DeleteNetworkInterface",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSubnets",
                "ec2:UnassignPrivateIpAddresses",
            ],
            "Resource": "*",
            "Condition": {"Null": {"lambda:SourceFunctionArn": "true"}},
        },
    ]
    if key is not None:
        statements.append(
            {
                "Sid": "DecryptMasterSecret",
                "Effect": "Allow",
                "Action": "kms:Decrypt",
                "Resource": key,
                "Condition": {"StringEquals": {"kms:EncryptionContext:SecretARN": master_secret}},
            }
        )
    return document(statements)


def schedule_trust(partition: str, region: str, account_id: str) -> str:
    """Trust policy of a role for schedules of this account's default group."""
    group = arn(
        "scheduler", "schedule-group/default", partition=partition, region=region, account_id=account_id
    )
    return document(
        [
            {
                "Sid": "SchedulesAssume",
                "Effect": "Allow",
                "Principal": {"Service": service_principal("scheduler", partition)},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"aws:SourceAccount": account_id, "aws:SourceArn": group}},
            }
        ]
    )


def invoke_function(function: str) -> str:
    """What a schedule may do: call the one function with this ARN."""
    return document(
        [
            {
                "Sid": "InvokeFunction",
                "Effect": "Allow",
                "Action": "lambda:InvokeFunction",
                "Resource": function,
            }
        ]
    )


def flow_log_trust(partition: str, region: str, account_id: str) -> str:
    """Trust policy of the role that delivers VPC flow logs, for this account's flow logs only."""
    return document(
        [
            {
                "Sid": "FlowLogsAssume",
                "Effect": "Allow",
                "Principal": {"Service": service_principal("vpc-flow-logs", partition)},
                "Action": "sts:AssumeRole",
                "Condition": {
                    "StringEquals": {"aws:SourceAccount": account_id},
                    "ArnLike": {
                        "aws:SourceArn": arn(
                            "ec2", "vpc-flow-log/*", partition=partition, region=region, account_id=account_id
                        )
                    },
                },
            }
        ]
    )


def flow_log_delivery(log_group: str) -> str:
    """What the delivery of flow logs may do: write to the one log group with this ARN."""
    return document(
        [
            {
                "Sid": "DeliverFlowLogs",
                "Effect": "Allow",
                "Action": [
                    "logs:CreateLogStream",
                    "logs:DescribeLogGroups",
                    "logs:DescribeLogStreams",
                    "logs:PutLogEvents",
                ],
                "Resource": f"{log_group}:*",
            }
        ]
    )


def enhanced_monitoring_trust(partition: str, region: str, account_id: str, identifier: str) -> str:
    """Trust policy of the role by which RDS delivers the enhanced monitoring of this one instance."""
    source = arn("rds", f"db:{identifier}", partition=partition, region=region, account_id=account_id)
    return document(
        [
            {
                "Sid": "MonitoringAssumes",
                "Effect": "Allow",
                "Principal": {"Service": service_principal("monitoring.rds", partition)},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"aws:SourceAccount": account_id, "aws:SourceArn": source}},
            }
        ]
    )


def enhanced_monitoring(partition: str, region: str, account_id: str) -> str:
    """What enhanced monitoring may do: write to its log group, whose name AWS has fixed."""
    group = arn("logs", "log-group:RDSOSMetrics", partition=partition, region=region, account_id=account_id)
    return document(
        [
            {
                "Sid": "KeepMetricsLogGroup",
                "Effect": "Allow",
                "Action": ["logs:CreateLogGroup", "logs:PutRetentionPolicy"],
                # IAM compares a log group with its streams' part.
                "Resource": f"{group}:*",
            },
            {
                "Sid": "WriteMetrics",
                "Effect": "Allow",
                "Action": [
                    "logs:CreateLogStream",
                    "logs:DescribeLogStreams",
                    "logs:GetLogEvents",
                    "logs:PutLogEvents",
                ],
                "Resource": f"{group}:log-stream:*",
            },
        ]
    )


def connect_arn(*, partition: str, region: str, account_id: str, resource_id: str, user: str) -> str:
    """The `rds-db:connect` resource of one database user on one instance.

    It is not the instance's own ARN: the part before the user is the `DbiResourceId`, which changes
    with a restore, a replacement and a blue/green deployment.
    """
    resource = f"dbuser:{resource_id}/{user}"
    return arn("rds-db", resource, partition=partition, region=region, account_id=account_id)


def connect(resource: str) -> str:
    """What an application's role may do: log in as one user; `resource` from `connect_arn`."""
    return document([{"Sid": "Connect", "Effect": "Allow", "Action": "rds-db:connect", "Resource": resource}])


def gateway_machine(
    *,
    document_object: str,
    artifact_object: str,
    reports: str,
    connects: Mapping[str, str],
    log_group: str,
) -> str:
    """What a gateway's own machines may do.

    Args:
        document_object: ARN of the object with the gateway's document.
        artifact_object: ARN of the program's object.
        reports: ARN of the objects in which they report, as far as their own ARN.
        connects: The database roles that its clients act as, by `connect_arn`.
        log_group: ARN of the log group for the gateway's log.
    """
    return document(
        [
            {
                "Sid": "ReadDocument",
                "Effect": "Allow",
                # Only the current version: an older one may hold a suffix that is still in use.
                "Action": "s3:GetObject",
                "Resource": document_object,
            },
            {
                "Sid": "ReadArtifact",
                "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:GetObjectVersion"],
                "Resource": artifact_object,
            },
            {
                "Sid": "WriteOwnReport",
                "Effect": "Allow",
                "Action": "s3:PutObject",
                # IAM puts in the ARN of the instance whose credentials they are.
                "Resource": f"{reports}${{ec2:SourceInstanceARN}}",
            },
            {
                "Sid": "Connect",
                "Effect": "Allow",
                "Action": "rds-db:connect",
                "Resource": sorted(connects.values()),
            },
            {
                "Sid": "WriteLog",
                "Effect": "Allow",
                "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                "Resource": f"{log_group}:*",
            },
        ]
    )


def application_trust(
    services: Sequence[str], principals: Sequence[str], accounts: Sequence[ServiceAccount] = ()
) -> str:
    """Trust policy of a role made for an application: AWS services, IAM principals and pods of EKS."""
    trusted: dict[str, list[str]] = {}
    if others := sorted(set(services) - {_POD_IDENTITY}):
        trusted["Service"] = others
    if principals:
        trusted["AWS"] = sorted(set(principals))
    statements: list[Statement] = []
    if trusted:
        statements.append(
            {
                "Sid": "ApplicationAssumes",
                "Effect": "Allow",
                "Principal": trusted,
                "Action": "sts:AssumeRole",
            }
        )
    if _POD_IDENTITY in services:
        statements.append(
            {
                "Sid": "PodsAssume",
                "Effect": "Allow",
                "Principal": {"Service": _POD_IDENTITY},
                # EKS tags each session with cluster, namespace and service account.
                "Action": ["sts:AssumeRole", "sts:TagSession"],
            }
        )
    for number, issuer in enumerate(sorted({each.issuer for each in accounts}), start=1):
        claims = issuer.partition(":oidc-provider/")[2]
        subjects = sorted(
            f"system:serviceaccount:{each.namespace}:{each.name}"
            for each in accounts
            if each.issuer == issuer
        )
        statements.append(
            {
                "Sid": f"ServiceAccounts{number}",
                "Effect": "Allow",
                "Principal": {"Federated": issuer},
                "Action": "sts:AssumeRoleWithWebIdentity",
                # Whole names: who controls the cluster chooses all others.
                "Condition": {
                    "StringEquals": {f"{claims}:aud": "sts.amazonaws.com", f"{claims}:sub": subjects}
                },
            }
        )
    return document(statements)


def secrets_key(
    *, partition: str, region: str, account_id: str, readers: Sequence[str], administrators: Sequence[str]
) -> str:
    """Policy of a key for secrets: readers and administrators use it through Secrets Manager alone."""
    service = f"secretsmanager.{region}.amazonaws.com"
    services = [service, f"{service}.cn"] if partition == "aws-cn" else service
    through = {"StringEquals": {"kms:ViaService": services}}
    return document(
        [
            {
                # As in a key without a policy: IAM of this account decides who manages it.
                "Sid": "AccountManages",
                "Effect": "Allow",
                "Principal": {"AWS": arn("iam", "root", partition=partition, account_id=account_id)},
                "Action": "kms:*",
                "Resource": "*",
            },
            {
                "Sid": "SecretsAreRead",
                "Effect": "Allow",
                "Principal": {"AWS": sorted(set(readers))},
                "Action": "kms:Decrypt",
                "Resource": "*",
                "Condition": through,
            },
            {
                "Sid": "SecretsAreWritten",
                "Effect": "Allow",
                "Principal": {"AWS": sorted(set(administrators))},
                "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
                "Resource": "*",
                "Condition": through,
            },
        ]
    )


def machine(
    *,
    bucket: str,
    manifest_key: str,
    readable: Collection[str],
    report_key: str,
    formatted_volumes_key: str,
    server_identity: str,
    log_group: str,
) -> str:
    """What a machine's own role may do.

    Args:
        bucket: ARN of the desired-state bucket.
        manifest_key: Key of the manifest, of which it reads the newest version and no other.
        readable: Keys of the objects of which the machine reads versions.
        report_key: Key of the report that it writes.
        formatted_volumes_key: Key of the record of formatted volumes, which it reads and writes.
        server_identity: ARN of the server's own identity secret.
        log_group: ARN of the log group for the server's log.
    """
    return document(
        [
            {
                "Sid": "ReadManifest",
                "Effect": "Allow",
                "Action": "s3:GetObject",
                "Resource": f"{bucket}/{manifest_key}",
            },
            {
                "Sid": "ReadWhatItNames",
                "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:GetObjectVersion"],
                "Resource": [f"{bucket}/{key}" for key in readable],
            },
            {
                "Sid": "WriteReport",
                "Effect": "Allow",
                "Action": "s3:PutObject",
                "Resource": f"{bucket}/{report_key}",
            },
            {
                "Sid": "RecordFormattedVolumes",
                "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:PutObject"],
                "Resource": f"{bucket}/{formatted_volumes_key}",
            },
            {
                "Sid": "ReadServerIdentity",
                "Effect": "Allow",
                "Action": "secretsmanager:GetSecretValue",
                "Resource": server_identity,
            },
            {
                "Sid": "WriteServerLog",
                "Effect": "Allow",
                "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                "Resource": f"{log_group}:*",
            },
        ]
    )


def _everybody_but(principals: Sequence[str]) -> Mapping[str, Any]:
    return {"ArnNotEquals": {"aws:PrincipalArn": sorted(set(principals))}}


def identity_secret(secret: str, readers: Sequence[str], administrators: Sequence[str]) -> str:
    """Resource policy of an identity secret: readers read, administrators manage, nobody else does either.

    Args:
        secret: ARN of the secret.
        readers: ARNs of the roles and users that may read it; they need no policy of their own.
        administrators: ARNs of the roles and users that may also write and delete it.
    """
    statements: list[Statement] = []
    if readers:
        statements.append(
            {
                "Sid": "ReadersRead",
                "Effect": "Allow",
                "Principal": {"AWS": sorted(set(readers))},
                "Action": list(READ_SECRET),
                "Resource": secret,
            }
        )
    statements += [
        {
            "Sid": "NobodyElseReads",
            "Effect": "Deny",
            "Principal": "*",
            "Action": list(READ_SECRET),
            "Resource": secret,
            "Condition": _everybody_but([*readers, *administrators]),
        },
        {
            "Sid": "NobodyElseManages",
            "Effect": "Deny",
            "Principal": "*",
            "Action": list(MANAGE_SECRET),
            "Resource": secret,
            "Condition": _everybody_but(administrators),
        },
    ]
    return document(statements)


def private_bucket(
    bucket: str,
    writers: Mapping[str, Sequence[str]],
    deliveries: Sequence[Mapping[str, str]] = (),
) -> str:
    """Bucket policy: TLS only, each path is written by its named principals only, and services deliver.

    Args:
        bucket: ARN of the bucket.
        writers: ARNs of the roles and users that may write, by path in the bucket; a path may end in `*`.
        deliveries: What services may write: `service`, `path` and the `source` on whose behalf, an ARN that
            may end in `*`.
    """
    paths_of: dict[tuple[str, ...], list[str]] = {}
    for path, principals in writers.items():
        paths_of.setdefault(tuple(sorted(set(principals))), []).append(path)
    statements: list[Statement] = [
        {
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [bucket, f"{bucket}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ]
    statements += [
        {
            "Sid": f"NamedWriters{number}",
            "Effect": "Deny",
            "Principal": "*",
            "Action": list(WRITE_OBJECT),
            "Resource": [f"{bucket}/{path}" for path in paths],
            "Condition": _everybody_but(principals),
        }
        for number, (principals, paths) in enumerate(paths_of.items(), start=1)
    ]
    statements += [
        {
            "Sid": f"ServiceDelivers{number}",
            "Effect": "Allow",
            "Principal": {"Service": delivery["service"]},
            "Action": "s3:PutObject",
            "Resource": f"{bucket}/{delivery['path']}",
            "Condition": {"ArnLike": {"aws:SourceArn": delivery["source"]}},
        }
        for number, delivery in enumerate(deliveries, start=1)
    ]
    return document(statements)
