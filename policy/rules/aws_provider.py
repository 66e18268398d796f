"""The AWS provider's own configuration."""

from __future__ import annotations

from policy.property_checks import must_not_be_given
from policy.rule import Area, Rule, Severity

PROVIDER = "pulumi:providers:aws"

RULES = (
    Rule(
        id="PGTLS-P170",
        title="The AWS provider has no access keys",
        area=Area.SECRETS,
        severity=Severity.CRITICAL,
        types=(PROVIDER,),
        checks=(
            must_not_be_given("accessKey", "expected a profile or a role"),
            must_not_be_given("secretKey", "expected a profile or a role"),
        ),
        why="Access keys in the program are in its state, its history and its reviews, and do not expire.",
        fix="remove accessKey and secretKey; use the environment's role, OIDC or a profile",
        link="https://www.pulumi.com/registry/packages/aws/installation-configuration/",
    ),
)
