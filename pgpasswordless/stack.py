"""A stack: its connections document, and the place that the document is read from."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ConfigDict, ValidationError

from documents.document import ObjectPointer
from pgpasswordless.aws import Aws, account_of, reason
from pgpasswordless.connections import Connections, Database, RoleConnection
from pgpasswordless.directories import FOLDER, context_file
from pgpasswordless.errors import StackError, UnknownNameError
from pgpasswordless.own_files import ForeignFileError, read_own_file

CONTEXTS_VARIABLE = "PGPASSWORDLESS_CONTEXTS"
PULUMI_TIMEOUT_SECONDS = 120


class Context(BaseModel):
    """A stack context: a file that says where a stack's document is and how its AWS is reached.

    `connections` is relative to the folder of the context file. `environment` holds AWS variables
    (credentials among them), `psql` the path of a psql to print instead of the one on PATH.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    connections: Path
    environment: dict[str, str] = {}
    psql: str | None = None


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A stack's connections document, and how its AWS is reached.

    Attributes:
        name: name of the stack.
        connections: the document.
        aws: clients with the stack's credentials and endpoint.
        psql: path of a psql program, None for the one on PATH.
        reference: command line options that find the same document again.
        contexts: folder of the stack context, None without one.
    """

    name: str
    connections: Connections
    aws: Aws = field(default_factory=lambda: Aws({}), repr=False)
    psql: str | None = None
    reference: tuple[str, ...] = ()
    contexts: Path | None = None

    def database(self, name: str) -> Database:
        """The database called `name`.

        Raises:
            UnknownNameError: the document has none of that name.
        """
        if name not in self.connections.databases:
            raise UnknownNameError(
                f"stack {self.name!r} has no database {name!r}; it has: {_names(self.connections.databases)}"
            )
        return self.connections.databases[name]

    def role(self, database: str, role: str) -> RoleConnection:
        """How `role` logs in to `database`.

        Raises:
            UnknownNameError: the document has no such database, or the database no such role.
        """
        return self.database_role(database, role).connection

    def database_role(self, database: str, role: str) -> DatabaseRole:
        """The role called `role` on the database called `database`.

        Raises:
            UnknownNameError: the document has no such database, or the database no such role.
        """
        server = self.database(database)
        if role not in server.roles:
            raise UnknownNameError(
                f"database {database!r} of stack {self.name!r} has no role {role!r};"
                f" it has: {_names(server.roles)}"
            )
        return DatabaseRole(
            stack=self, database=database, name=role, server=server, connection=server.roles[role]
        )


@dataclass(frozen=True, kw_only=True)
class DatabaseRole:
    """A role on one of a stack's databases, looked up once and passed on.

    Attributes:
        stack: the stack.
        database: name of the database in the connections document.
        name: name of the role.
        server: what the document says of the database.
        connection: what the document says of the role.
    """

    stack: Stack
    database: str
    name: str
    server: Database
    connection: RoleConnection


def load(
    stack: str | None = None, *, connections: Path | str | None = None, parameter: str | None = None
) -> Stack:
    """Load a stack's connections document.

    It is read from exactly one place:

    1. `connections`, a file, when given;
    2. `parameter`, the SSM parameter in which the stack publishes its document
       (`/passwordless-postgres/<stack>/connections`), when given;
    3. the stack context `$PGPASSWORDLESS_CONTEXTS/<stack>.json` or
       `./.pgpasswordless/<stack>.json`, when there is one; it and the document that it names are read
       only if nobody but this user and root can have written them;
    4. `pulumi stack output connections --json --stack <stack>`.

    Args:
        stack: name of the stack; with `connections` or `parameter`, None takes the document's own.
        connections: path of a connections document.
        parameter: name of an SSM parameter, read with boto3's default credentials.

    Raises:
        StackError: there is no document, it is not valid, or others can have written the stack context.
    """
    if connections is not None and parameter is not None:
        raise StackError("a connections file and an SSM parameter are both given; give one of them")
    context, context_path = _find_context(stack) if stack is not None else (None, None)
    aws = Aws(context.environment if context else {})
    if connections is not None:
        where = f"connections file {connections}"
        document = _parse(_read(Path(connections), where), where)
    elif parameter is not None:
        where = f"SSM parameter {parameter}"
        document = _parse(_published(aws, parameter), where)
    elif stack is None:
        raise StackError(
            "neither a stack, a connections file nor an SSM parameter is given; give one of them"
        )
    elif context is not None and context_path is not None:
        path = context_path.parent / context.connections
        where = f"connections document {path}, named by the stack context {context_path}"
        document = _parse(_read(path, where, read_own_file), where)
    else:
        where = f"output connections of Pulumi stack {stack}"
        document = _parse(_stack_output(stack), where)
    return Stack(
        name=stack or document.stack,
        connections=document,
        aws=aws,
        psql=context.psql if context else None,
        reference=_reference(stack, connections, parameter),
        contexts=context_path.parent if context_path else None,
    )


def _reference(stack: str | None, connections: Path | str | None, parameter: str | None) -> tuple[str, ...]:
    options = {
        "--stack": stack,
        "--connections": str(Path(connections).absolute()) if connections is not None else None,
        "--parameter": parameter,
    }
    return tuple(part for name, value in options.items() if value is not None for part in (name, value))


def _find_context(stack: str) -> tuple[Context | None, Path | None]:
    folders = [Path.cwd() / FOLDER]
    if os.environ.get(CONTEXTS_VARIABLE):
        folders.insert(0, Path(os.environ[CONTEXTS_VARIABLE]))
    for folder in folders:
        path = context_file(stack, folder)
        if path.is_file():
            try:
                text = _read(path, f"stack context {path}", read_own_file)
                return Context.model_validate_json(text), path
            except ValidationError as error:
                raise StackError(_problems(f"stack context {path}", error)) from None
    return None, None


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _read(path: Path, where: str, read: Callable[[Path], str] = _text) -> str:
    try:
        return read(path)
    except ForeignFileError as error:
        raise StackError(f"the {where} is not read: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        detail = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise StackError(f"cannot read the {where}: {detail}; deploy the stack or correct the path") from None


def _parse(text: str, where: str) -> Connections:
    try:
        return Connections.model_validate_json(text)
    except ValidationError as error:
        raise StackError(_problems(where, error)) from None


def _problems(where: str, error: ValidationError) -> str:
    # The message of each problem, never its input: a context contains credentials.
    problems = [
        f"  {'.'.join(str(part) for part in problem['loc']) or 'document'}: {problem['msg']}"
        for problem in error.errors(include_input=False, include_url=False, include_context=False)
    ]
    return "\n".join([f"{where} is not valid:", *problems])


def _published(aws: Aws, parameter: str) -> str:
    try:
        found = aws.parameters().get_parameter(Name=parameter)["Parameter"]
        pointer = ObjectPointer.model_validate_json(found.get("Value", ""))
        answer = aws.objects().get_object(
            Bucket=pointer.bucket,
            Key=pointer.key,
            VersionId=pointer.version,
            ExpectedBucketOwner=account_of(found),
        )
        body = answer["Body"].read()
    except ValidationError as error:
        raise StackError(_problems(f"SSM parameter {parameter}", error)) from None
    except (BotoCoreError, ClientError) as error:
        raise StackError(f"cannot read the document of SSM parameter {parameter}: {reason(error)}") from None
    sha256 = hashlib.sha256(body).hexdigest()
    if sha256 != pointer.sha256:
        raise StackError(
            f"s3://{pointer.bucket}/{pointer.key} has the SHA-256 {sha256}, and SSM parameter {parameter}"
            f" says {pointer.sha256}: the object is not the one that the stack published; deploy the stack"
            " again"
        )
    return body.decode("utf-8", errors="replace")


def _stack_output(stack: str) -> str:
    program = shutil.which("pulumi")
    if program is None:
        raise StackError(
            f"stack {stack!r} has no stack context ({FOLDER}/{stack}.json here or in ${CONTEXTS_VARIABLE}),"
            " and there is no pulumi on PATH to ask; deploy the stack, or give its document by --connections"
        )
    command = [program, "stack", "output", "connections", "--json", "--stack", stack, "--non-interactive"]
    try:
        result = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=PULUMI_TIMEOUT_SECONDS,
            env=os.environ | {"PULUMI_SKIP_UPDATE_CHECK": "1"},
        )
    except subprocess.TimeoutExpired:
        raise StackError(
            f"`pulumi stack output connections --stack {stack}` gave no answer in {PULUMI_TIMEOUT_SECONDS} s"
        ) from None
    if result.returncode != 0:
        said = " ".join(result.stderr.split()) or f"exit status {result.returncode}"
        raise StackError(
            f"`pulumi stack output connections --stack {stack}` failed: {said}; run it where the project is,"
            " or give the document by --connections"
        )
    try:
        json.loads(result.stdout)
    except ValueError:
        raise StackError(f"output connections of Pulumi stack {stack} is not JSON") from None
    return result.stdout


def _names(names: Any) -> str:
    return ", ".join(sorted(names)) or "none"
