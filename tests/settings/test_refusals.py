"""Every kind of value that is refused, with the place and the words of the message."""

# ruff: noqa: E501 - one case is one line

from __future__ import annotations

from typing import Any

import pytest

ROLE = "selfManaged.roles.app_user"
MACHINE = "selfManaged"

# What is put where, the place the message names (empty: the same), and what the message says.
REFUSED: list[tuple[str, Any, str, str]] = [
    # network
    ("network.create.zones", 1, "", "1 is not allowed; allowed: a whole number from 2 to 3"),
    ("network.create.zones", 4, "", "4 is not allowed; allowed: a whole number from 2 to 3"),
    ("network.create.zones", "two", "", '"two" is not a whole number'),
    ("network.create.zones", True, "", "true is not a whole number"),
    ("network.create.zones", 2.0, "", "2.0 is not a whole number"),
    ("network.create.zones", "0x2", "", '"0x2" is not a whole number'),
    ("network.create.natGatewayPerZone", "yes", "", '"yes" is not a boolean; allowed: true, false'),
    ("network.create.natGatewayPerZone", 1, "", "1 is not a boolean"),
    ("network.create.cidr", "10.20.0.0/26", "", "too small to split into eight subnets"),
    ("network.create.cidr", "10.0.0.0/15", "", "larger than AWS takes; choose a /16"),
    ("network.create.cidr", "10.20.0.1/16", "", "has host bits set"),
    ("network.create.cidr", "8.8.0.0/16", "", "outside the private ranges 10.0.0.0/8"),
    ("network.create.cidr", "fd00::/48", "", "is not a network"),
    ("network.create.cidr", 10, "", "10 is read by YAML as a number, not as text; write it in quotes"),
    ("network.create", [], "", "a list is not a mapping; allowed keys: cidr, zones, natGatewayPerZone"),
    ("network.existing", {"vpcId": "vpc-12", "privateSubnetIds": ["subnet-01234567"]}, "network.existing.vpcId", '"vpc-12" is not an id'),
    ("network.existing", {"vpcId": "vpc-01234567", "privateSubnetIds": []}, "network.existing.privateSubnetIds", "is empty; give at least 1"),
    ("network.existing", {"vpcId": "vpc-01234567", "privateSubnetIds": ["subnet-x"]}, "network.existing.privateSubnetIds[0]", "is not an id of the kind subnet-"),
    ("network.existing", {"vpcId": "vpc-01234567", "privateSubnetIds": ["subnet-01234567"] * 2}, "network.existing.privateSubnetIds", "lists subnet-01234567 more than once"),
    ("network.existing", {"privateSubnetIds": ["subnet-01234567"]}, "network.existing.vpcId", "is required and missing; give vpc-"),
    ("network.existing", {"vpcId": "vpc-01234567", "privateSubnetIds": ["subnet-01234567"]}, "network", "has both create and existing; keep one"),
    ("network", {"create": None}, "", "has neither create nor existing"),
    # certificates
    ("certificates.administrators", [], "certificates.administrators", "is empty, so that nobody could renew an identity"),
    ("certificates.administrators", ["arn:aws:iam::123456789012:root"], "certificates.administrators[0]", "is the whole account"),
    ("certificates.administrators", ["arn:aws:iam::123456789012:group/x"], "certificates.administrators[0]", "is a group"),
    ("certificates.administrators", ["arn:aws:iam::123456789012:role/*"], "certificates.administrators[0]", "holds a wildcard"),
    ("certificates.administrators", ["arn:aws:iam::123456789012:role/????/deploy"], "certificates.administrators[0]", "holds a wildcard"),
    ("certificates.administrators", ["arn:aws:iam::123456789012:role/${aws:PrincipalTag/x}"], "certificates.administrators[0]", "holds a variable"),
    (f"{ROLE}.secretReaders", ["arn:aws:iam::123456789012:user/${aws:username}"], f"{ROLE}.secretReaders[0]", "holds a variable"),
    (f"{ROLE}.secretReaders", ["arn:aws:iam::123456789012:role/te?m/deploy"], f"{ROLE}.secretReaders[0]", "holds a wildcard"),
    (f"{ROLE}.secretReaders", ["arn:aws:iam::123456789012:role/a//b"], f"{ROLE}.secretReaders[0]", "is not of the form"),
    (f"{ROLE}.secretReaders", ["arn:aws:iam::123456789012:role/" + "a/" * 2000 + "!"], f"{ROLE}.secretReaders[0]", "is not of the form"),
    ("certificates.administrators", ["arn:aws:sts::123456789012:assumed-role/a/b"], "certificates.administrators[0]", "is one session of a role"),
    ("certificates.administrators", ["arn:aws:iam::12345:role/a"], "certificates.administrators[0]", '"arn:aws:iam::12345:role/a" is not of the form'),
    ("certificates.administrators", "arn:aws:iam::123456789012:role/a", "", "is not a list; write it as [first, second]"),
    ("certificates.authority", "external", "", '"external" is not allowed; allowed: generated'),
    ("certificates.renewBeforeDays", 90, "", "90 is not shorter than leafValidityDays (90)"),
    ("certificates.leafValidityDays", 30, "certificates.renewBeforeDays", "allowed: 1 to 29"),
    ("certificates.leafValidityDays", 398, "", "allowed: a whole number from 2 to 397"),
    ("certificates.authorityValidityDays", 90, "certificates.leafValidityDays", "90 is not shorter than authorityValidityDays (90)"),
    ("certificates.serverGenerations", [], "", "is empty; give at least 1"),
    ("certificates.serverGenerations", [{"name": "1", "state": "trusted"}], "", "has none issuing; exactly one signs"),
    ("certificates.clientGenerations", [{"name": "1", "state": "issuing"}, {"name": "2", "state": "issuing"}], "", "has 2 generations that are issuing (1, 2)"),
    ("certificates.clientGenerations", [{"name": "1", "state": "issuing"}, {"name": "1", "state": "retiring"}], "certificates.clientGenerations[1].name", "is the name of an earlier generation"),
    ("certificates.clientGenerations", [{"name": 1, "state": "issuing"}], "certificates.clientGenerations[0].name", "1 is read by YAML as a number, not as text; write it in quotes"),
    ("certificates.clientGenerations", [{"name": "1", "state": "old"}], "certificates.clientGenerations[0].state", "allowed: trusted, issuing, retiring"),
    # machine
    (f"{MACHINE}.major", 14, "", "14 is not allowed; allowed: a whole number from 15 to 18"),
    (f"{MACHINE}.major", 19, "", "19 is not allowed"),
    (f"{MACHINE}.major", "seventeen", "", '"seventeen" is not a whole number'),
    (f"{MACHINE}.minorFloor", 10, "", "allows releases with CVE-2026-14681; use 11 or higher"),
    (f"{MACHINE}.instanceType", "large", "", '"large" is not an EC2 instance type'),
    (f"{MACHINE}.instanceType", "mac2.metal", "", "is a Mac"),
    (f"{MACHINE}.instanceType", "t2.small", "", "runs on Xen"),
    (f"{MACHINE}.instanceType", "m4.large", "", "choose a type of the Nitro system"),
    (f"{MACHINE}.instanceType", "i3.xlarge", "", "runs on Xen"),
    (f"{MACHINE}.architecture", "x86_64", "", '"x86_64" does not fit m7g.large, which is arm64'),
    (f"{MACHINE}.architecture", "amd64", "", "allowed: arm64, x86_64"),
    (f"{MACHINE}.image", {"id": "ami-1"}, f"{MACHINE}.image.id", "ami- and 8 or 17 hexadecimal digits"),
    (f"{MACHINE}.image", {"id": "ami-01234567", "revision": 2}, "", "has an id beside release or revision"),
    (f"{MACHINE}.image.release", "debian-12", "", "allowed: debian-13"),
    (f"{MACHINE}.volume.sizeGiB", 0, "", "allowed: a whole number from 1 to 65536"),
    (f"{MACHINE}.volume.iops", 2999, "", "allowed: a whole number from 3000 to 80000"),
    (f"{MACHINE}.volume", {"sizeGiB": 10, "iops": 5001}, f"{MACHINE}.volume.iops", "5001 is too much for 10 GiB; allowed: 3000 to 5000"),
    (f"{MACHINE}.volume.throughputMiBps", 751, "", "751 is too much for 3000 iops; allowed: 125 to 750"),
    (f"{MACHINE}.volume.throughputMiBps", 2001, "", "allowed: a whole number from 125 to 2000"),
    (f"{MACHINE}.volume.kmsKeyArn", "arn:aws:kms:eu-central-1:123456789012:alias/x", "", "is an alias"),
    (f"{MACHINE}.volume.kmsKeyArn", "key", "", "is not of the form arn:aws:kms:"),
    (f"{MACHINE}.port", 1023, "", "allowed: a whole number from 1024 to 65535"),
    (f"{MACHINE}.port", 65536, "", "allowed: a whole number from 1024 to 65535"),
    (f"{MACHINE}.minimumProtocol", "TLSv1.1", "", "allowed: TLSv1.2, TLSv1.3"),
    (f"{MACHINE}.privateDns.hostedZoneId", "/hostedzone/Z1", "", "is not the id of a hosted zone"),
    (f"{MACHINE}.privateDns.hostedZoneId", "db.internal", "", "is not the id of a hosted zone"),
    (f"{MACHINE}.tlsGroups", ["X25519MLKEM768"], "", "is for PostgreSQL 18 and newer; PostgreSQL 17 takes one curve"),
    (f"{MACHINE}.tlsGroups", ["secp192r1"], f"{MACHINE}.tlsGroups[0]", "allowed: X25519MLKEM768, SecP256r1MLKEM768"),
    (f"{MACHINE}.restart", "never", "", "allowed: pending, automatic"),
    (f"{MACHINE}.logRetentionDays", 91, "", "91 is not allowed; allowed: 1, 3, 5, 7"),
    (f"{MACHINE}.reportDeadlineSeconds", 9, "", "allowed: a whole number from 10 to 7200"),
    # names
    (f"{MACHINE}.privateDns", {"name": "db"}, f"{MACHINE}.privateDns.zone", "is required and missing; give a DNS name"),
    (f"{MACHINE}.privateDns.zone", "db.internal.", "", "ends with a dot"),
    (f"{MACHINE}.privateDns.zone", "Db.internal", "", "upper-case letters in 'Db'; write 'db'"),
    (f"{MACHINE}.privateDns.zone", "10.0.0.1", "", "ends with a number, as an address does"),
    (f"{MACHINE}.privateDns.zone", "", "", "is empty"),
    (f"{MACHINE}.privateDns.name", "my_db", "", "'my_db' between its dots"),
    (f"{MACHINE}.privateDns.name", "a..b", "", "has nothing between two dots"),
    (f"{MACHINE}.privateDns.name", "a" * 64, "", "has a label of 64 characters"),
    (f"{MACHINE}.privateDns.name", "a" * 53, f"{MACHINE}.privateDns", "which has 65 characters"),
    # clients
    (f"{MACHINE}.allowedClients.networks", ["0.0.0.0/0"], f"{MACHINE}.allowedClients.networks[0]", "is the whole internet"),
    (f"{MACHINE}.allowedClients.networks", ["::/0"], f"{MACHINE}.allowedClients.networks[0]", "is the whole internet"),
    (f"{MACHINE}.allowedClients.networks", ["0.0.0.0/1", "128.0.0.0/1"], "", "are together half of the internet or more"),
    (f"{MACHINE}.allowedClients.networks", ["10.30.0.0/16", "2000::/3"], "", "are together half of the internet or more"),
    (f"{MACHINE}.allowedClients.networks", ["10.30.0.0/16", "0.0.0.0/2", "64.0.0.0/3", "96.0.0.0/3", "::/1"], "", "are together half of the internet or more"),
    (f"{MACHINE}.allowedClients.networks", ["128.0.0.0/1"], "", "is half of the internet or more"),
    (f"{MACHINE}.allowedClients.networks", ["10.30.0.1/16"], f"{MACHINE}.allowedClients.networks[0]", "has host bits set; write 10.30.0.0/16"),
    (f"{MACHINE}.allowedClients.networks", ["clients.internal"], f"{MACHINE}.allowedClients.networks[0]", "is a host name"),
    (f"{MACHINE}.allowedClients.securityGroups", ["default"], f"{MACHINE}.allowedClients.securityGroups[0]", "is not an id of the kind sg-"),
    (f"{MACHINE}.allowedClients", {}, "", "lets nobody reach the server, but there are roles (app_user)"),
    # databases
    (f"{MACHINE}.databases.postgres", {}, "", "is a system database"),
    (f"{MACHINE}.databases.App", {}, "", "has upper-case letters"),
    (f"{MACHINE}.databases.true", {}, "", "'true' looks like a number, a boolean or nothing"),
    (f"{MACHINE}.databases.app.extensions", ["plpython3u"], f"{MACHINE}.databases.app.extensions[0]", '"plpython3u" is no extension that is known here'),
    (f"{MACHINE}.databases.app.owner", "me", "", "unknown key; allowed: extensions"),
    # who makes the roles
    (f"{MACHINE}.databaseRoles.through", "function", "", '"function" is the way for RDS'),
    (f"{MACHINE}.databaseRoles.through", "provider", f"{MACHINE}.databaseRoles.administratorNetworks", "is empty, but with through: provider"),
    (f"{MACHINE}.databaseRoles.administratorNetworks", ["10.30.0.0/24"], "", "does not use; remove it"),
    (f"{MACHINE}.databaseRoles", {"through": "provider", "administratorNetworks": ["10.40.0.0/24"]}, f"{MACHINE}.databaseRoles.administratorNetworks[0]", "is outside allowedClients.networks"),
    (f"{MACHINE}.databaseRoles.administrator", "postgres", "", "is the superuser"),
    (f"{MACHINE}.databaseRoles.administrator", "app_user", "", '"app_user" is also one of roles'),
    # roles
    (f"{MACHINE}.roles.App", {"database": "app", "networks": ["10.30.1.0/24"]}, "", "role name 'App' has upper-case letters"),
    (f"{MACHINE}.roles.{'ü' * 32}", {"database": "app", "networks": ["10.30.1.0/24"]}, f'{MACHINE}.roles["{chr(92)}u00fc', "has 64 bytes in UTF-8"),
    (f"{MACHINE}.roles.a\x07", {"database": "app", "networks": ["10.30.1.0/24"]}, f'{MACHINE}.roles["a', "control or invisible characters"),
    (f"{MACHINE}.roles.postgres", {"database": "app", "networks": ["10.30.1.0/24"]}, "", "is the superuser"),
    (f"{MACHINE}.roles.pg_read_all_data", {"database": "app", "networks": ["10.30.1.0/24"]}, "", "which PostgreSQL reserves"),
    (f"{MACHINE}.roles.rds_superuser", {"database": "app", "networks": ["10.30.1.0/24"]}, "", "which Amazon RDS reserves"),
    (f"{MACHINE}.roles.replication", {"database": "app", "networks": ["10.30.1.0/24"]}, "", "is a keyword of pg_hba.conf"),
    (f"{MACHINE}.roles.8", {"database": "app", "networks": ["10.30.1.0/24"]}, f'{MACHINE}.roles["8"]', "(010 becomes 8); choose another name"),
    (f"{ROLE}.database", "other", "", '"other" is not one of databases; allowed: app'),
    (f"{ROLE}.database", True, "", "true is read by YAML as a boolean, not as text; write it in quotes"),
    (f"{ROLE}.networks", [], "", "is empty; give at least 1"),
    (f"{ROLE}.networks", ["10.30.1.0/24", "10.30.1.0/24"], "", "lists 10.30.1.0/24 more than once"),
    (f"{ROLE}.networks", ["10.31.0.0/24"], f"{ROLE}.networks[0]", "so a login from there never arrives"),
    (f"{ROLE}.networks", ["10.0.0.0/8"], f"{ROLE}.networks[0]", "is outside allowedClients.networks (10.30.0.0/16"),
    (f"{ROLE}.networks", ["fe00::/64"], f"{ROLE}.networks[0]", "is outside allowedClients.networks"),
    (f"{ROLE}.networks", ["localhost"], f"{ROLE}.networks[0]", "is a host name"),
    (f"{ROLE}.commonName", "", "", "has 0 characters; a common name has 1 to 64"),
    (f"{ROLE}.commonName", "n" * 65, "", "has 65 characters; a common name has 1 to 64"),
    (f"{ROLE}.commonName", "a\x07b", "", "holds what cannot be printed"),
    (f"{ROLE}.commonName", "a\nb", "", "holds what cannot be printed"),
    (f"{ROLE}.commonName", "a\u200bb", "", "holds what cannot be printed"),
    (f"{ROLE}.commonName", "billing ", "", "begins or ends with a space"),
    (f"{ROLE}.commonName", "/^.*$", "", "means a regular expression in pg_ident.conf"),
    (f"{ROLE}.commonName", "u\u0308ber", "", "is not in Unicode normal form C"),
    (f"{ROLE}.commonName", 8, "", "8 is read by YAML as a number, not as text"),
    (f"{ROLE}.commonName", ["a"], "", "must be a string, not a list"),
    (f"{ROLE}.commonName", "app_user", "", '"app_user" is the role\'s own name, which it has anyway'),
    (f"{ROLE}.commonName", "postgres", "", "is the name of the superuser"),
    (f"{ROLE}.commonName", "pgpl_admin", "", "is the name of the administrator"),
    (f"{ROLE}.commonName", "postgres.db.internal", "", "is the name of the server"),
    (f"{MACHINE}.roles.other", {"database": "app", "networks": ["10.30.1.0/24"], "commonName": "app_user"}, f"{MACHINE}.roles.other.commonName", "is the name of role app_user"),
    (f"{ROLE}.connectionLimit", 0, "", "allowed: a whole number from 1 to 10000"),
    (f"{ROLE}.connectionLimit", 98, "", "98 is more than the server gives to roles; allowed: 1 to 97"),
    (f"{ROLE}.secretReaders", ["arn:aws:iam::999999999999:role/app"], f"{ROLE}.secretReaders[0]", "is of another account (999999999999)"),
    (f"{ROLE}.secretReaders", ["arn:aws:iam::999999999999:role/app"], f"{ROLE}.secretReaders[0]", "set certificates.secretsKey: stack"),
    ("certificates.secretsKey", "alias/x", "", "allowed: account, stack"),
    (f"{ROLE}.secretReaders", ["arn:aws:iam::123456789012:role/a", "arn:aws:iam::210987654321:user/x"], f"{ROLE}.secretReaders[1]", "name a role of the stack's account that it may assume"),
    (f"{ROLE}.secretReaders", ["*"], f"{ROLE}.secretReaders[0]", "holds a wildcard"),
    (f"{ROLE}.password", "swordfish", "", "unknown key; allowed: database, otherDatabases, connectionLimit"),
    (f"{ROLE}.grants", [{"privileges": ["select"]}], f"{ROLE}.grants[0]", "privilege 'select' on database is not one of connect, create, temporary"),
    (f"{ROLE}.grants", [{"schema": "public", "privileges": ["select"]}], f"{ROLE}.grants[0]", "privilege 'select' on schema is not one of usage, create"),
    (f"{ROLE}.grants", [{"onAll": "tables", "privileges": ["select"]}], f"{ROLE}.grants[0]", "grant on tables names no schema"),
    (f"{ROLE}.grants", [{"schema": "pg_catalog", "privileges": ["usage"]}], f"{ROLE}.grants[0]", "belongs to PostgreSQL"),
    (f"{ROLE}.grants", [{"schema": "public", "privileges": ["usage"]}] * 2, f"{ROLE}.grants[1]", "is about the same as grants[0]"),
    (f"{ROLE}.grants", [{"schema": "public", "onAll": "tables", "privileges": []}], f"{ROLE}.grants[0].privileges", "is empty"),
    (f"{ROLE}.grants", [{"schema": "public", "onAll": "tables", "privileges": ["all"]}], f"{ROLE}.grants[0].privileges[0]", "allowed: connect, create, delete"),
    (f"{ROLE}.otherDatabases", ["other"], f"{ROLE}.otherDatabases[0]", "is not one of databases; allowed: app"),
    (f"{ROLE}.otherDatabases", ["app"], f"{ROLE}.otherDatabases[0]", "is the role's database already; remove it"),
    (f"{ROLE}.otherDatabases", ["a", "a"], "", "lists a more than once"),
    (f"{ROLE}.grants", [{"database": "other", "privileges": ["connect"]}], f"{ROLE}.grants[0].database", "is not one that the role may connect to; allowed: app; correct it"),
    (f"{ROLE}.grants", [{"schema": "public", "privileges": ["usage"]}, {"database": "app", "schema": "public", "privileges": ["usage"]}], f"{ROLE}.grants[1]", "is about the same as grants[0]"),
    (f"{ROLE}.settings", {"log_statement": "none"}, f"{ROLE}.settings.log_statement", "is no setting that a role may have; allowed: default_transaction_isolation"),
    (f"{ROLE}.settings", {"statement_timeout": 30}, f"{ROLE}.settings.statement_timeout", "has no unit"),
    (f"{ROLE}.settings", {"search_path": "pg_temp"}, f"{ROLE}.settings.search_path", "is not a list of schemas"),
    (f"{ROLE}.grants", [{"schema": "public", "onAll": "tables", "tables": ["a"], "privileges": ["select"]}], f"{ROLE}.grants[0]", "has more than one of onAll, tables, sequences and functions"),
    (f"{ROLE}.grants", [{"schema": "public", "sequences": ["a"], "privileges": ["insert"]}], f"{ROLE}.grants[0]", "privilege 'insert' on sequences is not one of usage, select, update"),
    (f"{ROLE}.grants", [{"tables": ["a"], "privileges": ["select"]}], f"{ROLE}.grants[0]", "grant on tables names no schema"),
    (f"{ROLE}.grants", [{"schema": "public", "tables": ["A"], "privileges": ["select"]}], f"{ROLE}.grants[0]", "object 'A' has upper-case letters"),
    (f"{ROLE}.grants", [{"schema": "public", "tables": ["a", "b"], "privileges": ["select"]}, {"schema": "public", "tables": ["b"], "privileges": ["insert"]}], f"{ROLE}.grants[1]", "is about the same as grants[0]"),
    (f"{ROLE}.grants", [{"schema": "public", "tables": ["a"], "columns": ["x", "y"], "privileges": ["select"]}, {"schema": "public", "tables": ["a"], "columns": ["y"], "privileges": ["update", "select"]}], f"{ROLE}.grants[1]", "is about the same as grants[0]"),
    (f"{ROLE}.grants", [{"schema": "public", "onAll": "tables", "columns": ["x"], "privileges": ["select"]}], f"{ROLE}.grants[0]", "columns are those of tables that the grant names"),
    (f"{ROLE}.grants", [{"schema": "public", "tables": ["a"], "columns": ["x"], "privileges": ["delete"]}], f"{ROLE}.grants[0]", "on columns is not one of select, insert, update, references"),
    (f"{ROLE}.memberOf", ["pg_execute_server_program"], f"{ROLE}.memberOf[0]", "is refused: its members run programs as the server's user"),
    (f"{ROLE}.memberOf", ["pg_read_server_files"], "", "is refused: its members read every file of the server"),
    (f"{ROLE}.memberOf", ["pg_signal_autovacuum_worker"], f"{ROLE}.memberOf[0]", "cannot be declared; allowed: pg_checkpoint, pg_maintain, pg_monitor"),
    (f"{ROLE}.memberOf", ["app_owner"], "", "cannot be declared; allowed: pg_checkpoint"),
    (f"{ROLE}.memberOf", ["pg_monitor", "pg_monitor"], "", "lists pg_monitor more than once"),
    # server settings
    (f"{MACHINE}.serverSettings.shared_bufers", "1GB", "", "shared_buffers"),
    (f"{MACHINE}.serverSettings.ssl", "off", "", "ssl"),
    (f"{MACHINE}.serverSettings.ssl_min_protocol_version", "TLSv1", "", "use selfManaged.minimumProtocol instead"),
    (f"{MACHINE}.serverSettings.password_encryption", "md5", "", "md5"),
    (f"{MACHINE}.serverSettings.hba_file", "/tmp/hba", "", "only the machine knows it"),
    (f"{MACHINE}.serverSettings.archive_command", "cp", "", "runs commands"),
    (f"{MACHINE}.serverSettings.fsync", False, "", "fsync"),
    (f"{MACHINE}.serverSettings.port", 5433, "", "use selfManaged.port instead"),
    (f"{MACHINE}.serverSettings.ssl_groups", "X25519", "", "ssl_groups"),
    (f"{MACHINE}.serverSettings.shared_buffers", [1], "", "must be a string, not a list"),
    (f"{MACHINE}.serverSettings.max_connections", "abc", "", "max_connections = 'abc'"),
    # tags
    ("tags.aws:team", "x", 'tags["aws:team"]', "begins with aws:, which AWS keeps for itself"),
    ("tags.AWS:team", "x", 'tags["AWS:team"]', "begins with aws:"),
    ("tags.Name", "x", "", "is set by the program"),
    (f"tags.{'k' * 129}", "x", "", "has 129 characters; AWS takes 128"),
    ("tags.team", "v" * 257, "", "has 257 characters; AWS takes 256"),
    ("tags.team", "a;b", "", "has characters that AWS does not take in tags"),
    ("tags.team", True, "", "true is read by YAML as a boolean"),
    ("tags.team", 10, "", "10 is read by YAML as a number"),
    ("tags.Environment", "x", "", "differs from environment in case only"),
    ("tags", {f"k{number}": "v" for number in range(50)}, "", "has 50 entries; allowed: at most 49"),
    ("tags", ["a"], "", "a list is not a mapping; write it as name: value"),
    # unknown keys
    ("selfmanaged", {"major": 17}, "", "unknown key; did you mean selfManaged? allowed: network"),
    (f"{MACHINE}.instance_type", "m7g.large", "", "did you mean instanceType?"),
    (f"{MACHINE}.instanceTyp", None, "", "did you mean instanceType?"),
]  # fmt: skip


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case[0]}={str(case[1])[:30]}")
def test_refused_with_place_value_and_what_is_allowed(spoilt, findings, case):
    place, value, reported, says = case
    lines = findings(spoilt(**{place: value}))
    matching = [line for line in lines if line.startswith(f"passwordless-postgres:{reported or place}")]
    assert len(matching) == 1, lines
    assert says in matching[0]
    assert len(lines) == 1, "one wrong value leads to one finding"


