"""Volumes of EC2: encryption at rest, of their own and in instances and launch templates."""

from __future__ import annotations

from policy.property_checks import must_be_true
from policy.resources import Resource
from policy.rule import Area, Rule, Severity
from policy.type_tokens import EC2_INSTANCE, LAUNCH_TEMPLATE

VOLUME = "aws:ebs/volume:Volume"
ENCRYPTION_BY_DEFAULT = "aws:ebs/encryptionByDefault:EncryptionByDefault"
_LINK = "https://docs.aws.amazon.com/ebs/latest/userguide/encryption-by-default.html"
_WHY = "Whoever gets at a disk or a snapshot reads it; encryption has no price and cannot be added later."
# An account can encrypt every new volume, so what is not stated may be encrypted all the same.
_UNSTATED = Severity.LOW


def _has_devices(template: Resource) -> bool:
    return template["blockDeviceMappings"].given


RULES = (
    Rule(
        id="PGTLS-P035",
        title="Root volumes are encrypted",
        area=Area.ENCRYPTION,
        severity=Severity.HIGH,
        types=(EC2_INSTANCE,),
        checks=(
            must_be_true(
                "rootBlockDevice.encrypted",
                # aws-native lists the root volume with the others.
                when=lambda instance: instance.declared == instance.type,
                absent=_UNSTATED,
            ),
        ),
        why=_WHY,
        fix="set rootBlockDevice.encrypted to true",
        link=_LINK,
        references=("CKV_AWS_8",),
    ),
    Rule(
        id="PGTLS-P036",
        title="Volumes that an instance declares are encrypted",
        area=Area.ENCRYPTION,
        severity=Severity.HIGH,
        types=(EC2_INSTANCE,),
        checks=(must_be_true("ebsBlockDevices[].encrypted", absent=_UNSTATED),),
        why=_WHY,
        fix="set ebsBlockDevices[].encrypted to true",
        link=_LINK,
        references=("SH:EC2.3", "CKV_AWS_8"),
    ),
    Rule(
        id="PGTLS-P053",
        title="Volumes of launch templates are encrypted",
        area=Area.ENCRYPTION,
        severity=Severity.HIGH,
        types=(LAUNCH_TEMPLATE,),
        checks=(must_be_true("blockDeviceMappings[].ebs.encrypted", when=_has_devices, absent=_UNSTATED),),
        why=_WHY,
        fix="set blockDeviceMappings[].ebs.encrypted to true",
        link=_LINK,
    ),
    Rule(
        id="PGTLS-P071",
        title="Volumes are encrypted",
        area=Area.ENCRYPTION,
        severity=Severity.HIGH,
        types=(VOLUME,),
        checks=(must_be_true("encrypted", absent=Severity.MEDIUM),),
        why=_WHY,
        fix="set encrypted to true",
        link=_LINK,
        references=("SH:EC2.3", "CKV_AWS_3"),
    ),
    Rule(
        id="PGTLS-P205",
        title="The account's encryption of new volumes is not turned off",
        area=Area.ENCRYPTION,
        severity=Severity.HIGH,
        types=(ENCRYPTION_BY_DEFAULT,),
        checks=(must_be_true("enabled", when=lambda setting: setting["enabled"].given),),
        why="Every volume that states nothing would be without encryption.",
        fix="set enabled to true",
        link=_LINK,
        references=("SH:EC2.7", "CIS5:5.1.1", "CKV_AWS_106"),
    ),
)
