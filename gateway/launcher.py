"""Fetches the gateway that the machine's file names. Part of user-data, so it is small.

It runs as root before each start of the service, and does nothing where the program is there already. A
Debian image has Python and no SDK of AWS, so the one request is signed here (Signature Version 4), with
the credentials that the instance's metadata service gives out.
"""

import datetime
import hashlib
import hmac
import http
import http.client
import io
import json
import os
import shutil
import sys
import tempfile
import urllib.parse
import zipfile
from pathlib import Path

MACHINE = Path(os.environ.get("GATEWAY_MACHINE_FILE", "/etc/passwordless-postgres-gateway/machine.json"))
PROGRAMS = Path(os.environ.get("GATEWAY_PROGRAMS", "/opt/passwordless-postgres-gateway"))
METADATA = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254").rstrip("/")
STORE = os.environ.get("AWS_ENDPOINT_URL_S3", "").rstrip("/")
EMPTY = hashlib.sha256(b"").hexdigest()


class LauncherError(Exception):
    """The program cannot be had; the text says why."""


def ask(method: str, url: str, headers: dict[str, str], seconds: float) -> bytes:
    """The answer to a request without a body; redirects and proxies are nobody's business here."""
    parts = urllib.parse.urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    where = f"{parts.scheme}://{parts.netloc}{parts.path}"
    try:
        connection = kind(parts.netloc, timeout=seconds)
        connection.request(
            method, f"{parts.path}?{parts.query}" if parts.query else parts.path, headers=headers
        )
        answer = connection.getresponse()
        data = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise LauncherError(f"{where}: {type(error).__name__}: {error}") from error
    if answer.status != http.HTTPStatus.OK:
        raise LauncherError(f"{where} answers {answer.status} {answer.reason}")
    return data


def credentials() -> dict[str, str]:
    """Credentials of the instance's role, by IMDSv2."""
    ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    token = ask("PUT", f"{METADATA}/latest/api/token", ttl, 5).decode()
    headers = {"X-aws-ec2-metadata-token": token}
    path = f"{METADATA}/latest/meta-data/iam/security-credentials/"
    role = ask("GET", path, headers, 5).decode().strip()
    return json.loads(ask("GET", path + role, headers, 5))


def signed(url: str, region: str, identity: dict[str, str], moment: str) -> dict[str, str]:
    """Headers of a GET request to S3, signed for a moment such as 20270131T120000Z."""
    parts = urllib.parse.urlsplit(url)
    headers = {"host": parts.netloc, "x-amz-content-sha256": EMPTY, "x-amz-date": moment,
               "x-amz-security-token": identity["Token"]}  # fmt: skip
    names = ";".join(headers)
    lines = [f"{name}:{value}" for name, value in headers.items()]
    canonical = "\n".join(["GET", parts.path, parts.query, *lines, "", names, EMPTY])
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{identity['SecretAccessKey']}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={identity['AccessKeyId']}/{scope}, SignedHeaders={names}, "
        f"Signature={key.hex()}"
    )
    return headers


def object_url(region: str, bucket: str, key: str, version: str) -> str:
    """Where S3 has one version of an object."""
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    store = f"{STORE}/{bucket}" if STORE else f"https://{bucket}.s3.{region}.{suffix}"
    return f"{store}/{urllib.parse.quote(key)}?versionId={urllib.parse.quote(version, safe='')}"


def fetch(machine: dict) -> bytes:
    """The program's file, verified."""
    artifact = machine["artifact"]
    moment = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    url = object_url(machine["region"], artifact["bucket"], artifact["key"], artifact["version"])
    data = ask("GET", url, signed(url, machine["region"], credentials(), moment), 60)
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != artifact["sha256"]:
        raise LauncherError(f"{artifact['key']} has SHA-256 {sha256}, not {artifact['sha256']}")
    return data


def install(sha256: str, data: bytes) -> None:
    """Unpack the program whole or not at all, and make it the current one."""
    PROGRAMS.mkdir(parents=True, exist_ok=True)
    if data:
        beside = Path(tempfile.mkdtemp(prefix=".new-", dir=PROGRAMS))
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as packed:
                packed.extractall(beside)
            beside.chmod(0o755)
            beside.replace(PROGRAMS / sha256)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    link = PROGRAMS / f".current-{os.getpid()}"
    link.symlink_to(sha256)
    link.replace(PROGRAMS / "current")


def main() -> int:
    """Have the program that the machine's file names; the exit status for systemd."""
    os.umask(0o022)
    try:
        machine = json.loads(MACHINE.read_text())
        sha256 = machine["artifact"]["sha256"]
        install(sha256, b"" if (PROGRAMS / sha256).is_dir() else fetch(machine))
    except (LauncherError, OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        print(f"launcher: no gateway to run: {type(error).__name__}: {error}", file=sys.stderr)
        return 75
    return 0


if __name__ == "__main__":
    sys.exit(main())
