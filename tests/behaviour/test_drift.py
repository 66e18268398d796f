"""Whatever is changed by hand on a running server is put back, or reported; it is never kept silently."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from gateway.document import AllowedIdentity
from node.desired_state import Report
from node.server_user import become
from postgres.identifiers import SUPERUSER
from tests.behaviour.conftest import RunningSandbox
from tests.behaviour.gateway_sandbox import RunningGateway
from tests.behaviour.steady_client import SteadyClient
from tests.behaviour.test_database_roles import CATALOGUE

pytestmark = pytest.mark.sandbox

# The catalogues are compared once a minute, files on each run of the timer.
INTERVAL_SECONDS = 60
PATIENCE_SECONDS = INTERVAL_SECONDS + 60
SEED = 17
ROLES = ("app_readonly", "reporting")
"""The steady client logs in as another one."""


@dataclass(kw_only=True)
class Operator:
    """Somebody with root on the machine, a superuser's session, and no regard for declarations."""

    sandbox: RunningSandbox
    written_documents: int = 0

    @cached_property
    def gateway(self) -> RunningGateway:
        return RunningGateway(sandbox=self.sandbox)

    @cached_property
    def root(self) -> Path:
        (found,) = self.sandbox.state.glob("machines/*/root")
        return found

    @cached_property
    def data(self) -> Path:
        (found,) = self.root.glob("var/lib/postgresql/*/*/PG_VERSION")
        return found.parent

    @property
    def served(self) -> Path:
        return self.sandbox.served_files

    def sql(self, *statements: str, database: str = "postgres") -> list[list[str]]:
        """Rows of statements by the superuser, over the server's socket, as the server's own user."""
        lines = (self.data / "postmaster.pid").read_text().splitlines()
        owner = self.data.stat()
        binaries = Path(os.environ["PASSWORDLESS_POSTGRES_TEST_BINARIES"])
        completed = subprocess.run(
            [
                *(become(owner.st_uid, owner.st_gid) if os.geteuid() == 0 else ()),
                binaries / (self.data / "PG_VERSION").read_text().strip() / "bin" / "psql",
                *("-X", "-q", "--csv", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"),
                *("-h", lines[4], "-p", lines[3], "-U", SUPERUSER, "-d", database),
            ],
            input=";\n".join((*statements, "")),
            text=True,
            capture_output=True,
            check=False,
            cwd="/",
        )
        assert completed.returncode == 0, completed.stderr
        return list(csv.reader(io.StringIO(completed.stdout)))

    def reload(self) -> None:
        self.sql("SELECT pg_reload_conf()")

    def edit(self, file: Path, change: Callable[[bytes], bytes]) -> None:
        """Overwrite a file in place, as an editor run by root does."""
        mode = file.stat().st_mode
        file.chmod(0o600)
        file.write_bytes(change(file.read_bytes()))
        file.chmod(mode)

    def files(self) -> dict[str, tuple[bytes, int, int, int]]:
        """Content, mode, owner and group of everything that the server is configured by."""
        machine_files = self.root.glob("etc/postgresql/*/*/postgresql.conf")
        found = [*self.served.iterdir(), self.data / "postgresql.auto.conf", *machine_files]
        return {
            str(path.relative_to(self.root)): (
                path.read_bytes(),
                path.stat().st_mode,
                path.stat().st_uid,
                path.stat().st_gid,
            )
            for path in found
        }

    def catalogue(self) -> dict[str, list[list[str]]]:
        """Roles without their passwords' texts, memberships, databases, grants, and settings of roles."""
        passwords = "SELECT rolname FROM pg_authid WHERE rolpassword IS NOT NULL ORDER BY 1"
        ends = "SELECT rolname, rolvaliduntil FROM pg_roles ORDER BY 1"
        settings = "SELECT setdatabase, setrole::regrole, setconfig FROM pg_db_role_setting ORDER BY 1, 2"
        queries = {**CATALOGUE, "passwords": passwords, "ends": ends, "settings": settings}
        return {name: self.sql(query, database="app") for name, query in queries.items()}

    def report(self) -> Report:
        """What the machine says."""
        machine = json.loads((self.root / "etc/passwordless-postgres/machine.json").read_text())
        aws = self.sandbox.context["environment"]
        client = boto3.client(
            "s3",
            endpoint_url=aws["AWS_ENDPOINT_URL"],
            region_name="eu-central-1",
            aws_access_key_id=aws["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=aws["AWS_SECRET_ACCESS_KEY"],
            config=Config(proxies={}, s3={"addressing_style": "path"}),
        )
        body = client.get_object(Bucket=machine["bucket"], Key=machine["reportKey"])["Body"].read()
        return Report.model_validate_json(body)


def nothing(_: Operator) -> None:
    """What is put back needs no tidying."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change by hand.

    Attributes:
        target: What it changes; changes of one target disturb each other.
        make: Makes it.
        told: Whether somebody is told of it.
        tidy: Takes back what is only reported.
    """

    target: str
    make: Callable[[Operator], object]
    told: Callable[[Operator], bool]
    tidy: Callable[[Operator], object] = field(default=nothing)


Kind = Callable[[random.Random], Change]


def reported(*words: str) -> Callable[[Operator], bool]:
    """Whether one item of the machine's report has all these words."""
    return lambda operator: any(
        all(word in f"{item.what} {item.why}" for word in words) for item in operator.report().drift
    )


def served_file(name: str, change: Callable[[bytes], bytes], *, reload: bool) -> Change:
    def make(operator: Operator) -> None:
        operator.edit(operator.served / name, change)
        if reload:
            operator.reload()

    return Change(target=name, make=make, told=reported(name))


def trust_on_top(chance: random.Random) -> Change:
    who = chance.choice(["all", "postgres", "reporting"])
    line = f"host all {who} 127.0.0.{chance.randint(2, 250)}/32 trust\n"
    return served_file("pg_hba.conf", lambda text: line.encode() + text, reload=chance.random() < 0.5)


def trust_at_the_end(chance: random.Random) -> Change:
    line = f"\nhostssl all all 10.{chance.randint(0, 250)}.0.0/16 trust\n"
    return served_file("pg_hba.conf", lambda text: text + line.encode(), reload=chance.random() < 0.5)


def a_map_for_everybody(chance: random.Random) -> Change:
    name = chance.choice(["machine", "other"])
    return served_file(
        "pg_ident.conf",
        lambda text: text + f"\n{name} /^.*$ postgres\n".encode(),
        reload=chance.random() < 0.5,
    )


def a_line_of_settings(chance: random.Random) -> Change:
    line = chance.choice(
        [
            "log_connections = off",
            "ssl_min_protocol_version = 'TLSv1.2'",
            "password_encryption = md5",
            "work_mem =",
        ]
    )
    return served_file(
        "postgresql.conf", lambda text: text + f"\n{line}\n".encode(), reload=chance.random() < 0.5
    )


def an_own_setting_in_the_system(chance: random.Random) -> Change:
    name, value = chance.choice(
        [
            ("ssl_min_protocol_version", "TLSv1.2"),
            ("log_connections", "off"),
            ("hba_file", "/etc/hostname"),
            ("ssl_ciphers", "ALL"),
        ]
    )
    reload = chance.random() < 0.5

    def make(operator: Operator) -> None:
        operator.sql(f"ALTER SYSTEM SET {name} = '{value}'")
        if reload:
            operator.reload()

    return Change(target="postgresql.auto.conf", make=make, told=reported(name))


def somebody_s_setting_in_the_system(chance: random.Random) -> Change:
    name = chance.choice(["deadlock_timeout", "vacuum_cost_limit", "geqo_threshold"])
    return Change(
        target=f"postgresql.auto.conf {name}",
        make=lambda operator: operator.sql(f"ALTER SYSTEM SET {name} = '1234'"),
        told=reported(name),
        tidy=lambda operator: operator.sql(f"ALTER SYSTEM RESET {name}", "SELECT pg_reload_conf()"),
    )


def another_certificate(chance: random.Random) -> Change:
    """Not read by the server until somebody reloads it; the steady client must not notice."""
    name = chance.choice(["server.crt", "client-ca.crt"])
    return served_file(name, lambda text: text[: text.index(b"-----END")] + text, reload=False)


def a_readable_key(chance: random.Random) -> Change:
    mode = chance.choice([0o644, 0o666, 0o777])
    return Change(
        target="server.key",
        make=lambda operator: (operator.served / "server.key").chmod(mode),
        told=reported("server.key"),
    )


def a_file_that_is_gone(chance: random.Random) -> Change:
    name = chance.choice(["pg_ident.conf", "roles.json"])
    return Change(target=name, make=lambda operator: (operator.served / name).unlink(), told=reported(name))


def a_file_too_many(chance: random.Random) -> Change:
    name = f"extra-{chance.randint(1, 9)}.conf"
    return Change(
        target=name, make=lambda operator: (operator.served / name).write_text("x\n"), told=reported(name)
    )


def statement(target: str, words: tuple[str, ...], *statements: str, database: str = "postgres") -> Change:
    return Change(
        target=target,
        make=lambda operator: operator.sql(*statements, database=database),
        told=reported(*words),
    )


def an_attribute(chance: random.Random) -> Change:
    role = chance.choice(ROLES)
    attribute = chance.choice(
        [
            "SUPERUSER",
            "CREATEDB",
            "CREATEROLE",
            "REPLICATION",
            "BYPASSRLS",
            "NOINHERIT",
            "NOLOGIN",
            "VALID UNTIL '2001-01-01'",
            f"CONNECTION LIMIT {chance.randint(100, 200)}",
            "PASSWORD 'drifted'",
        ]
    )
    return statement(f"attributes of {role}", (role,), f"ALTER ROLE {role} {attribute}")


def a_membership(chance: random.Random) -> Change:
    role = chance.choice(ROLES)
    group = chance.choice(["pg_read_all_data", "pg_write_all_data", "pg_monitor", "app_user", "postgres"])
    return statement(f"{role} in {group}", (role, group), f"GRANT {group} TO {role}")


def a_grant_too_many(chance: random.Random) -> Change:
    role = chance.choice([*ROLES, "PUBLIC"])
    what, on = chance.choice(
        [
            ("CREATE", "SCHEMA public"),
            ("TEMPORARY", "DATABASE app"),
            ("CREATE", "DATABASE app"),
        ]
    )
    return statement(f"{what} {on} {role}", ("app",), f"GRANT {what} ON {on} TO {role}", database="app")


def a_grant_that_is_gone(chance: random.Random) -> Change:
    role = chance.choice(ROLES)
    what, on = chance.choice([("CONNECT", "DATABASE app"), ("USAGE", "SCHEMA public")])
    return statement(f"{what} {on} {role}", (role,), f"REVOKE {what} ON {on} FROM {role}", database="app")


def a_default_privilege(chance: random.Random) -> Change:
    role = chance.choice(ROLES)
    verb, to = chance.choice([("GRANT TRUNCATE", "TO"), ("REVOKE SELECT", "FROM")])
    return statement(
        f"default privileges {role}",
        (role,),
        "SET ROLE pgpl_admin",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA public {verb} ON TABLES {to} {role}",
        database="app",
    )


def a_strange_superuser(chance: random.Random) -> Change:
    name = f"stranger_{chance.randint(1, 99)}"
    return Change(
        target=name,
        make=lambda operator: operator.sql(f"CREATE ROLE {name} SUPERUSER LOGIN"),
        told=reported(name),
        tidy=lambda operator: operator.sql(f"DROP ROLE {name}"),
    )


def a_setting_of_a_role(chance: random.Random) -> Change:
    role = chance.choice(ROLES)
    return Change(
        target=f"settings of {role}",
        make=lambda operator: operator.sql(f"ALTER ROLE {role} SET work_mem = '5MB'"),
        told=reported(role, "work_mem"),
        tidy=lambda operator: operator.sql(f"ALTER ROLE {role} RESET ALL"),
    )


def a_document_of_the_gateway(chance: random.Random) -> Change:
    """Not put back before the next change of the stack: who may write it has the deployer's rights."""
    stranger = AllowedIdentity(kind="uri", value="spiffe://sandbox.passwordless/stranger", role="app_user")
    opens = chance.random() < 0.5

    def serial(operator: Operator) -> int:
        return operator.gateway.document.serial + operator.written_documents

    def make(operator: Operator) -> None:
        operator.written_documents += 1
        deployed = operator.gateway.document
        changed = {"identities": (*deployed.identities, stranger)} if opens else {"revocation_lists": ()}
        operator.gateway.write_document(deployed.model_copy(update={"serial": serial(operator), **changed}))

    def told(operator: Operator) -> bool:
        return all(
            f"serves document {serial(operator)} " in each and "NOT the deployed" in each
            for each in operator.gateway.served
        )

    return Change(target="the gateway's document", make=make, told=told)


KINDS = (
    trust_on_top,
    trust_at_the_end,
    a_map_for_everybody,
    a_line_of_settings,
    an_own_setting_in_the_system,
    somebody_s_setting_in_the_system,
    another_certificate,
    a_readable_key,
    a_file_that_is_gone,
    a_file_too_many,
    an_attribute,
    a_membership,
    a_grant_too_many,
    a_grant_that_is_gone,
    a_default_privilege,
    a_strange_superuser,
    a_setting_of_a_role,
)


def batch(chance: random.Random, size: int, kinds: Sequence[Kind]) -> list[Change]:
    """Changes of different targets, in any order."""
    found: dict[str, Change] = {}
    while len(found) < size:
        change = chance.choice(kinds)(chance)
        found.setdefault(change.target, change)
    return list(found.values())


def awaited(deviations: Callable[[], list[str]]) -> list[str]:
    """What still deviates after an interval of the timer; returns as soon as nothing does."""
    waiting = Retrying(
        retry=retry_if_result(bool),
        stop=stop_after_delay(PATIENCE_SECONDS),
        wait=wait_fixed(0.5),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else [],
    )
    return waiting(deviations)


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Names of what is not as before, with both values."""
    return [
        f"{name}: {after.get(name)}, not {before.get(name)}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def drift(sandbox: RunningSandbox, *, kinds: Sequence[Kind], batches: int, size: int, seed: int) -> None:
    operator = Operator(sandbox=sandbox)
    chance = random.Random(seed)  # noqa: S311
    files, catalogue = operator.files(), operator.catalogue()
    with SteadyClient(sandbox) as client:
        for number in range(batches):
            changes = batch(chance, size, kinds)
            for change in changes:
                change.make(operator)
            where = f"seed {seed}, batch {number}"
            untold = awaited(
                lambda: [each.target for each in changes if not each.told(operator)]  # noqa: B023
            )
            assert not untold, f"{where}: {untold} are not told in {operator.report().drift}"
            for change in changes:
                change.tidy(operator)
            kept = awaited(
                lambda: [
                    *differences(files, operator.files()),
                    *differences(catalogue, operator.catalogue()),
                ]
            )
            assert not kept, f"{where}: {kept}"
    assert client.failures == []
    assert client.logins > 0


def test_twelve_changes_by_hand_are_put_back_or_told(changing_sandbox: RunningSandbox) -> None:
    drift(changing_sandbox, kinds=KINDS, batches=1, size=12, seed=SEED)


@pytest.mark.long
def test_two_hundred_random_changes_by_hand_are_put_back_or_told(whole_sandbox: RunningSandbox) -> None:
    kinds = (*KINDS, a_document_of_the_gateway)
    drift(whole_sandbox, kinds=kinds, batches=20, size=10, seed=time.time_ns())
    # A document with a higher serial replaces what was written by hand.
    for role in ("reporting", "app_user"):
        whole_sandbox.edit(lambda section: section["clients"]["billing"].update(role=role), "gateway")  # noqa: B023
        whole_sandbox.deployed()
    RunningGateway(sandbox=whole_sandbox).until_served(r"serves document \d+, as deployed")
