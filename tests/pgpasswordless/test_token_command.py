"""The shell command that prints a token, as other commands and snippets contain it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pgpasswordless.connections import Connections
from pgpasswordless.login import source_of, token_command
from pgpasswordless.reference import TOKEN_EXAMPLE
from pgpasswordless.stack import Stack


@pytest.fixture
def stack() -> Callable[..., Stack]:
    document = Connections.model_validate(
        {
            "schemaVersion": 1,
            "stack": "prod",
            "databases": {
                "rds": {
                    "host": TOKEN_EXAMPLE.host,
                    "port": 5432,
                    "database": "app",
                    "serverCa": {
                        "pem": "",
                        "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                    },
                    "minimumProtocol": "TLSv1.2",
                    "authentication": "iam",
                    "region": "eu-central-1",
                    "roles": {"it's me": {"database": "app", "connectArn": "arn:aws:rds-db:x"}},
                }
            },
        }
    )

    def made(**options: object) -> Stack:
        return Stack(name="prod", connections=document, **options)  # type: ignore[arg-type]

    return made


def command(stack: Stack) -> str:
    role = stack.database_role("rds", "it's me")
    return token_command(role, source_of(role))


def words(stack: Stack) -> list[str]:
    return [word for word in shlex.split(command(stack)) if "=" not in word]


def test_the_token_command_names_the_stack_by_its_context(
    stack: Callable[..., Stack], tmp_path: Path
) -> None:
    found = stack(reference=("--stack", "prod"), contexts=tmp_path / "a folder")
    assert words(found) == [
        *(sys.executable, "-m", "pgpasswordless", "token", "--stack", "prod"),
        *("--database", "rds", "--role", "it's me"),
    ]
    assert f"PGPASSWORDLESS_CONTEXTS='{tmp_path}/a folder'" in command(found)


def test_what_only_pulumi_knows_is_named_by_its_address(stack: Callable[..., Stack]) -> None:
    assert words(stack(reference=("--stack", "prod")))[4:] == [
        *("--host", TOKEN_EXAMPLE.host, "--port", "5432", "--user", "it's me", "--region", "eu-central-1"),
    ]


def test_a_published_document_is_asked_for_again(stack: Callable[..., Stack]) -> None:
    published = ("--connections", "s3://documents/connections.json", "--account", "123456789012")
    assert words(stack(reference=published))[4:8] == list(published)
