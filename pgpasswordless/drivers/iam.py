"""The settings of each driver for RDS with IAM tokens: always verify-full, a fresh token per connection.

A token is a password that lives 15 minutes and must never stand in a connection string: each driver is
given a function that it calls whenever it opens a connection. Sources: the drivers' documentation, and
AWS's on its signers.
"""

from __future__ import annotations

from collections.abc import Callable

from pgpasswordless.drivers.model import (
    Driver,
    DriverSettings,
    Pool,
    lines,
    literal,
    npgsql_value,
    require_name_for_pgx,
)
from pgpasswordless.libpq import TokenTarget, conninfo, encode, keywords, psql_command, uri_host

FRESH = "The token is asked for at each new connection; a session that is open outlives it."


def _source(target: TokenTarget) -> str:
    return (
        "from pgpasswordless.tokens import TokenSource\n\n"
        "source = TokenSource(\n"
        + lines({"host": target.host, "port": target.port, "user": target.user, "region": target.region})
        + ")\n"
    )


def _files(target: TokenTarget) -> tuple[str, ...]:
    return (str(target.root_certificate),)


def _plain_uri(target: TokenTarget, scheme: str) -> str:
    return f"{scheme}://{encode(target.user)}@{uri_host(target.host)}:{target.port}/{encode(target.dbname)}"


def _libpq(target: TokenTarget) -> DriverSettings:
    return DriverSettings(
        driver=Driver.LIBPQ,
        language="shell",
        connection_string=conninfo(keywords(target)),
        keywords=keywords(target),
        snippet=psql_command(target),
        files=_files(target),
        pool=None,
        notes=(
            "For psql and every program on libpq: the token goes into PGPASSWORD, never into an argument.",
            "A pooler in between must pass passwords of 1,500 characters (PgBouncer from 1.17).",
        ),
    )


def _psycopg(target: TokenTarget) -> DriverSettings:
    values = keywords(target)
    return DriverSettings(
        driver=Driver.PSYCOPG,
        language="python",
        connection_string=conninfo(values),
        keywords=values,
        snippet=(
            f"import psycopg_pool\n{_source(target)}\n"
            f"pool = psycopg_pool.ConnectionPool(\n    kwargs=source.keywords(\n"
            + "".join(f"        {name}={value!r},\n" for name, value in values.items())
            + f"    ),\n    max_lifetime={target.max_lifetime_seconds},\n)"
        ),
        files=_files(target),
        pool=Pool(
            setting="psycopg_pool.ConnectionPool(max_lifetime=)",
            value=target.max_lifetime_seconds,
            unit="seconds",
        ),
        notes=(
            "psycopg 3 with psycopg_pool >= 3.3, which calls `kwargs` for each new connection.",
            "Without a pool: psycopg.connect(**keywords, password=source()).",
            FRESH,
        ),
    )


def _sqlalchemy(target: TokenTarget) -> DriverSettings:
    url = (
        _plain_uri(target, "postgresql+psycopg")
        + f"?sslmode=verify-full&sslrootcert={encode(str(target.root_certificate))}&gssencmode=disable"
    )
    return DriverSettings(
        driver=Driver.SQLALCHEMY,
        language="python",
        connection_string=url,
        keywords={"url": url, "pool_recycle": target.max_lifetime_seconds},
        snippet=(
            f"import sqlalchemy\n{_source(target)}\n"
            "engine = sqlalchemy.create_engine(\n"
            f"    {url!r},\n"
            f"    pool_recycle={target.max_lifetime_seconds},\n"
            ")\n"
            'sqlalchemy.event.listen(engine, "do_connect", source.do_connect)'
        ),
        files=_files(target),
        pool=Pool(setting="pool_recycle", value=target.max_lifetime_seconds, unit="seconds"),
        notes=("SQLAlchemy >= 2.0 with psycopg 3.", FRESH),
    )


def _asyncpg_context(target: TokenTarget) -> str:
    return f"context = ssl.create_default_context(cafile={str(target.root_certificate)!r})\n"