def test_two_roles_claim_no_one_common_name(spoilt, findings):
    other = {"database": "app", "networks": ["10.30.1.0/24"], "commonName": "billing.example.org"}
    (line,) = findings(
        spoilt(**{f"{ROLE}.commonName": "billing.example.org", f"{MACHINE}.roles.other": other})
    )
    assert line.startswith("passwordless-postgres:selfManaged.roles.other.commonName: ")
    assert "is the common name of role app_user already; a certificate logs in as one role" in line


def test_a_server_without_network_is_refused(spoilt, findings, good):
    del good["network"]
    (line,) = findings(good)
    assert line == (
        "passwordless-postgres:selfManaged: needs to know where the server lives; "
        "add a section network with create or existing"
    )


def test_settings_are_checked_against_the_major(spoilt, findings):
    (line,) = findings(
        spoilt(
            **{"selfManaged.major": 15, "selfManaged.serverSettings": {"enable_presorted_aggregate": "off"}}
        )
    )
    assert line.startswith("passwordless-postgres:selfManaged.serverSettings.enable_presorted_aggregate: ")
    assert "PostgreSQL 15 does not know it" in line


@pytest.mark.parametrize(
    ("until", "words"),
    [
        ("2999-01-01T00:00:00Z", "more than 24 hours ahead"),
        ("2026-01-01T00:00:00", "time zone"),
        ("in an hour", "ISO 8601"),
    ],
)
def test_a_hold_ends_within_a_day(spoilt, findings, until, words):
    (line,) = findings(spoilt(**{"selfManaged.reconcile": {"hold": {"until": until, "reason": "x"}}}))
    assert line.startswith("passwordless-postgres:selfManaged.reconcile.hold.until: ")
    assert words in line


