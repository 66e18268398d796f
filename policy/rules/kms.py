"""KMS keys and their policies."""

from __future__ import annotations

from policy.property_checks import must_be_at_least, must_be_true, must_not_be_false, must_not_be_true
from policy.resources import Resource
from policy.rule import Area, Rule, Severity
from policy.text.policy_document import in_policy, not_everybody

KEY = "aws:kms/key:Key"
KEY_POLICY = "aws:kms/keyPolicy:KeyPolicy"
_KMS = "https://docs.aws.amazon.com/kms/latest/developerguide"


def _can_rotate(key: Resource) -> bool:
    spec = key["customerMasterKeySpec"].text().upper()
    return spec in ("", "SYMMETRIC_DEFAULT") and not key["customKeyStoreId"].given


RULES = (
    Rule(
        id="PGTLS-P133",
        title="Keys are rotated",
        area=Area.ENCRYPTION,
        severity=Severity.MEDIUM,
        types=(KEY,),
        checks=(must_be_true("enableKeyRotation", when=_can_rotate),),
        why="The longer one key is used, the more is lost with it.",
        fix="set enableKeyRotation to true",
        link=f"{_KMS}/rotate-keys.html",
        references=("SH:KMS.4", "CIS5:3.6", "CKV_AWS_7"),
    ),
    Rule(
        id="PGTLS-P136",
        title="Deleted keys can be kept for 30 days",
        area=Area.ENCRYPTION,
        severity=Severity.MEDIUM,
        types=(KEY,),
        # Absent is 30.
        checks=(must_be_at_least("deletionWindowInDays", 30, "days", default=30),),
        why="With the key, everything that it encrypts is lost.",
        fix="remove deletionWindowInDays; 30 is the default",
        link=f"{_KMS}/deleting-keys.html",
    ),
    Rule(
        id="PGTLS-P137",
        title="Keys are enabled",
        area=Area.ENCRYPTION,
        severity=Severity.LOW,
        types=(KEY,),
        checks=(must_not_be_false("isEnabled"),),
        why="What a disabled key encrypts cannot be read.",
        fix="remove isEnabled",
        link=f"{_KMS}/enabling-keys.html",
    ),
    Rule(
        id="PGTLS-P138",
        title="Keys stay in one region",
        area=Area.ENCRYPTION,
        severity=Severity.LOW,
        types=(KEY,),
        checks=(must_not_be_true("multiRegion"),),
        why="A replica of the key is one more place that can decrypt, and it cannot be taken back.",
        fix="remove multiRegion",
        link=f"{_KMS}/multi-region-keys-overview.html",
    ),
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
