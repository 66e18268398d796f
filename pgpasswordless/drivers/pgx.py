"""pgx v5."""

from __future__ import annotations

from pgpasswordless.driver import FRESH, PoolSetting, Rendering, literal
from pgpasswordless.errors import NotSupportedError
from pgpasswordless.libpq import TLS_PARAMETERS, CertificateTarget, Target, TokenTarget, uri

LANGUAGE = "go"
POOL = PoolSetting(name="pgxpool.Config.MaxConnLifetime")

_GSSENCMODE = "gssencmode must not be in the URL: pgx would send it to the server as a setting."


def by_certificate(target: CertificateTarget) -> Rendering:
    """A pool that reads the files again before each connection."""
    url = _url(target)
    return Rendering(
        connection_string=url,
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
        files=target.paths,
        notes=(
            "pgx v5. It parses the files once, in ParseConfig; BeforeConnect here reads them again.",
            _GSSENCMODE,
            "sslnegotiation=direct from 5.7.5, require_auth from 5.10; sslcrl and sslcertmode are not known.",
            "pgx does not check who may read the key file.",
        ),
    )


def by_token(target: TokenTarget) -> Rendering:
    """A pool that signs a token before each connection."""
    url = _url(target)
    endpoint = literal(f"{target.host}:{target.port}")
    return Rendering(
        connection_string=url,
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
        files=target.paths,
        notes=(
            (
                "pgx v5, github.com/aws/aws-sdk-go-v2/feature/rds/auth and"
                ' awsconfig "github.com/aws/aws-sdk-go-v2/config".'
            ),
            _GSSENCMODE,
            FRESH,
        ),
    )


def _url(target: Target) -> str:
    if target.dbname.startswith("/"):
        raise NotSupportedError(
            f"the URL of pgx cannot carry the database name {target.dbname!r}, which starts with a slash;"
            " use its keyword/value form, which is libpq's without gssencmode"
        )
    return uri(target, "postgresql", TLS_PARAMETERS)