def test_a_privilege_that_the_major_does_not_know_is_refused(spoilt, findings):
    grants = [{"schema": "public", "onAll": "tables", "privileges": ["maintain"]}]
    (line,) = findings(spoilt(**{"selfManaged.major": 16, f"{ROLE}.grants": grants}))
    assert "privilege 'maintain'" in line


def test_settings_that_the_provider_does_not_know_need_the_node(spoilt, findings):
    through = {"through": "provider", "administratorNetworks": ["10.30.0.0/24"]}
    wanted = {"statement_timeout": "30s", "work_mem": "8MB"}
    (line,) = findings(spoilt(**{f"{ROLE}.settings": wanted, "selfManaged.databaseRoles": through}))
    assert line.startswith(
        f"passwordless-postgres:{ROLE}.settings.work_mem: is not known to pulumi-postgresql"
    )


def test_grants_on_named_objects_need_the_node(spoilt, findings):
    through = {"through": "provider", "administratorNetworks": ["10.30.0.0/24"]}
    grants = [{"schema": "public", "tables": ["orders"], "privileges": ["select"]}]
    (line,) = findings(spoilt(**{f"{ROLE}.grants": grants, "selfManaged.databaseRoles": through}))
    assert line.startswith(f"passwordless-postgres:{ROLE}.grants[0].tables: would fail by pulumi-postgresql")


def test_memberships_need_the_node(spoilt, findings):
    through = {"through": "provider", "administratorNetworks": ["10.30.0.0/24"]}
    (line,) = findings(spoilt(**{f"{ROLE}.memberOf": ["pg_monitor"], "selfManaged.databaseRoles": through}))
    assert line.startswith(f'passwordless-postgres:{ROLE}.memberOf[0]: "pg_monitor" is given by a superuser')
    assert "set databaseRoles.through: node" in line


def test_extensions_for_superusers_need_the_node(spoilt, findings):
    (line,) = findings(
        spoilt(
            **{
                "selfManaged.databases.app.extensions": ["pgcrypto", "postgres_fdw"],
                "selfManaged.databaseRoles": {
                    "through": "provider",
                    "administratorNetworks": ["10.30.0.0/24"],
                },
            }
        )
    )
    assert line.startswith(
        'passwordless-postgres:selfManaged.databases.app.extensions[1]: "postgres_fdw" is not for the administrator'
    )
