"""Command line: `python -m pgpasswordless show|token|verify`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pgpasswordless.drivers import Driver
from pgpasswordless.errors import PgpasswordlessError, StackError
from pgpasswordless.libpq import Tunnel
from pgpasswordless.login import token_source
from pgpasswordless.show import as_text, client_as_text, show, show_client
from pgpasswordless.stack import Stack, load
from pgpasswordless.tokens import TokenSource
from pgpasswordless.verify import RULE_DEADLINE_SECONDS, verify
from pgpasswordless.verify.table import PLAIN_WIDTH, print_verification

app = typer.Typer(
    name="pgpasswordless",
    help="Connect to PostgreSQL without passwords: settings per driver, tokens, and proof that they work.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

StackOption = Annotated[str | None, typer.Option("--stack", "-s", help="Name of the stack.", metavar="NAME")]
ConnectionsOption = Annotated[
    str | None,
    typer.Option(
        "--connections",
        help="Connections document to read instead of the stack's: a file, or the stack's output "
        "connectionsAddress, s3://BUCKET/KEY.",
        metavar="DOCUMENT",
    ),
]
AccountOption = Annotated[
    str | None,
    typer.Option(
        "--account", help="AWS account of that bucket, if it is not the caller's own.", metavar="NUMBER"
    ),
]
ParameterOption = Annotated[
    str | None, typer.Option("--parameter", help="No longer read; the error says what is.", hidden=True)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command("show")
def show_command(
    *,
    database: Annotated[
        str | None, typer.Option("--database", "-d", help="Database of the stack.", metavar="NAME")
    ] = None,
    role: Annotated[str | None, typer.Option("--role", "-r", help="Database role.", metavar="NAME")] = None,
    client: Annotated[
        str | None,
        typer.Option("--client", "-c", help="Client of the gateway, instead of a role.", metavar="NAME"),
    ] = None,
    stack: StackOption = None,
    driver: Annotated[Driver | None, typer.Option("--driver", help="Print the settings of a driver.")] = None,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--directory",
            help="Directory for the role's files; .pgpasswordless/STACK/DATABASE/ROLE by default.",
            metavar="DIRECTORY",
        ),
    ] = None,
    hostaddr: Annotated[
        str | None,
        typer.Option(
            "--hostaddr",
            help="IP address of a tunnel's near end, such as 127.0.0.1; name and token stay the server's.",
            metavar="ADDRESS",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", help="With --hostaddr: port of the tunnel's near end.", metavar="NUMBER"),
    ] = None,
    connections: ConnectionsOption = None,
    account: AccountOption = None,
    parameter: ParameterOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put the files of a role or client in place, and print how it connects."""
    with _expected_errors():
        if client is not None:
            if database or role or driver or hostaddr or port:
                raise StackError(
                    "--client is for the gateway, without --database, --role, --driver, --hostaddr and --port"
                )
            found = show_client(_load(stack, connections, account, parameter), client, directory)
            typer.echo(found.model_dump_json(by_alias=True, indent=2) if as_json else client_as_text(found))
            return
        if not database or not role:
            raise StackError("give --database and --role, or --client of the gateway")
        shown = show(
            _load(stack, connections, account, parameter),
            database=database,
            role=role,
            driver=driver,
            directory=directory,
            tunnel=_tunnel(hostaddr, port),
        )
        typer.echo(shown.model_dump_json(by_alias=True, indent=2) if as_json else as_text(shown))


@app.command("token")
def token_command(
    *,
    database: Annotated[
        str | None, typer.Option("--database", "-d", help="Database of the stack.", metavar="NAME")
    ] = None,
    role: Annotated[str | None, typer.Option("--role", "-r", help="Database role.", metavar="NAME")] = None,
    stack: StackOption = None,
    connections: ConnectionsOption = None,
    account: AccountOption = None,
    parameter: ParameterOption = None,
    host: Annotated[
        str | None,
        typer.Option("--host", help="The endpoint's own name, without a stack.", metavar="NAME"),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", help="With --host: the endpoint's, not a tunnel's.", metavar="NUMBER")
    ] = 5432,
    user: Annotated[str | None, typer.Option("--user", help="With --host.", metavar="NAME")] = None,
    region: Annotated[str | None, typer.Option("--region", help="With --host.", metavar="NAME")] = None,
) -> None:
    """Print a login token for RDS, valid for 15 minutes, and nothing else."""
    with _expected_errors():
        if host is not None:
            if not user:
                raise StackError("--host needs --user: a token is for one database role")
            if stack or connections or account or parameter or database or role:
                raise StackError("--host is for a login without a stack; give one or the other")
            source = TokenSource(host=host, port=port, user=user, region=region)
        else:
            if not database or not role:
                raise StackError("give --database and --role of a stack, or --host and --user")
            source = token_source(_load(stack, connections, account, parameter), database, role)
        typer.echo(source())


@app.command("verify")
def verify_command(
    *,
    stack: StackOption = None,
    database: Annotated[
        list[str] | None,
        typer.Option(
            "--database", "-d", help="Only this database, or gateway; may be repeated.", metavar="NAME"
        ),
    ] = None,
    require_rule: Annotated[
        bool,
        typer.Option("--require-rule", help="Fail when the server's log does not show the rule used."),
    ] = False,
    rule_deadline: Annotated[
        float, typer.Option("--rule-deadline", min=0, help="Seconds to wait for the server's log.")
    ] = RULE_DEADLINE_SECONDS,
    connections: ConnectionsOption = None,
    account: AccountOption = None,
    parameter: ParameterOption = None,
    as_json: JsonOption = False,
) -> None:
    """Log in as every role, try what must be refused, and print what was seen.

    Exit status 1 when a check fails.
    """
    with _expected_errors():
        verification = verify(
            _load(stack, connections, account, parameter),
            databases=database or (),
            require_rule=require_rule,
            rule_deadline_seconds=rule_deadline,
        )
        if as_json:
            typer.echo(verification.model_dump_json(by_alias=True, indent=2))
        else:
            print_verification(verification, _console())
    if not verification.passed:
        raise typer.Exit(1)


def _load(stack: str | None, connections: str | None, account: str | None, parameter: str | None) -> Stack:
    return load(stack, connections=connections, account=account, parameter=parameter)


def _tunnel(hostaddr: str | None, port: int | None) -> Tunnel | None:
    if hostaddr is None and port is None:
        return None
    try:
        ip_address(hostaddr or "")
    except ValueError:
        raise StackError(
            f"--hostaddr {hostaddr or ''!r} is not an IP address; libpq takes one there, such as 127.0.0.1,"
            " with --port of the tunnel's near end"
        ) from None
    if port is None or not 0 < port < 65536:
        raise StackError("--hostaddr needs --port of the tunnel's near end, 1 to 65535")
    return Tunnel(hostaddr=str(hostaddr), port=port)


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PLAIN_WIDTH)


@contextmanager
def _expected_errors() -> Iterator[None]:
    try:
        yield
    except PgpasswordlessError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


def main() -> None:
    """Run the command line."""
    app(prog_name="python -m pgpasswordless" if sys.argv[0].endswith("__main__.py") else None)


if __name__ == "__main__":
    main()
