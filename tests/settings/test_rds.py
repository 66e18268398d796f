"""The section `rds`: what it may hold, and each refused value with the place and the words of the message."""

# ruff: noqa: E501 - one case is one line

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import settings
from postgres.declaration import Declaration
from settings.rds import windows_overlap

ROLE = "rds.roles.app_user"
POD_PATH = f"{ROLE}.newIamRole.serviceAccounts[0]"
CLUSTER = f"arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/{'A1' * 16}"
POD = {"issuer": CLUSTER, "namespace": "shop", "name": "app"}
REMOVED: Any = object()


def good() -> dict[str, Any]:
    return {
        "network": {"create": {"zones": 2}},
        "certificates": {"administrators": ["arn:aws:iam::123456789012:user/operator"]},
        "rds": {
            "major": 17,
            "allowedClients": {"networks": ["10.30.0.0/16"]},
            "databases": {"app": {"extensions": ["pgcrypto"]}},
            "roles": {
                "app_user": {
                    "database": "app",
                    "iamRoles": ["app"],
                    "grants": [{"schema": "public", "privileges": ["usage"]}],
                }
            },
        },
    }


def changed(dotted: str, value: Any) -> dict[str, Any]:
    config = good()
    *way, last = dotted.split(".")
    where = config
    for step in way:
        where = where.setdefault(step, {})
    if value is REMOVED:
        del where[last]
    else:
        where[last] = value
    return config


