"""ECR repositories: who may use their images."""

from __future__ import annotations

from policy.rule import Area, Rule, Severity
from policy.text.policy_document import in_policy, not_everybody

REPOSITORY_POLICY = "aws:ecr/repositoryPolicy:RepositoryPolicy"

RULES = (
    Rule(
        id="PGTLS-N119",
        title="Repository policies name who may use the images",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=(REPOSITORY_POLICY,),
        checks=(in_policy(not_everybody, unreadable=True),),
        why="Everybody could read the images, or replace what servers run.",
        fix="list the principals, or add a condition on aws:PrincipalOrgID",
        link="https://docs.aws.amazon.com/AmazonECR/latest/userguide/repository-policies.html",
    ),
)
