"""A running endpoint with functions, and roles for them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from emulator.endpoint.aws_endpoint import AwsEndpoint
from emulator.lambda_.api import SERVICE, answer
from emulator.lambda_.model import Function, LoggingConfig
from emulator.lambda_.service import Functions, code_sha256

ACCOUNT = "123456789012"


def zipped(**sources: str) -> bytes:
    """An artifact; module names with `__` for folders."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as files:
        for name, text in sources.items():
            files.writestr(f"{name.replace('__', '/')}.py", text)
    return content.getvalue()


class Lambda:
    """What the tests act on."""

    def __init__(self, folder: Path, endpoint: AwsEndpoint) -> None:
        self.folder = folder
        self.endpoint = endpoint
        self.functions = Functions(folder, endpoint)
        endpoint.serve(SERVICE, partial(answer, self.functions))

    def role(self, name: str, *statements: dict[str, Any], service: str = "lambda.amazonaws.com") -> str:
        trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        iam = self.endpoint.client("iam")
        arn = iam.create_role(
            RoleName=name,
            AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        )["Role"]["Arn"]
        if statements:
            document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
            iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document)
        return arn

    def arn(self, role: str) -> str:
        return self.endpoint.client("iam").get_role(RoleName=role)["Role"]["Arn"]

    def put(
        self, source: str, *statements: dict[str, Any], name: str = "task", timeout: int = 20, **more: Any
    ) -> None:
        artifact = zipped(handler=source, **more.pop("more", {}))
        values: dict[str, Any] = {
            "name": name,
            "region": "eu-central-1",
            "arn": f"arn:aws:lambda:eu-central-1:{ACCOUNT}:function:{name}",
            "role": more.pop("role", None) or self.role(f"{name}-role", *statements),
            "handler": "handler.handle",
            "timeout": timeout,
            "memory_size": 128,
            "logging_config": LoggingConfig(log_group=more.pop("log_group", f"/aws/lambda/{name}")),
            "code_sha256": code_sha256(artifact),
            **more,
        }
        self.functions.put(Function(**values), artifact)

    def invoke(self, event: Any = None, name: str = "task", key: Any = None) -> tuple[Any, bool]:
        """The answer, and whether the function failed."""
        client = self.endpoint.client("lambda", key=key)
        answer = client.invoke(FunctionName=name, Payload=json.dumps(event).encode())
        return json.loads(answer["Payload"].read()), "FunctionError" in answer


@pytest.fixture
def aws_lambda(tmp_path: Path) -> Iterator[Lambda]:
    """Lambda on a running endpoint."""
    with AwsEndpoint(tmp_path) as endpoint:
        running = Lambda(tmp_path, endpoint)
        yield running
        running.functions.stop()
