"""The settings of each driver for certificate login: always verify-full, never a password.

Keywords, file forms and version gates are those of the drivers' own documentation and sources;
what the Python ones print is proven by logging in (tests/pgpasswordless).
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
from pgpasswordless.errors import NotSupportedError
from pgpasswordless.libpq import Target, conninfo, encode, keywords, psql_command, uri, uri_host

TLS_NAMES = ("sslmode", "sslrootcert", "sslcert", "sslkey")
RELOADED = "The files are read again for each new connection: a renewed certificate needs no restart."


def _files(target: Target, *, key_der: bool = False) -> tuple[str, ...]:
    files = target.files
    key = files.key_der if key_der else files.key
    return (str(files.root_certificate), str(files.certificate), str(key))


def _libpq(target: Target) -> DriverSettings:
    return DriverSettings(
        driver=Driver.LIBPQ,
        language="shell",
        connection_string=conninfo(keywords(target)),
        keywords=keywords(target),
        snippet=psql_command(target),
        files=_files(target),
        pool=None,
        notes=(
            "For psql and every driver on libpq (psycopg 2 and 3, PHP, Ruby, Perl, ODBC, C).",
            "A key file that others may read is refused by libpq; keep mode 0600.",
            (
                "libpq >= 16 also takes sslcertmode=require, libpq >= 17 and servers >= 17"
                " sslnegotiation=direct; an older libpq refuses both words."
            ),
            RELOADED,
        ),
    )


def _psycopg(target: Target) -> DriverSettings:
    values = keywords(target)
    return DriverSettings(
        driver=Driver.PSYCOPG,
        language="python",
        connection_string=conninfo(values),
        keywords=values,
        snippet=f"import psycopg\n\nconnection = psycopg.connect(\n{lines(values)})",
        files=_files(target),
        pool=Pool(
            setting="psycopg_pool.ConnectionPool(max_lifetime=)",
            value=target.max_lifetime_seconds,
            unit="seconds",
        ),
        notes=("psycopg 3; psycopg2 takes the same keywords.", RELOADED),
    )


def _sqlalchemy(target: Target) -> DriverSettings:
    url = uri(target, "postgresql+psycopg", (*TLS_NAMES, "gssencmode"))
    return DriverSettings(
        driver=Driver.SQLALCHEMY,
        language="python",
        connection_string=url,
        keywords={"url": url, "pool_recycle": target.max_lifetime_seconds},
        snippet=(
            "import sqlalchemy\n\n"
            "engine = sqlalchemy.create_engine(\n"
            f"    {url!r},\n"
            f"    pool_recycle={target.max_lifetime_seconds},\n"
            ")"
        ),
        files=_files(target),
        pool=Pool(setting="pool_recycle", value=target.max_lifetime_seconds, unit="seconds"),
        notes=(
            "SQLAlchemy >= 2.0 with psycopg 3.",
            "In a file that is read by configparser (alembic.ini), write each % of the URL as %%.",
            RELOADED,
        ),
    )


def _sqlalchemy_asyncpg(target: Target) -> DriverSettings:
    url = (
        f"postgresql+asyncpg://{encode(target.user)}@{uri_host(target.host)}:{target.port}"
        f"/{encode(target.dbname)}"
    )
    root, certificate, key = _files(target)
    return DriverSettings(
        driver=Driver.SQLALCHEMY_ASYNCPG,
        language="python",
        connection_string=url,
        keywords={"url": url, "pool_recycle": target.max_lifetime_seconds},
        snippet=(
            "import ssl\n\n"
            "from sqlalchemy.ext.asyncio import create_async_engine\n\n"
            f"context = ssl.create_default_context(cafile={root!r})\n"
            f"context.load_cert_chain({certificate!r}, {key!r})\n"
            "engine = create_async_engine(\n"
            f"    {url!r},\n"
            '    connect_args={"ssl": context},\n'
            f"    pool_recycle={target.max_lifetime_seconds},\n"
            ")"
        ),
        files=(root, certificate, key),
        pool=Pool(setting="pool_recycle", value=target.max_lifetime_seconds, unit="seconds"),
        notes=(
            (
                "The URL takes no ssl parameters with asyncpg (`unexpected keyword argument"
                " 'sslmode'`); the context verifies chain and host name."
            ),
            "Install sqlalchemy[asyncio], which brings greenlet.",
            "The context keeps what it has read: call context.load_cert_chain again for a new certificate.",
        ),
    )


def _asyncpg(target: Target) -> DriverSettings:
    dsn = uri(target, "postgresql", TLS_NAMES)
    return DriverSettings(
        driver=Driver.ASYNCPG,
        language="python",
        connection_string=dsn,
        keywords={"dsn": dsn},
        snippet=(
            "import asyncpg\n\n\n"
            "async def connect() -> asyncpg.Connection:\n"
            f"    return await asyncpg.connect({dsn!r})"
        ),
        files=_files(target),
        pool=None,
        notes=(
            "gssencmode must not be in the DSN: asyncpg would send it to the server as a setting.",
            "Direct TLS (servers >= 17) is sslnegotiation=direct in the DSN from asyncpg 0.30.",
            (
                "asyncpg's pool limits idle time only (max_inactive_connection_lifetime): call"
                f" await pool.expire_connections() every {target.max_lifetime_seconds} s or more often."
            ),
            RELOADED,
        ),
    )


def _pgjdbc(target: Target) -> DriverSettings:
    root, certificate, key = _files(target, key_der=True)
    query = {
        "user": target.user,
        "sslmode": "verify-full",
        "sslrootcert": root,
        "sslcert": certificate,
        "sslkey": key,
    }
    url = f"jdbc:postgresql://{uri_host(target.host)}:{target.port}/{encode(target.dbname)}?" + "&".join(
        f"{name}={encode(value)}" for name, value in query.items()
    )
    return DriverSettings(
        driver=Driver.PGJDBC,
        language="java",
        connection_string=url,
        keywords={},
        snippet=f"var connection = java.sql.DriverManager.getConnection(\n    {literal(url)});",
        files=(root, certificate, key),
        pool=Pool(
            setting="HikariCP maxLifetime", value=target.max_lifetime_seconds * 1000, unit="milliseconds"
        ),
        notes=(
            (
                "The key is PKCS#8 DER (client.pk8), which every version reads; PEM only from 42.7.9,"
                " and for an EC key only with pemKeyAlgorithm=EC."
            ),
            "Prefer >= 42.7.12. sslmode=require would not verify the server at all.",
            "Direct TLS (servers >= 17) is sslNegotiation=direct, in camel case.",
            RELOADED,
        ),
    )


def _npgsql(target: Target) -> DriverSettings:
    root, certificate, key = _files(target)
    values = {
        "Host": target.host,
        "Port": str(target.port),
        "Database": target.dbname,
        "Username": target.user,
        "SSL Mode": "VerifyFull",
        "Root Certificate": root,
        "SSL Certificate": certificate,
        "SSL Key": key,
    }
    text = ";".join(f"{name}={npgsql_value(value)}" for name, value in values.items())
    lifetime = f";Connection Lifetime={target.max_lifetime_seconds}"
    return DriverSettings(
        driver=Driver.NPGSQL,
        language="csharp",
        connection_string=text,
        keywords={},
        snippet=(
            f"await using var dataSource = Npgsql.NpgsqlDataSource.Create(\n    {literal(text + lifetime)});"
        ),
        files=(root, certificate, key),
        pool=Pool(setting="Connection Lifetime", value=target.max_lifetime_seconds, unit="seconds"),
        notes=(
            "Npgsql >= 6.0 reads PEM files.",
            (
                "SSL Mode=Require would ignore Root Certificate and not verify the server; Trust Server"
                " Certificate does nothing any more."
            ),
            (
                "Npgsql >= 9.0 also takes SSL Negotiation=direct, >= 10 GSS Encryption Mode=Disable;"
                " from 10 only the given root is trusted."
            ),
            RELOADED,
        ),
    )


# decodeURI, which pg-connection-string applies to the path, leaves these encoded if they come so.
_NODE_PATH_SAFE = "/;:@&=+$,"


def _node_postgres(target: Target) -> DriverSettings:
    if any(character in target.dbname for character in "?#") or {".", ".."} & set(target.dbname.split("/")):
        raise NotSupportedError(
            f"the URL of node-postgres cannot carry the database name {target.dbname!r} (`?`, `#` and the"
            " path segments `.` and `..`); give its ssl object instead of a URL, or use another name"
        )
    url = uri(target, "postgresql", TLS_NAMES, _NODE_PATH_SAFE)
    return DriverSettings(
        driver=Driver.NODE_POSTGRES,
        language="javascript",
        connection_string=url,
        keywords={},
        snippet=(
            'import pg from "pg";\n\n'
            "const pool = new pg.Pool({\n"
            f"  connectionString: {literal(url)},\n"
            f"  maxLifetimeSeconds: {target.max_lifetime_seconds},\n"
            "});"
        ),
        files=_files(target),
        pool=Pool(setting="maxLifetimeSeconds", value=target.max_lifetime_seconds, unit="seconds"),
        notes=(
            "Give the URL or an ssl object, not both: parameters of the URL replace the object.",
            "sslnegotiation=direct from 8.22 (servers >= 17).",
            "In the URL form, " + RELOADED[0].lower() + RELOADED[1:] + " An ssl object is read once.",
        ),
    )


def _pgx(target: Target) -> DriverSettings:
    require_name_for_pgx(target.dbname)
    url = uri(target, "postgresql", TLS_NAMES)
    return DriverSettings(
        driver=Driver.PGX,
        language="go",
        connection_string=url,
        keywords={},
        snippet=(
            f"const url = {literal(url)}\n\n"
            "config, err := pgxpool.ParseConfig(url)\n"
            "if err != nil {\n\treturn err\n}\n"
            f"config.MaxConnLifetime = {target.max_lifetime_seconds} * time.Second\n"
            "config.BeforeConnect = func(_ context.Context, connection *pgx.ConnConfig) error {\n"
            "\tfresh, err := pgx.ParseConfig(url) // reads a renewed certificate\n"
            "\tif err != nil {\n\t\treturn err\n\t}\n"
            "\tconnection.TLSConfig = fresh.TLSConfig\n"
            "\treturn nil\n"
            "}\n"
            "pool, err := pgxpool.NewWithConfig(ctx, config)"
        ),
        files=_files(target),
        pool=Pool(
            setting="pgxpool.Config.MaxConnLifetime", value=target.max_lifetime_seconds, unit="seconds"
        ),
        notes=(
            "pgx v5. It parses the files once, in ParseConfig; BeforeConnect here reads them again.",
            "gssencmode must not be in the URL: pgx would send it to the server as a setting.",
            "sslnegotiation=direct from 5.7.5, require_auth from 5.10; sslcrl and sslcertmode are not known.",
            "pgx does not check who may read the key file.",
        ),
    )


BUILDERS: dict[Driver, Callable[[Target], DriverSettings]] = {
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
