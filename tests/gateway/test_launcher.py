"""The launcher fetches exactly the program that the machine's file names, with the role's credentials."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from artifacts.sources import launcher_sources

ACCOUNT = "123456789012"
IDENTITY = {
    "AccessKeyId": "ASIAEXAMPLE",
    "SecretAccessKey": "a secret key of the role",
    "Token": "a session token+/==",
}


def packed(text: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("gateway/__main__.py", text)
    return file.getvalue()


@dataclass
class World:
    """An instance with its metadata service, its store, and its disk."""

    folder: Path
    url: str = ""
    content: bytes = packed("print('serving')")
    status: int = 200
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def current(self) -> Path:
        return self.folder / "programs" / "current"

    def write(self, **changes: Any) -> None:
        artifact = {"bucket": "program", "key": "gateway.zip", "version": "a+b/c=", "sha256": self.sha256}
        machine = {"region": "eu-central-1", "artifact": {**artifact, **changes}}
        (self.folder / "machine.json").write_text(json.dumps(machine))

    def start(self, *options: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "GATEWAY_MACHINE_FILE": str(self.folder / "machine.json"),
            "GATEWAY_PROGRAMS": str(self.folder / "programs"),
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{self.url}/metadata",
            "AWS_ENDPOINT_URL_S3": self.url,
        }
        return subprocess.run(
            [sys.executable, "-I", *options, str(self.folder / "launcher")],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(folder=tmp_path)
    for name, text in launcher_sources("gateway").items():
        path = tmp_path / "launcher" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.answer(200, b"a metadata token")

        def do_GET(self) -> None:
            if self.path.startswith("/metadata/"):
                if self.headers["X-aws-ec2-metadata-token"] != "a metadata token":
                    self.answer(401, b"")
                elif self.path.endswith("/instance-identity/document"):
                    self.answer(200, json.dumps({"accountId": ACCOUNT}).encode())
                elif self.path.endswith("/security-credentials/"):
                    self.answer(200, b"the-role\n")
                else:
                    self.answer(200, json.dumps(IDENTITY).encode())
                return
            found.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            self.answer(found.status, found.content)

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        found.url = f"http://127.0.0.1:{server.server_port}"
        found.write()
        yield found
        server.shutdown()
        thread.join()


def test_the_program_is_fetched_once_and_is_the_current_one(world: World) -> None:
    assert world.start().returncode == 0
    assert (world.current / "gateway" / "__main__.py").read_text() == "print('serving')"
    assert world.current.resolve().name == world.sha256
    assert world.start().returncode == 0
    assert len(world.asked) == 1


def test_the_request_is_signed_as_botocore_would(world: World) -> None:
    assert world.start().returncode == 0
    path, headers = world.asked[0]
    assert path == "/program/gateway.zip?versionId=a%2Bb%2Fc%3D"
    request = AWSRequest(
        method="GET",
        url=f"{world.url}{path}",
        headers={
            "x-amz-content-sha256": hashlib.sha256(b"").hexdigest(),
            "x-amz-expected-bucket-owner": ACCOUNT,
        },
    )
    request.context["timestamp"] = headers["x-amz-date"]
    request.headers["X-Amz-Date"] = headers["x-amz-date"]
    request.headers["X-Amz-Security-Token"] = IDENTITY["Token"]
    signer = S3SigV4Auth(
        Credentials(IDENTITY["AccessKeyId"], IDENTITY["SecretAccessKey"], IDENTITY["Token"]),
        "s3",
        "eu-central-1",
    )
    text = signer.string_to_sign(request, signer.canonical_request(request))
    assert headers["authorization"].endswith(f"Signature={signer.signature(text, request)}")
    assert headers["x-amz-security-token"] == IDENTITY["Token"]


def test_another_program_replaces_the_current_one_and_leaves_it_on_disk(world: World) -> None:
    assert world.start().returncode == 0
    before = world.sha256
    world.content = packed("print('serving better')")
    world.write()
    assert world.start().returncode == 0
    assert "better" in (world.current / "gateway" / "__main__.py").read_text()
    assert (world.folder / "programs" / before).is_dir()


def test_a_program_with_another_digest_is_not_run(world: World) -> None:
    world.write(sha256="0" * 64)
    ended = world.start()
    assert ended.returncode == 75
    assert f"gateway.zip has SHA-256 {world.sha256}, not {'0' * 64}" in ended.stderr
    assert not world.current.exists()
    assert not (world.folder / "programs").exists()


@pytest.mark.parametrize("status", [403, 404, 301, 500])
def test_a_refusal_of_the_store_is_told_without_credentials(world: World, status: int) -> None:
    world.status = status
    ended = world.start()
    assert ended.returncode == 75
    assert f"/program/gateway.zip answers {status}" in ended.stderr
    assert not any(secret in ended.stderr for secret in IDENTITY.values())


def test_a_file_that_is_no_archive_leaves_nothing_behind(world: World) -> None:
    world.content = b"no archive"
    world.write()
    ended = world.start()
    assert ended.returncode == 75
    assert "BadZipFile" in ended.stderr
    assert list((world.folder / "programs").iterdir()) == []


def test_a_machine_without_its_file_says_so(world: World) -> None:
    (world.folder / "machine.json").unlink()
    ended = world.start()
    assert ended.returncode == 75
    assert "launcher: no gateway to run: FileNotFoundError" in ended.stderr


TRACED = """
import os, pathlib, runpy, sys
events = []
os.sync = lambda: events.append("sync")
renamed = pathlib.Path.replace
def replace(path, target):
    events.append(f"rename to {target.name[:4]}")
    return renamed(path, target)
pathlib.Path.replace = replace
sys.path.insert(0, sys.argv[1])
try:
    runpy.run_path(sys.argv[1], run_name="__main__")
finally:
    print(events)
"""


def test_the_files_are_on_the_disk_before_the_folder_has_its_name(world: World) -> None:
    """918 of 1,070 were empty after a loss of power, and the folder counted as the program for ever."""
    ended = world.start("-c", TRACED)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"{['sync', f'rename to {world.sha256[:4]}', 'rename to curr']}\n"


@pytest.mark.parametrize("left", [".new-", ".new-abc"])
def test_what_an_interrupted_start_left_is_removed(left: str, world: World) -> None:
    unfinished = world.folder / "programs" / left / "gateway"
    unfinished.mkdir(parents=True)
    (unfinished / "__main__.py").touch()
    assert world.start().returncode == 0
    assert sorted(path.name for path in (world.folder / "programs").iterdir()) == sorted(
        [world.sha256, "current"]
    )
