"""The rules of the pack, in a module for each service or provider."""

from __future__ import annotations

from policy.rule import Rule
from policy.rules import (
    acm,
    any_resource,
    apigateway,
    appsync,
    autoscaling,
    aws_native,
    aws_provider,
    carriers,
    cloudfront,
    cloudwatch,
    containers,
    dms,
    ecr,
    elasticache,
    iam,
    iam_trust,
    kms,
    lambda_,
    msk,
    opensearch,
    policy_conditions,
    postgresql_provider,
    redshift,
    s3,
    secretsmanager,
    sns,
    sqs,
    ssm,
    storage,
    tls_provider,
)
from policy.rules.ec2 import instances, security_groups, user_data, volumes, vpcs, whole_groups
from policy.rules.elb import classic, listeners, load_balancers
from policy.rules.postgresql import configuration, hba, ident
from policy.rules.rds import iam_authentication, operations, parameter_groups, proxies, servers

_MODULES = (
    storage,
    redshift,
    opensearch,
    msk,
    elasticache,
    dms,
    containers,
    cloudwatch,
    cloudfront,
    autoscaling,
    appsync,
    apigateway,
    acm,
    any_resource,
    aws_native,
    aws_provider,
    carriers,
    ecr,
    iam,
    iam_trust,
    kms,
    lambda_,
    policy_conditions,
    postgresql_provider,
    s3,
    secretsmanager,
    sns,
    sqs,
    ssm,
    tls_provider,
    instances,
    security_groups,
    user_data,
    volumes,
    vpcs,
    whole_groups,
    classic,
    listeners,
    load_balancers,
    configuration,
    hba,
    ident,
    iam_authentication,
    operations,
    parameter_groups,
    proxies,
    servers,
)

RULES: tuple[Rule, ...] = tuple(
    sorted((rule for module in _MODULES for rule in module.RULES), key=lambda rule: rule.id)
)
"""Every rule, by id."""
