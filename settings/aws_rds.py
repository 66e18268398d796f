"""What RDS itself takes: instance classes, windows, and who may connect."""

from __future__ import annotations

import re
from itertools import pairwise

_INSTANCE_CLASS = re.compile(
    r"db\.(?P<series>[a-z]+)(?P<generation>\d+)(?P<attributes>[a-z]*)"
    r"\.(?P<size>micro|small|medium|large|\d*xlarge)(\.tpc\d\.mem\dx)?"
)
_TOO_SMALL = ("micro",)
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]"
_BACKUP = re.compile(rf"{_TIME}-{_TIME}")
_MAINTENANCE = re.compile(rf"(?:{'|'.join(_DAYS)}):{_TIME}-(?:{'|'.join(_DAYS)}):{_TIME}")
_DAY = 24 * 60
_WEEK = 7 * _DAY
_SHORTEST_WINDOW = 30
_IAM_ROLE = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
_SERVICE = re.compile(r"[a-z0-9][a-z0-9.-]*\.amazonaws\.com(\.cn)?")
_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}")
_BASELINE_ENDS_GIB = 400


def instance_class_problems(instance_class: str) -> list[str]:
    """What is wrong with the class of an instance; whether a region has it, only AWS knows."""
    found = _INSTANCE_CLASS.fullmatch(instance_class)
    if found is None:
        return ["is not an RDS instance class such as db.m7g.large or db.t4g.small"]
    if found["size"] in _TOO_SMALL:
        return ["has 1 GiB of memory, and IAM authentication alone takes up to 1000 MiB; choose db.t4g.small"]
    return []


def backup_window_problems(window: str) -> list[str]:
    """What is wrong with a daily window such as 02:00-03:00."""
    if not _BACKUP.fullmatch(window):
        return ["is not of the form hh:mm-hh:mm in UTC, such as 02:00-03:00"]
    return _too_short(_length(*_minutes_of_day(window), _DAY))


def maintenance_window_problems(window: str) -> list[str]:
    """What is wrong with a weekly window such as sun:03:30-sun:04:30."""
    if not _MAINTENANCE.fullmatch(window):
        return ["is not of the form ddd:hh:mm-ddd:hh:mm in UTC, such as sun:03:30-sun:04:30"]
    length = _length(*_minutes_of_week(window), _WEEK)
    if length > _DAY:
        return ["is longer than a day; RDS takes up to 24 hours"]
    return _too_short(length)


def windows_overlap(backup: str, maintenance: str) -> bool:
    """Whether a daily and a weekly window, both well formed, share a minute."""
    first, last = _minutes_of_week(maintenance)
    maintenance_minutes = {minute % _WEEK for minute in range(first, first + _length(first, last, _WEEK))}
    start, end = _minutes_of_day(backup)
    length = _length(start, end, _DAY)
    return any(
        (day * _DAY + start + minute) % _WEEK in maintenance_minutes
        for day in range(7)
        for minute in range(length)
    )


def _minutes_of_day(window: str) -> tuple[int, int]:
    start, end = ((int(text[:2]) * 60 + int(text[3:])) for text in window.split("-"))
    return start, end


def _minutes_of_week(window: str) -> tuple[int, int]:
    start, end = (
        _DAYS.index(text[:3]) * _DAY + int(text[4:6]) * 60 + int(text[7:]) for text in window.split("-")
    )
    return start, end


def _length(start: int, end: int, cycle: int) -> int:
    return (end - start) % cycle


def _too_short(length: int) -> list[str]:
    return [] if length >= _SHORTEST_WINDOW else [f"is {length} minutes long; RDS takes 30 or more"]


def storage_problems(
    size_gib: int, maximum_gib: int | None, iops: int | None, throughput_mibps: int | None
) -> list[tuple[str, int, str]]:
    """Key, value and problem where the numbers of a gp3 storage do not fit each other (RDS user guide)."""
    found = []
    if maximum_gib is not None and maximum_gib * 10 < size_gib * 11:
        lowest = -(-size_gib * 11 // 10)
        found.append(
            ("maximumSizeGiB", maximum_gib, f"is too little; give {lowest} or more, or leave it out")
        )
    for key, value in (("iops", iops), ("throughputMiBps", throughput_mibps)):
        if value is not None and size_gib < _BASELINE_ENDS_GIB:
            text = f"cannot be chosen below {_BASELINE_ENDS_GIB} GiB; leave it out, or raise sizeGiB"
            found.append((key, value, text))
    if iops is not None and throughput_mibps is not None and throughput_mibps * 4 > iops:
        text = f"is too much for {iops} iops; allowed: 500 to {iops // 4} (a quarter of iops)"
        found.append(("throughputMiBps", throughput_mibps, text))
    if size_gib >= _BASELINE_ENDS_GIB and (iops is None) != (throughput_mibps is None):
        key, value = ("iops", iops) if iops is not None else ("throughputMiBps", throughput_mibps)
        found.append((key, value or 0, "needs its twin: give both iops and throughputMiBps, or neither"))
    return found


def iam_role_name_problems(name: str) -> list[str]:
    """What is wrong with the name of an IAM role of this account."""
    if name.startswith("arn:"):
        return ["is an ARN; give the name alone, since a policy is attached in this account only"]
    return [] if _IAM_ROLE.fullmatch(name) else ["is not the name of an IAM role"]


def service_principal_problems(service: str) -> list[str]:
    """What is wrong with the name of a service that may assume a role."""
    if not _SERVICE.fullmatch(service) or any("" in pair for pair in pairwise(service.split("."))):
        return ["is not the name of an AWS service such as ecs-tasks.amazonaws.com"]
    return []


def topic_arn_problems(arn: str) -> list[str]:
    """What is wrong with the ARN of an SNS topic."""
    return [] if _TOPIC.fullmatch(arn) else ["is not of the form arn:aws:sns:eu-central-1:123456789012:name"]


def bundle_path_problems(path: str) -> list[str]:
    """What is wrong with the path of a PEM file; whether it is there is checked where it is read."""
    return [] if path.endswith((".pem", ".crt")) else ["is not a PEM file; its name must end in .pem or .crt"]
