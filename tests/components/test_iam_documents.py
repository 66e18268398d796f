from __future__ import annotations

import json

import pytest

from components import iam_documents
from components.self_managed.desired_state import READABLE_KEYS
from emulator.iam.policy import Caller, Decision, Request, decide, parse_policy
from settings.quotas import INLINE_POLICIES
from settings.rds import ServiceAccount

HERE = {"partition": "aws", "region": "eu-central-1", "account_id": "123456789012"}


def statements(text: str) -> list[dict]:
    document = json.loads(text)
    assert document["Version"] == "2012-10-17"
    sids = [each["Sid"] for each in document["Statement"]]
    assert len(set(sids)) == len(sids)
    assert all(sid.isalnum() for sid in sids)
    return document["Statement"]


def test_what_a_machine_may_do() -> None:
    text = iam_documents.machine(
        bucket="arn:aws:s3:::bucket",
        manifest_key="manifest.json",
        readable=READABLE_KEYS,
        report_key="report.json",
        formatted_volumes_key="formatted-volumes.json",
        server_identity="arn:aws:secretsmanager:eu-central-1:123456789012:secret:server-AbCdEf",
        log_group="arn:aws:logs:eu-central-1:123456789012:log-group:/passwordless-postgres/prod/main/postgresql",
    )
    read = ["s3:GetObject", "s3:GetObjectVersion"]
    allowed = {each["Sid"]: (each["Effect"], each["Action"], each["Resource"]) for each in statements(text)}
    assert allowed == {
        "ReadManifest": ("Allow", "s3:GetObject", "arn:aws:s3:::bucket/manifest.json"),
        "ReadWhatItNames": (
            "Allow",
            read,
            [
                "arn:aws:s3:::bucket/node/node.zip",
                "arn:aws:s3:::bucket/files/postgresql.conf",
                "arn:aws:s3:::bucket/files/pg_hba.conf",
                "arn:aws:s3:::bucket/files/pg_ident.conf",
                "arn:aws:s3:::bucket/files/roles.json",
                "arn:aws:s3:::bucket/files/client-ca.crt",
            ],
        ),
        "WriteReport": ("Allow", "s3:PutObject", "arn:aws:s3:::bucket/report.json"),
        "RecordFormattedVolumes": (
            "Allow",
            ["s3:GetObject", "s3:PutObject"],
            "arn:aws:s3:::bucket/formatted-volumes.json",
        ),
        "ReadServerIdentity": (
            "Allow",
            "secretsmanager:GetSecretValue",
            "arn:aws:secretsmanager:eu-central-1:123456789012:secret:server-AbCdEf",
        ),
        "WriteServerLog": (
            "Allow",
            ["logs:CreateLogStream", "logs:PutLogEvents"],
            "arn:aws:logs:eu-central-1:123456789012:log-group:/passwordless-postgres/prod/main/postgresql:*",
        ),
    }
    assert INLINE_POLICIES.excess(INLINE_POLICIES.size(text)) is None


def test_a_machine_reads_no_manifest_but_the_current_one() -> None:
    manifest = "arn:aws:s3:::bucket/manifest.json"
    machine = iam_documents.machine(
        bucket="arn:aws:s3:::bucket", manifest_key="manifest.json",
        readable=READABLE_KEYS, report_key="r", formatted_volumes_key="f",
        server_identity="arn:s", log_group="arn:l",
    )  # fmt: skip
    policies = [parse_policy(machine)]

    def reads(action: str, version: str | None) -> bool:
        context = {} if version is None else {"s3:VersionId": version}
        role = "arn:aws:iam::123456789012:role/machine"
        caller = Caller(arn=role, principal_arn=role, account="123456789012")
        asked = Request(caller=caller, action=action, resource=manifest, context=context)
        return decide(asked, policies) is Decision.ALLOWED

    for version in ("Xb3.q_1", "*", "", "null", None):
        assert not reads("s3:GetObjectVersion", version)
    assert reads("s3:GetObject", None)


