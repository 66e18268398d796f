"""KMS keys and their policies."""

from __future__ import annotations

from policy.property_checks import must_not_be_true
from policy.rule import Area, Rule, Severity
from policy.text.policy_document import in_policy, not_everybody

KEY = "aws:kms/key:Key"
KEY_POLICY = "aws:kms/keyPolicy:KeyPolicy"
_KMS = "https://docs.aws.amazon.com/kms/latest/developerguide"

RULES = (
    Rule(
        id="PGTLS-P134",
        title="Key policies name who may use the key",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=(KEY, KEY_POLICY),
        checks=(in_policy(not_everybody, unreadable=True),),
        why="Principal * means every AWS account.",
        fix="list the principals, or restrict them by a condition such as kms:CallerAccount",
        link=f"{_KMS}/key-policies.html",
        references=("SH:KMS.5",),
    ),
    Rule(
        id="PGTLS-P139",
        title="Key policies cannot lock everybody out",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=(KEY,),
        checks=(must_not_be_true("bypassPolicyLockoutSafetyCheck"),),
        why="Everything that the key encrypts would be lost.",
        fix="remove bypassPolicyLockoutSafetyCheck",
        link=f"{_KMS}/key-policy-default.html",
    ),
)
