"""ECS and EKS: addresses, endpoints, secrets and logs."""

from __future__ import annotations

from collections.abc import Iterator

from policy.property_checks import must_not_be_true
from policy.resources import Resource
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.rules.ec2.internet import is_the_internet
from policy.rules.ec2.security_group_rules import network_of

SERVICE = "aws:ecs/service:Service"
TASK_SET = "aws:ecs/taskSet:TaskSet"
EKS = "aws:eks/cluster:Cluster"
_EKS = "https://docs.aws.amazon.com/eks/latest/userguide"
_LOGS = ("api", "audit", "authenticator")


def _public_endpoint(cluster: Resource) -> Iterator[Outcome]:
    config = cluster["vpcConfig"]
    value = config.at("endpointPublicAccess")
    # Absent is true.
    if value.truth() is False:
        return
    allowed = config.at("publicAccessCidrs")
    networks = [network_of(each) for each in allowed.items()]
    if not networks or is_the_internet(networks):
        yield Problem(at=allowed, reason="expected the networks that need it, or endpointPublicAccess false")


def _private_endpoint(cluster: Resource) -> Iterator[Outcome]:
    value = cluster["vpcConfig"].at("endpointPrivateAccess")
    if value.truth() is not True:
        yield Problem(at=value, reason="expected true")


def _encrypts_secrets(cluster: Resource) -> Iterator[Outcome]:
    config = cluster["encryptionConfig"]
    resources = [each.text().lower() for each in config.at("resources").items()] if config.given else []
    if "secrets" not in resources:
        yield Problem(at=config, reason="expected a key for resources [secrets]")


def _logs(cluster: Resource) -> Iterator[Outcome]:
    value = cluster["enabledClusterLogTypes"]
    given = {each.text().lower() for each in value.items()}
    missing = [each for each in _LOGS if each not in given]
    if missing:
        yield Problem(at=value, reason=f"expected {', '.join(missing)} as well")


RULES = (
    Rule(
        id="PGTLS-P300",
        title="Tasks have no public IP addresses",
        area=Area.NETWORK,
        # In a public subnet without a NAT gateway there is no other way to fetch an image.
        severity=Severity.MEDIUM,
        types=(SERVICE, TASK_SET),
        checks=(must_not_be_true("networkConfiguration.assignPublicIp"),),
        why="One wrong security group rule would expose the task to the internet.",
        fix="set networkConfiguration.assignPublicIp to false; use VPC endpoints or a NAT gateway",
        link="https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-task-networking.html",
        references=("SH:ECS.2", "CKV_AWS_333"),
    ),
    Rule(
        id="PGTLS-P310",
        title="The internet cannot reach a cluster's API",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=(EKS,),
        checks=(_public_endpoint,),
        why="By default the whole internet may try to authenticate to the Kubernetes API.",
        fix="set vpcConfig.endpointPublicAccess to false, or publicAccessCidrs to your networks",
        link=f"{_EKS}/cluster-endpoint.html",
        references=("SH:EKS.1", "CKV_AWS_38", "CKV_AWS_39"),
    ),
    Rule(
        id="PGTLS-P311",
        title="Nodes reach a cluster's API within the VPC",
        area=Area.NETWORK,
        severity=Severity.LOW,
        types=(EKS,),
        checks=(_private_endpoint,),
        why="Otherwise the traffic of nodes leaves the VPC.",
        fix="set vpcConfig.endpointPrivateAccess to true",
        link=f"{_EKS}/cluster-endpoint.html",
    ),
    Rule(
        id="PGTLS-P312",
        title="Kubernetes secrets are encrypted with a key of one's own",
        area=Area.ENCRYPTION,
        severity=Severity.MEDIUM,
        types=(EKS,),
        checks=(_encrypts_secrets,),
        why="Secrets are in etcd in base64; AWS's own key, the default since 1.28, cannot be revoked.",
        fix="set encryptionConfig to a KMS key, with resources [secrets]",
        link=f"{_EKS}/enable-kms.html",
        references=("SH:EKS.3", "CKV_AWS_58"),
    ),
    Rule(
        id="PGTLS-P313",
        title="Clusters log their API",
        area=Area.IDENTITY,
        severity=Severity.MEDIUM,
        types=(EKS,),
        checks=(_logs,),
        why="Without the audit log nobody can tell afterwards who did what.",
        fix="set enabledClusterLogTypes to api, audit and authenticator",
        link=f"{_EKS}/control-plane-logs.html",
        references=("SH:EKS.8", "CKV_AWS_37"),
    ),
)