def _sqlalchemy_asyncpg(target: TokenTarget) -> DriverSettings:
    url = _plain_uri(target, "postgresql+asyncpg")
    return DriverSettings(
        driver=Driver.SQLALCHEMY_ASYNCPG,
        language="python",
        connection_string=url,
        keywords={"url": url, "pool_recycle": target.max_lifetime_seconds},
        snippet=(
            "import ssl\n\n"
            "from sqlalchemy.ext.asyncio import create_async_engine\n"
            f"{_source(target)}\n"
            f"{_asyncpg_context(target)}"
            "engine = create_async_engine(\n"
            f"    {url!r},\n"
            '    connect_args={"ssl": context, "password": source.without_blocking},\n'
            f"    pool_recycle={target.max_lifetime_seconds},\n"
            ")"
        ),
        files=_files(target),
        pool=Pool(setting="pool_recycle", value=target.max_lifetime_seconds, unit="seconds"),
        notes=("Install sqlalchemy[asyncio], which brings greenlet.", FRESH),
    )


def _asyncpg(target: TokenTarget) -> DriverSettings:
    dsn = _plain_uri(target, "postgresql")
    return DriverSettings(
        driver=Driver.ASYNCPG,
        language="python",
        connection_string=dsn,
        keywords={"dsn": dsn},
        snippet=(
            "import ssl\n\nimport asyncpg\n"
            f"{_source(target)}\n"
            f"{_asyncpg_context(target)}\n\n"
            "async def pool() -> asyncpg.Pool:\n"
            f"    return await asyncpg.create_pool({dsn!r}, password=source.without_blocking, ssl=context)"
        ),
        files=_files(target),
        pool=None,
        notes=(
            "asyncpg calls `password` for each new connection.",
            (
                "asyncpg's pool limits idle time only (max_inactive_connection_lifetime): call"
                f" await pool.expire_connections() every {target.max_lifetime_seconds} s or more often."
            ),
            FRESH,
        ),
    )


def _pgjdbc(target: TokenTarget) -> DriverSettings:
    url = (
        f"jdbc:aws-wrapper:postgresql://{uri_host(target.host)}:{target.port}/{encode(target.dbname)}"
        f"?wrapperPlugins=iam&iamRegion={target.region}&user={encode(target.user)}"
        f"&sslmode=verify-full&sslrootcert={encode(str(target.root_certificate))}"
    )
    return DriverSettings(
        driver=Driver.PGJDBC,
        language="java",
        connection_string=url,
        keywords={},
        snippet=f"var connection = java.sql.DriverManager.getConnection(\n    {literal(url)});",
        files=_files(target),
        pool=Pool(
            setting="HikariCP maxLifetime", value=target.max_lifetime_seconds * 1000, unit="milliseconds"
        ),
        notes=(
            "With the AWS Advanced JDBC Wrapper (software.amazon.jdbc); its plugin `iam` signs.",
            "sslmode=require would not verify the server at all.",
            FRESH,
        ),
    )


def _npgsql(target: TokenTarget) -> DriverSettings:
    values = {
        "Host": target.host,
        "Port": str(target.port),
        "Database": target.dbname,
        "Username": target.user,
        "SSL Mode": "VerifyFull",
        "Root Certificate": str(target.root_certificate),
    }
    text = ";".join(f"{name}={npgsql_value(value)}" for name, value in values.items())
    lifetime = f";Connection Lifetime={target.max_lifetime_seconds}"
    return DriverSettings(
        driver=Driver.NPGSQL,
        language="csharp",
        connection_string=text,
        keywords={},
        snippet=(
            f"var builder = new Npgsql.NpgsqlDataSourceBuilder(\n    {literal(text + lifetime)});\n"
            "builder.UsePeriodicPasswordProvider(\n"
            "    (settings, cancellation) => new ValueTask<string>(\n"
            "        Amazon.RDS.Util.RDSAuthTokenGenerator.GenerateAuthToken(\n"
            f"            Amazon.RegionEndpoint.GetBySystemName({literal(target.region)}),\n"
            "            settings.Host, settings.Port, settings.Username)),\n"
            "    TimeSpan.FromMinutes(10), TimeSpan.FromSeconds(5));\n"
            "await using var dataSource = builder.Build();"
        ),
        files=_files(target),
        pool=Pool(setting="Connection Lifetime", value=target.max_lifetime_seconds, unit="seconds"),
        notes=(
            "Npgsql >= 7.0 and AWSSDK.RDS. SSL Mode=Require would not verify the server.",
            "Old versions of .NET have trouble with the authority rds-ca-ecc384-g1 (npgsql#5314).",
        ),
    )