def test_an_identity_secret_is_for_its_readers() -> None:
    secret = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:role-AbCdEf"
    reader, operator = "arn:aws:iam::123456789012:role/app", "arn:aws:iam::123456789012:user/operator"
    read, nobody_reads, nobody_manages = statements(
        iam_documents.identity_secret(secret, [reader], [operator])
    )
    assert read == {
        "Sid": "ReadersRead",
        "Effect": "Allow",
        "Principal": {"AWS": [reader]},
        "Action": ["secretsmanager:GetSecretValue"],
        "Resource": secret,
    }
    assert nobody_reads["Effect"] == nobody_manages["Effect"] == "Deny"
    assert nobody_reads["Principal"] == nobody_manages["Principal"] == "*"
    assert nobody_reads["Resource"] == nobody_manages["Resource"] == secret
    assert nobody_reads["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": [reader, operator]}}
    assert nobody_manages["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": [operator]}}
    assert "secretsmanager:PutResourcePolicy" in nobody_manages["Action"]
    assert "secretsmanager:PutSecretValue" in nobody_manages["Action"]


def test_a_secret_without_readers_allows_nobody() -> None:
    found = statements(iam_documents.identity_secret("arn:secret", [], ["arn:aws:iam::1:user/operator"]))
    assert [each["Effect"] for each in found] == ["Deny", "Deny"]


def test_a_bucket_is_written_by_named_principals_over_tls() -> None:
    operator, machine = "arn:aws:iam::123456789012:user/operator", "arn:aws:iam::123456789012:role/machine"
    found = statements(
        iam_documents.private_bucket(
            "arn:aws:s3:::b", {"files/*": [operator], "report.json": [machine], "node/*": [operator]}
        )
    )
    assert all(each["Effect"] == "Deny" and each["Principal"] == "*" for each in found)
    assert [(each["Resource"], each["Condition"]) for each in found] == [
        (["arn:aws:s3:::b", "arn:aws:s3:::b/*"], {"Bool": {"aws:SecureTransport": "false"}}),
        (
            ["arn:aws:s3:::b/files/*", "arn:aws:s3:::b/node/*"],
            {"ArnNotEquals": {"aws:PrincipalArn": [operator]}},
        ),
        (["arn:aws:s3:::b/report.json"], {"ArnNotEquals": {"aws:PrincipalArn": [machine]}}),
    ]
    assert "s3:PutObject" in found[1]["Action"]


@pytest.mark.parametrize(
    ("partition", "service"),
    [("aws", "ec2.amazonaws.com"), ("aws-us-gov", "ec2.amazonaws.com"), ("aws-cn", "ec2.amazonaws.com.cn")],
)
def test_instances_are_trusted_by_the_partition_s_name(partition: str, service: str) -> None:
    (only,) = statements(iam_documents.instance_trust(partition))
    assert only["Principal"] == {"Service": service}
    assert only["Action"] == "sts:AssumeRole"


def test_flow_logs_are_those_of_this_account() -> None:
    (trust,) = statements(iam_documents.flow_log_trust("aws-us-gov", "us-gov-west-1", "123456789012"))
    assert trust["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "123456789012"},
        "ArnLike": {"aws:SourceArn": "arn:aws-us-gov:ec2:us-gov-west-1:123456789012:vpc-flow-log/*"},
    }
    (delivery,) = statements(iam_documents.flow_log_delivery("arn:aws:logs:eu-central-1:1:log-group:flow"))
    assert delivery["Resource"] == "arn:aws:logs:eu-central-1:1:log-group:flow:*"


def test_what_the_roles_function_may_do() -> None:
    secret = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!db-1-AbCdEf"
    connect = iam_documents.connect_arn(**HERE, resource_id="db-ABC", user="pgpl_admin")
    group = "arn:aws:logs:eu-central-1:123456789012:log-group:/passwordless-postgres/prod/main/roles-function"
    given = {"master_secret": secret, "administrator": connect, "log_group": group}
    found = {
        each.pop("Sid"): each for each in statements(iam_documents.roles_function(**given, key="arn:key"))
    }
    network = found.pop("LambdaConnectsToVpc")
    assert found == {
        "ReadMasterSecret": {
            "Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": secret,
        },
        "ConnectAsAdministrator": {
            "Effect": "Allow", "Action": "rds-db:connect",
            "Resource": "arn:aws:rds-db:eu-central-1:123456789012:dbuser:db-ABC/pgpl_admin",
        },
        "WriteLog": {
            "Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": f"{group}:*",
        },
        "DecryptMasterSecret": {
            "Effect": "Allow", "Action": "kms:Decrypt", "Resource": "arn:key",
            "Condition": {"StringEquals": {"kms:EncryptionContext:SecretARN": secret}},
        },
    }  # fmt: skip
    assert network["Condition"] == {"Null": {"lambda:SourceFunctionArn": "true"}}
    assert all(action.startswith("ec2:") for action in network["Action"])
    assert "kms:" not in iam_documents.roles_function(**given, key=None)


