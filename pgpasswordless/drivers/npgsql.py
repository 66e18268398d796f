"""Npgsql."""

from __future__ import annotations

from pgpasswordless.driver import RELOADED, PoolSetting, Rendering, literal
from pgpasswordless.libpq import CertificateTarget, Target, TokenTarget

LANGUAGE = "csharp"
POOL = PoolSetting(name="Connection Lifetime")


def by_certificate(target: CertificateTarget) -> Rendering:
    """A data source whose connection string names the files."""
    _, certificate, key = target.paths
    text = _connection_string(target, {"SSL Certificate": certificate, "SSL Key": key})
    return Rendering(
        connection_string=text,
        snippet=(
            "await using var dataSource = Npgsql.NpgsqlDataSource.Create(\n"
            f"    {_with_lifetime(text, target)});"
        ),
        files=target.paths,
        notes=(
            "Npgsql >= 6.0 reads PEM files.",
            (
                "SSL Mode=Require would ignore Root Certificate and not verify the server; Trust Server"
                " Certificate no longer has any effect."
            ),
            (
                "Npgsql >= 9.0 also takes SSL Negotiation=direct, >= 10 GSS Encryption Mode=Disable;"
                " from 10 only the given root is trusted."
            ),
            RELOADED,
        ),
    )


def by_token(target: TokenTarget) -> Rendering:
    """A data source with a password provider that signs a token every ten minutes."""
    text = _connection_string(target, {})
    return Rendering(
        connection_string=text,
        snippet=(
            "var builder = new Npgsql.NpgsqlDataSourceBuilder(\n"
            f"    {_with_lifetime(text, target)});\n"
            "builder.UsePeriodicPasswordProvider(\n"
            "    (settings, cancellation) => new ValueTask<string>(\n"
            "        Amazon.RDS.Util.RDSAuthTokenGenerator.GenerateAuthToken(\n"
            f"            Amazon.RegionEndpoint.GetBySystemName({literal(target.region)}),\n"
            "            settings.Host, settings.Port, settings.Username)),\n"
            "    TimeSpan.FromMinutes(10), TimeSpan.FromSeconds(5));\n"
            "await using var dataSource = builder.Build();"
        ),
        files=target.paths,
        notes=(
            "Npgsql >= 7.0 and AWSSDK.RDS. SSL Mode=Require would not verify the server.",
            "Old versions of .NET have trouble with the authority rds-ca-ecc384-g1 (npgsql#5314).",
        ),
    )


def quoted(value: str) -> str:
    """One value of an ADO.NET connection string, in quotes where needed."""
    if value and value == value.strip() and not any(character in value for character in ";'\"="):
        return value
    return '"' + value.replace('"', '""') + '"'


def _connection_string(target: Target, identity: dict[str, str]) -> str:
    values = {
        "Host": target.host,
        "Port": str(target.port),
        "Database": target.dbname,
        "Username": target.user,
        "SSL Mode": "VerifyFull",
        "Root Certificate": str(target.root_certificate),
        **identity,
    }
    return ";".join(f"{name}={quoted(value)}" for name, value in values.items())


def _with_lifetime(text: str, target: Target) -> str:
    return literal(f"{text};Connection Lifetime={target.max_lifetime_seconds}")
