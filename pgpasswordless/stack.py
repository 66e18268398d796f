"""A stack: its connections document, and the place that the document is read from."""

from __future__ import annotations

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

from documents.document import ObjectAddress
from pgpasswordless.aws import Aws, reason
from pgpasswordless.connections import Connections, Database, RoleConnection
from pgpasswordless.directories import FOLDER, context_file
from pgpasswordless.errors import StackError, UnknownNameError
from pgpasswordless.own_files import ForeignFileError, read_own_file

CONTEXTS_VARIABLE = "PGPASSWORDLESS_CONTEXTS"
PULUMI_TIMEOUT_SECONDS = 120
_S3 = "s3://"


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
    stack: str | None = None,
    *,
    connections: Path | str | None = None,
    account: str | None = None,
    parameter: str | None = None,
) -> Stack:
    """Load a stack's connections document.

    It is read from exactly one place:

    1. `connections`, when given: a file, or the address `s3://BUCKET/KEY` at which the stack publishes its
       document (its output `connectionsAddress`);
    2. the stack context `$PGPASSWORDLESS_CONTEXTS/<stack>.json` or
       `./.pgpasswordless/<stack>.json`, when there is one; it and the document that it names are read
       only if nobody but this user and root can have written them;
    3. `pulumi stack output connections --json --stack <stack>`.

    Args:
        stack: name of the stack; with `connections`, None takes the document's own.
        connections: path or address of a connections document. An address is read with boto3's default
            credentials, or those of the stack context.
        account: AWS account that the bucket of an address must belong to; by default the caller's own, which
            AWS STS is asked for. An application without a way to STS, or in another account, names it.
        parameter: no longer read: who can write an SSM parameter would choose the database.

    Raises:
        StackError: there is no document, it is not valid, or others can have written the stack context.
    """
    if parameter is not None:
        raise StackError(
            f"SSM parameter {parameter} is not read: whoever may write a parameter would choose the database"
            " and whom to trust. Give the document's address instead, the stack's output connectionsAddress:"
            " --connections s3://BUCKET/connections.json, in Python load(connections=…)"
        )
    context, context_path = _find_context(stack) if stack is not None else (None, None)
    aws = Aws(context.environment if context else {})
    address = _address(connections)
    if account is not None and address is None:
        raise StackError("an AWS account is given, but no address s3://BUCKET/KEY as connections document")
    if address is not None:
        where = f"connections document {connections}"
        document = _parse(_published(aws, address, account, where), where)
    elif connections is not None:
        where = f"connections file {connections}"
        document = _parse(_read(Path(connections), where), where)
    elif stack is None:
        raise StackError("neither a stack nor a connections document is given; give one of them")
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
        reference=_reference(stack, connections, account),
        contexts=context_path.parent if context_path else None,
    )


def _address(connections: Path | str | None) -> ObjectAddress | None:
    """Bucket and key of `s3://BUCKET/KEY`; None for a path.

    Raises:
        StackError: it is an address that names no object.
    """
    if not isinstance(connections, str) or not connections.startswith(_S3):
        return None
    bucket, _, key = connections.removeprefix(_S3).partition("/")
    if not bucket or not key:
        raise StackError(f"{connections!r} is not the address of an object; it is s3://BUCKET/KEY")
    return ObjectAddress(bucket=bucket, key=key)


def _reference(stack: str | None, connections: Path | str | None, account: str | None) -> tuple[str, ...]:
    if connections is not None and _address(connections) is None:
        connections = Path(connections).absolute()
    options = {"--stack": stack, "--connections": connections, "--account": account}
    return tuple(part for name, value in options.items() if value is not None for part in (name, str(value)))


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


def _published(aws: Aws, address: ObjectAddress, account: str | None, where: str) -> str:
    try:
        answer = aws.objects().get_object(
            Bucket=address.bucket,
            Key=address.key,
            # The name of a bucket that was deleted is anybody's.
            ExpectedBucketOwner=account or aws.account(),
        )
        return answer["Body"].read().decode("utf-8", errors="replace")
    except (BotoCoreError, ClientError) as error:
        raise StackError(
            f"cannot read the {where}, in a bucket of {account or 'the own account'}: {reason(error)}"
        ) from None


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
