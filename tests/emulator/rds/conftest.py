"""A loopback AWS with RDS instances of real PostgreSQL, one per module and release."""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest
from botocore.config import Config

from emulator.core.ports import port_is_free
from emulator.endpoint.aws_endpoint import AwsEndpoint
from emulator.endpoint.credentials import AccessKey
from emulator.postgresql_server.server_user import server_user
from emulator.rds.api import SERVICE, answer
from emulator.rds.databases import Databases
from emulator.rds.model import Instance
from emulator.rds.parameter_state import booted
from postgres.rds_parameters import Parameter, required_parameters

REGION = "eu-central-1"
MASTER = "pgpl_master"
# Everything that RDS draws from, above all what breaks quoting.
PASSWORD = "It's_{a}$`very\\long;password'--"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)


@cache
def _session() -> boto3.session.Session:
    return boto3.session.Session()


def free_port() -> int:
    """Below those that outgoing connections take."""
    return next(
        port for port in iter(lambda: secrets.choice(range(20_000, 32_000)), None) if port_is_free(port)
    )


def eventually(holds: Callable[[], Any]) -> Any:
    """What `holds` returns as soon as it is true."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if found := holds():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen within a minute")


class Cloud:
    """What the tests act on."""

    def __init__(self, binaries: Callable[[int], Path], authentication_seconds: float = 60.0) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="rds-"))
        self.folder.chmod(0o711)
        self._binaries = {major: binaries(major) for major in (15, 16, 17, 18)}
        self._authentication_seconds = authentication_seconds
        self.aws = AwsEndpoint(self.folder)
        self.aws.start()
        self.databases = self.new_databases()
        self.databases.start()

    def new_databases(self) -> Databases:
        user = server_user()
        found = Databases(
            self.folder,
            self.aws,
            self._binaries,
            user.name if user.switched else None,
            self._authentication_seconds,
        )
        self.aws.serve(SERVICE, partial(answer, found))
        return found

    def close(self) -> None:
        self.databases.stop_all()
        self.aws.stop()
        shutil.rmtree(self.folder)

    def restart(self) -> None:
        """The resident process hands over to a new one."""
        self.databases.stop()
        self.databases = self.new_databases()
        self.databases.start()

    def instance(self, major: int = 17, protocol: str = "TLSv1.3", **more: Any) -> Instance:
        """A new instance of the same parameters that the program gives it."""
        identifier = more.pop("identifier", f"db-{major}")
        wanted = Instance.declared(
            {},
            identifier=identifier,
            resource_id=f"db-{identifier.upper().replace('-', ''):A<26}",
            region=REGION,
            major=major,
            port=more.pop("port", None) or free_port(),
            master=MASTER,
            database=None,
            iam_authentication=True,
            ca_identifier="rds-ca-ecc384-g1",
            log_exports=("iam-db-auth-error",),
            parameters=booted(f"group-{identifier}", required_parameters(major, protocol)),
        )
        wanted = wanted.changed(**more)
        self.databases.create(wanted, PASSWORD)
        return self.databases.named(identifier)

    def set_parameters(self, identifier: str, *parameters: Parameter) -> None:
        """The instance's parameter group says this now, and what it said of other parameters."""
        state = self.databases.named(identifier).parameters
        merged = {item.name: item for item in (*state.wanted, *parameters)}
        self.databases.change_group(state.group, list(merged.values()))

    def rebooted(self, identifier: str) -> Instance:
        """Reboots over the API, and waits."""
        self.aws.client("rds").reboot_db_instance(DBInstanceIdentifier=identifier)
        eventually(lambda: self.databases.named(identifier).status == "available")
        return self.databases.named(identifier)

    def arguments(self, instance: Instance, **more: Any) -> dict[str, Any]:
        return {
            "host": "localhost",
            "port": instance.port,
            "dbname": "postgres",
            "sslmode": "verify-full",
            "sslrootcert": str(self.databases.bundle),
            "gssencmode": "disable",
            "connect_timeout": 20,
            "autocommit": True,
            **more,
        }

    def master(self, instance: Instance, **more: Any) -> psycopg.Connection[Any]:
        return psycopg.connect(**self.arguments(instance, user=MASTER, password=PASSWORD, **more))

    def login(
        self, instance: Instance, user: str = "app", key: AccessKey | None = None, **more: Any
    ) -> psycopg.Connection[Any]:
        if "password" not in more:
            more["password"] = self.token(instance, user, key)
        return psycopg.connect(**self.arguments(instance, user=user, **more))

    def refused(self, instance: Instance, user: str = "app", **more: Any) -> str:
        with pytest.raises(psycopg.OperationalError) as refusal:
            self.login(instance, user, **more)
        return str(refusal.value)

    def token(
        self,
        instance: Instance,
        user: str = "app",
        key: AccessKey | None = None,
        *,
        host: str = "localhost",
        port: int | None = None,
        region: str = REGION,
    ) -> str:
        key = key or self.aws.operator
        client = _session().client(
            "rds",
            region_name=region,
            aws_access_key_id=key.access_key_id,
            aws_secret_access_key=key.secret_access_key,
            aws_session_token=key.session_token,
            config=Config(proxies={}),
        )
        return client.generate_db_auth_token(DBHostname=host, Port=port or instance.port, DBUsername=user)

    def role(self, name: str, *statements: Mapping[str, Any]) -> AccessKey:
        """A session of a new IAM role."""
        iam = self.aws.client("iam")
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        if statements:
            document = {"Version": "2012-10-17", "Statement": list(statements)}
            iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(document))
        found = self.aws.client("sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
        return AccessKey(
            access_key_id=found["AccessKeyId"],
            secret_access_key=found["SecretAccessKey"],
            session_token=found["SessionToken"],
        )

    def login_log(self, instance: Instance) -> str:
        path = self.folder / "rds" / instance.identifier / "iam-db-auth-error.log"
        return path.read_text() if path.exists() else ""

    def server_log(self, instance: Instance) -> str:
        folder = self.folder / "rds" / instance.identifier / "server" / "log"
        return "".join(path.read_text() for path in sorted(folder.glob("postgresql-*.log")))


def connect_arn(instance: Instance, user: str = "app") -> str:
    return f"arn:aws:rds-db:{REGION}:123456789012:dbuser:{instance.resource_id}/{user}"


def with_application(cloud: Cloud, instance: Instance) -> Instance:
    """The instance with a role `app` that logs in by token."""
    with cloud.master(instance) as connection:
        connection.execute("CREATE ROLE app LOGIN")
        connection.execute("GRANT rds_iam TO app")
    return instance


@pytest.fixture(scope="module")
def cloud(postgresql_binaries: Callable[[int], Path]) -> Iterator[Cloud]:
    running = Cloud(postgresql_binaries)
    yield running
    running.close()


@pytest.fixture(scope="module")
def database(cloud: Cloud) -> Instance:
    """An instance of PostgreSQL 17 with a role `app` that logs in by token."""
    return with_application(cloud, cloud.instance())