def _node_postgres(target: TokenTarget) -> DriverSettings:
    where = {"hostname": target.host, "port": target.port, "username": target.user, "region": target.region}
    signer = ", ".join(
        f"{name}: {value if isinstance(value, int) else literal(value)}" for name, value in where.items()
    )
    return DriverSettings(
        driver=Driver.NODE_POSTGRES,
        language="javascript",
        connection_string=_plain_uri(target, "postgresql"),
        keywords={},
        snippet=(
            'import { readFileSync } from "node:fs";\n'
            'import { Signer } from "@aws-sdk/rds-signer";\n'
            'import pg from "pg";\n\n'
            f"const signer = new Signer({{ {signer} }});\n"
            "const pool = new pg.Pool({\n"
            f"  host: {literal(target.host)},\n  port: {target.port},\n"
            f"  database: {literal(target.dbname)},\n  user: {literal(target.user)},\n"
            "  password: () => signer.getAuthToken(),\n"
            f'  ssl: {{ ca: readFileSync({literal(str(target.root_certificate))}, "utf8") }},\n'
            f"  maxLifetimeSeconds: {target.max_lifetime_seconds},\n"
            "});"
        ),
        files=_files(target),
        pool=Pool(setting="maxLifetimeSeconds", value=target.max_lifetime_seconds, unit="seconds"),
        notes=(
            "An ssl object with `ca` verifies chain and host name; `rejectUnauthorized: false` would not.",
            FRESH,
        ),
    )


def _pgx(target: TokenTarget) -> DriverSettings:
    require_name_for_pgx(target.dbname)
    url = (
        _plain_uri(target, "postgresql")
        + f"?sslmode=verify-full&sslrootcert={encode(str(target.root_certificate))}"
    )
    endpoint = literal(f"{target.host}:{target.port}")
    return DriverSettings(
        driver=Driver.PGX,
        language="go",
        connection_string=url,
        keywords={},
        snippet=(
            "awsConfig, err := awsconfig.LoadDefaultConfig(ctx)\n"
            "if err != nil {\n\treturn err\n}\n"
            f"config, err := pgxpool.ParseConfig({literal(url)})\n"
            "if err != nil {\n\treturn err\n}\n"
            f"config.MaxConnLifetime = {target.max_lifetime_seconds} * time.Second\n"
            "config.BeforeConnect = func(ctx context.Context, connection *pgx.ConnConfig) error {\n"
            f"\ttoken, err := auth.BuildAuthToken(ctx, {endpoint}, {literal(target.region)},\n"
            f"\t\t{literal(target.user)}, awsConfig.Credentials)\n"
            "\tif err != nil {\n\t\treturn err\n\t}\n"
            "\tconnection.Password = token\n"
            "\treturn nil\n"
            "}\n"
            "pool, err := pgxpool.NewWithConfig(ctx, config)"
        ),
        files=_files(target),
        pool=Pool(
            setting="pgxpool.Config.MaxConnLifetime", value=target.max_lifetime_seconds, unit="seconds"
        ),
        notes=(
            (
                "pgx v5, github.com/aws/aws-sdk-go-v2/feature/rds/auth and"
                ' awsconfig "github.com/aws/aws-sdk-go-v2/config".'
            ),
            "gssencmode must not be in the URL: pgx would send it to the server as a setting.",
            FRESH,
        ),
    )


BUILDERS: dict[Driver, Callable[[TokenTarget], DriverSettings]] = {
    Driver.LIBPQ: _libpq,
    Driver.PSYCOPG: _psycopg,
    Driver.SQLALCHEMY: _sqlalchemy,
    Driver.SQLALCHEMY_ASYNCPG: _sqlalchemy_asyncpg,
    Driver.ASYNCPG: _asyncpg,
    Driver.PGJDBC: _pgjdbc,
    Driver.NPGSQL: _npgsql,
    Driver.NODE_POSTGRES: _node_postgres,
    Driver.PGX: _pgx,
}