REFUSED: list[tuple[str, Any, str, str]] = [
    ("rds.major", 14, "", "14 is not allowed; allowed: a whole number from 15 to 18"),
    ("rds.instanceClass", "m7g.large", "", "is not an RDS instance class such as db.m7g.large"),
    ("rds.instanceClass", "db.t4g.micro", "", "IAM authentication alone takes up to 1000 MiB; choose db.t4g.small"),
    ("rds.instanceClass", "db.t3.micro", "", "has 1 GiB of memory"),
    ("rds.multiAz", "yes", "", "is not a boolean"),
    ("rds.storage.sizeGiB", 19, "", "allowed: a whole number from 20 to 65536"),
    ("rds.storage.maximumSizeGiB", 105, "", "105 is too little; give 110 or more"),
    ("rds.storage", {"sizeGiB": 100, "iops": 12000}, "rds.storage.iops", "cannot be chosen below 400 GiB"),
    ("rds.storage", {"sizeGiB": 400, "iops": 12000}, "rds.storage.iops", "needs its twin"),
    ("rds.storage", {"sizeGiB": 400, "iops": 12000, "throughputMiBps": 3001}, "rds.storage.throughputMiBps", "is too much for 12000 iops; allowed: 500 to 3000"),
    ("rds.storage.kmsKeyArn", "arn:aws:kms:eu-central-1:123456789012:alias/x", "", "is an alias"),
    ("rds.port", 1149, "", "allowed: a whole number from 1150 to 65535"),
    ("rds.minimumProtocol", "TLSv1.1", "", "allowed: TLSv1.2, TLSv1.3"),
    ("rds.caIdentifier", "rds-ca-2019", "", "allowed: rds-ca-rsa2048-g1, rds-ca-rsa4096-g1, rds-ca-ecc384-g1"),
    ("rds.caBundle", "bundle.der", "", "its name must end in .pem or .crt"),
    ("rds.allowedClients.networks", ["0.0.0.0/0"], "rds.allowedClients.networks[0]", "is the whole internet"),
    ("rds.allowedClients", {}, "", "lets nobody reach the server, but there are roles (app_user)"),
    ("rds.databases.app.extensions", ["rum"], "rds.databases.app.extensions[0]", "is none that RDS has, only a server of our own"),
    ("rds.databases.app.extensions", ["vectr"], "rds.databases.app.extensions[0]", "is no extension that is known here; did you mean vector?"),
    ("rds.databases.rdsadmin", {}, "", "rdsadmin"),
    ("rds.databaseRoles.through", "node", "", "allowed: function, provider"),
    ("rds.databaseRoles.administrator", "pgpl_master", "", "is the master user"),
    ("rds.databaseRoles.administrator", "app_user", "", "is also one of roles"),
    ("rds.databaseRoles.administrator", "rds_admin", "", "which Amazon RDS reserves"),
    ("rds.roles.pgpl_master", {"database": "app"}, "", "is the master user, who never logs in by IAM"),
    ("rds.roles.rds_iam", {"database": "app"}, "", "which Amazon RDS reserves"),
    ("rds.roles.App", {"database": "app"}, "", "has upper-case letters"),
    (f"{ROLE}.database", "other", "", '"other" is not one of databases; allowed: app'),
    (f"{ROLE}.networks", ["10.30.1.0/24"], "", "unknown key"),
    (f"{ROLE}.password", "swordfish", "", "unknown key"),
    (f"{ROLE}.iamRoles", ["arn:aws:iam::123456789012:role/app"], f"{ROLE}.iamRoles[0]", "is an ARN; give the name alone"),
    (f"{ROLE}.iamRoles", ["a b"], f"{ROLE}.iamRoles[0]", "is not the name of an IAM role"),
    (f"{ROLE}.iamRoles", ["AWSReservedSSO_Developers_0123456789abcdef"], f"{ROLE}.iamRoles[0]", "the permission set's inline policy"),
    (f"{ROLE}.iamRoles", ["app", "AWSReservedSSO_x_0"], f"{ROLE}.iamRoles[1]", "belongs to IAM Identity Center"),
    (f"{ROLE}.iamRoles", ["AWSServiceRoleForRDS"], f"{ROLE}.iamRoles[0]", "belongs to a service of AWS"),
    (f"{ROLE}.newIamRole", {}, f"{ROLE}.newIamRole", "trusts nobody"),
    (f"{ROLE}.newIamRole", {"serviceAccounts": [POD | {"name": "*"}]}, f"{POD_PATH}.name", "no patterns"),
    (f"{ROLE}.newIamRole", {"serviceAccounts": [POD | {"namespace": "shop:x"}]}, f"{POD_PATH}.namespace", "no patterns"),
    (f"{ROLE}.newIamRole", {"serviceAccounts": [POD | {"issuer": f"{CLUSTER}*"}]}, f"{POD_PATH}.issuer", "is not of the form arn:aws:iam::<account>:oidc-provider"),
    (f"{ROLE}.newIamRole", {"serviceAccounts": [POD | {"issuer": CLUSTER.replace("oidc.eks.", "")}]}, f"{POD_PATH}.issuer", "is not of the form"),
    (f"{ROLE}.newIamRole", {"serviceAccounts": [POD, POD]}, f"{ROLE}.newIamRole.serviceAccounts", ""),
    (f"{ROLE}.newIamRole", {"trustedServices": ["ecs-tasks"]}, f"{ROLE}.newIamRole.trustedServices[0]", "is not the name of an AWS service"),
    (f"{ROLE}.newIamRole", {"trustedPrincipals": ["arn:aws:iam::123456789012:root"]}, f"{ROLE}.newIamRole.trustedPrincipals[0]", "is the whole account"),
    (f"{ROLE}.memberOf", ["pg_write_all_data"], f"{ROLE}.memberOf[0]", "cannot be declared; allowed: pg_checkpoint, pg_monitor, pg_read_all_data, pg_signal_backend (PostgreSQL 17 on RDS)"),
    (f"{ROLE}.memberOf", ["pg_write_server_files"], f"{ROLE}.memberOf[0]", "and so become superusers"),
    ("rds", {**good()["rds"], "databaseRoles": {"through": "provider"}, "roles": {"app_user": {"database": "app", "iamRoles": ["app"], "memberOf": ["pg_monitor"]}}}, f"{ROLE}.memberOf[0]", "is given by the master of RDS"),
    (f"{ROLE}.grants", [{"schema": "public", "privileges": ["usage"]}] * 2, f"{ROLE}.grants[1]", "is about the same as grants[0]"),
    ("rds.parameters.ssl", 1, "", "is not a switch on RDS"),
    ("rds.parameters", {"rds.force_ssl": 0}, 'rds.parameters["rds.force_ssl"]', "would let clients in without TLS"),
    ("rds.parameters.ssl_min_protocol_version", "TLSv1", "", "set minimumProtocol instead"),
    ("rds.parameters.password_encryption", "md5", "", "cannot be set here"),
    ("rds.parameters.work_mem", 64, "", "has no unit"),
    ("rds.parameters.fsync", False, "", "is not on the list of RDS parameters"),
    ("rds.reconcile", {"hold": {"until": "2999-01-01T00:00:00Z", "reason": "x"}}, "rds.reconcile.hold.until", "more than 24 hours ahead"),
    ("rds.reconcile", {"hold": {"until": "2026-01-01T00:00:00", "reason": "x"}}, "rds.reconcile.hold.until", "time zone"),
    ("rds.reconcile", {"hold": {"until": "2026-01-01T00:00:00Z"}}, "rds.reconcile.hold.reason", "is required"),
    ("rds.backup.retentionDays", 0, "", "allowed: a whole number from 1 to 35"),
    ("rds.backup.window", "2:00-3:00", "", "is not of the form hh:mm-hh:mm"),
    ("rds.backup.window", "02:00-02:20", "", "is 20 minutes long; RDS takes 30 or more"),
    ("rds.maintenanceWindow", "sunday", "", "is not of the form ddd:hh:mm-ddd:hh:mm"),
    ("rds.maintenanceWindow", "sun:03:00-tue:03:00", "", "is longer than a day"),
    ("rds.maintenanceWindow", "mon:02:30-mon:03:30", "", "overlaps the backup window 02:00-03:00"),
    ("rds.maintenanceWindow", "sat:23:00-sun:02:30", "", "overlaps the backup window"),
    ("rds.backup.finalSnapshot", False, "", "beside deletionProtection: true"),
    ("rds.monitoringIntervalSeconds", 7, "", "allowed: 1, 5, 10, 15, 30, 60"),
    ("rds.alarmTopics", ["databases"], "rds.alarmTopics[0]", "is not of the form arn:aws:sns"),
    ("rds.logRetentionDays", 91, "", "91 is not allowed"),
    ("network", REMOVED, "rds", "needs to know where the server lives"),
    ("network", {"existing": {"vpcId": "vpc-01234567", "privateSubnetIds": ["subnet-01234567"]}}, "network.existing.privateSubnetIds", "RDS wants subnets in two zones"),
    ("certificates", REMOVED, "certificates.administrators", "nobody could write what the roles function runs"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("dotted", "value", "place", "words"),
    REFUSED,
    ids=[f"{c[0]}={'removed' if c[1] is REMOVED else c[1]!r}"[:70] for c in REFUSED],
)
def test_a_refused_value_is_named_with_its_place(
    dotted: str, value: Any, place: str, words: str, findings: Callable[[dict[str, Any]], list[str]]
) -> None:
    (line,) = findings(changed(dotted, value))
    assert line.startswith(f"passwordless-postgres:{place or dotted}: ")
    assert words in line


def test_a_password_that_somebody_wrote_is_not_shown(findings: Callable[[dict[str, Any]], list[str]]) -> None:
    (line,) = findings(changed(f"{ROLE}.password", "swordfish"))
    assert "swordfish" not in line


def test_several_mistakes_are_reported_together(findings: Callable[[dict[str, Any]], list[str]]) -> None:
    config = changed("rds.instanceClass", "db.t3.micro")
    config["rds"]["port"] = 22
    config["rds"]["parameters"] = {"ssl": "1"}
    assert len(findings(config)) == 3


def test_the_good_configuration_has_safe_defaults() -> None:
    server = settings.load(good()).rds
    assert server is not None
    assert (server.minimum_protocol, server.multi_az, server.deletion_protection) == ("TLSv1.3", True, True)
    assert server.database_roles.through == "function"
    assert server.backup.final_snapshot
    declared = server.declaration
    assert isinstance(declared, Declaration)
    assert [role.name for role in declared.roles] == ["app_user"]


def test_a_hold_is_for_what_the_function_puts_back(findings: Callable[[dict[str, Any]], list[str]]) -> None:
    # One that is over holds nothing, and may stay in the file.
    config = changed("rds.reconcile.hold", {"until": "2026-01-01T00:00:00Z", "reason": "x"})
    server = settings.load(config).rds
    assert server is not None
    assert server.reconcile.hold is not None
    config["rds"]["databaseRoles"] = {"through": "provider"}
    (line,) = findings(config)
    assert line.startswith("passwordless-postgres:rds.reconcile.hold: has no effect with")


def test_both_kinds_of_server_may_have_roles_of_the_same_name() -> None:
    config = good()
    config["selfManaged"] = {
        "privateDns": {"zone": "db.internal"},
        "allowedClients": {"networks": ["10.30.0.0/16"]},
        "databases": {"app": {}},
        "roles": {"app_user": {"database": "app", "networks": ["10.30.0.0/24"]}},
    }
    loaded = settings.load(config)
    assert loaded.rds
    assert loaded.self_managed


days = st.sampled_from(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])
times = st.tuples(st.integers(0, 23), st.integers(0, 59)).map(lambda each: f"{each[0]:02}:{each[1]:02}")


@given(days, times, times)
def test_a_weekly_window_within_the_daily_one_overlaps(day: str, start: str, end: str) -> None:
    overlaps = windows_overlap(f"{start}-{end}", f"{day}:{start}-{day}:{end}")
    # A window that ends before it starts runs through midnight; one that ends where it starts is empty.
    assert overlaps is (start != end)


@given(days, times)
def test_windows_that_touch_do_not_overlap(day: str, time: str) -> None:
    hour, minute = int(time[:2]), time[3:]
    one, two, three = (f"{(hour + step) % 24:02}:{minute}" for step in range(3))
    days_of_week = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

    def at(step: int, text: str) -> str:
        later = (days_of_week.index(day) + (hour + step) // 24) % 7
        return f"{days_of_week[later]}:{text}"

    assert not windows_overlap(f"{one}-{two}", f"{at(1, two)}-{at(2, three)}")