@pytest.mark.parametrize(
    ("services", "principals", "granted"),
    [
        (["pods.eks.amazonaws.com"], [], {"pods.eks.amazonaws.com": {"sts:AssumeRole", "sts:TagSession"}}),
        (
            ["pods.eks.amazonaws.com", "ecs-tasks.amazonaws.com"],
            ["arn:aws:iam::123456789012:role/ci"],
            {
                "pods.eks.amazonaws.com": {"sts:AssumeRole", "sts:TagSession"},
                "ecs-tasks.amazonaws.com": {"sts:AssumeRole"},
                "arn:aws:iam::123456789012:role/ci": {"sts:AssumeRole"},
            },
        ),
        (["lambda.amazonaws.com"], [], {"lambda.amazonaws.com": {"sts:AssumeRole"}}),
    ],
)
def test_pods_of_eks_may_tag_their_sessions_and_nobody_else_may(
    services: list[str], principals: list[str], granted: dict[str, set[str]]
) -> None:
    found: dict[str, set[str]] = {}
    for statement in json.loads(iam_documents.application_trust(services, principals))["Statement"]:
        actions = statement["Action"]
        for names in statement["Principal"].values():
            for name in names if isinstance(names, list) else [names]:
                found.setdefault(name, set()).update([actions] if isinstance(actions, str) else actions)
    assert found == granted


def test_pods_with_a_service_account_are_trusted_by_its_whole_name() -> None:
    issuers = [f"oidc.eks.eu-central-1.amazonaws.com/id/{letter * 32}" for letter in "AB"]
    arns = [f"arn:aws:iam::123456789012:oidc-provider/{issuer}" for issuer in issuers]
    accounts = [
        ServiceAccount(issuer=arns[1], namespace="shop", name="app"),
        ServiceAccount(issuer=arns[0], namespace="shop", name="app"),
        ServiceAccount(issuer=arns[0], namespace="jobs", name="nightly.report"),
    ]
    found = statements(iam_documents.application_trust([], [], accounts))
    assert [(each["Principal"], each["Action"], each["Condition"]) for each in found] == [
        (
            {"Federated": arn},
            "sts:AssumeRoleWithWebIdentity",
            {"StringEquals": {f"{issuer}:aud": "sts.amazonaws.com", f"{issuer}:sub": subjects}},
        )
        for arn, issuer, subjects in (
            (
                arns[0],
                issuers[0],
                ["system:serviceaccount:jobs:nightly.report", "system:serviceaccount:shop:app"],
            ),
            (arns[1], issuers[1], ["system:serviceaccount:shop:app"]),
        )
    ]


def test_functions_are_trusted_by_lambda_alone() -> None:
    (only,) = statements(iam_documents.function_trust("aws-cn"))
    assert only["Principal"] == {"Service": "lambda.amazonaws.com"}


def test_no_statement_allows_everything() -> None:
    documents = [
        iam_documents.instance_trust("aws"),
        iam_documents.flow_log_trust(**HERE),
        iam_documents.flow_log_delivery("arn:log-group"),
        iam_documents.identity_secret("arn:secret", ["arn:role"], ["arn:user"]),
        iam_documents.private_bucket("arn:bucket", {"a": ["arn:user"]}),
        iam_documents.function_trust("aws"),
        iam_documents.roles_function(
            master_secret="arn:s", key="arn:k", administrator="arn:a", log_group="arn:l"
        ),
        iam_documents.machine(
            bucket="arn:b", manifest_key="m", readable=READABLE_KEYS, report_key="r",
            formatted_volumes_key="f",
            server_identity="arn:s", log_group="arn:l",
        ),
    ]  # fmt: skip
    for text in documents:
        for each in statements(text):
            if each["Effect"] == "Allow":
                assert each.get("Principal") != "*"
                resources = each.get("Resource", "")
                for resource in resources if isinstance(resources, list) else [resources]:
                    assert resource != "*" or each["Condition"]
                actions = each["Action"] if isinstance(each["Action"], list) else [each["Action"]]
                assert not any("*" in action for action in actions)
