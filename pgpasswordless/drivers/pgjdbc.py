"""pgjdbc, and for RDS the AWS Advanced JDBC Wrapper around it."""

from __future__ import annotations

from pgpasswordless.driver import FRESH, RELOADED, PoolSetting, Rendering, literal
from pgpasswordless.libpq import CertificateTarget, Target, TokenTarget, encode, uri_host

LANGUAGE = "java"
POOL = PoolSetting(name="HikariCP maxLifetime", unit="milliseconds")


def by_certificate(target: CertificateTarget) -> Rendering:
    """A URL that names the files, the key as PKCS#8 DER."""
    root, certificate, _ = target.paths
    key = str(target.files.key_der)
    query = {
        "user": target.user,
        "sslmode": "verify-full",
        "sslrootcert": root,
        "sslcert": certificate,
        "sslkey": key,
    }
    return _rendering(
        _url(target, "jdbc:postgresql", query),
        (root, certificate, key),
        (
            "The key is PKCS#8 DER (client.pk8), which every version reads; PEM only from 42.7.9,"
            " and for an EC key only with pemKeyAlgorithm=EC."
        ),
        "Prefer >= 42.7.12. sslmode=require would not verify the server at all.",
        "Direct TLS (servers >= 17) is sslNegotiation=direct, in camel case.",
        RELOADED,
    )


def by_token(target: TokenTarget) -> Rendering:
    """A URL of the wrapper, whose plugin signs a token for each connection."""
    query = {
        "wrapperPlugins": "iam",
        "iamRegion": target.region,
        "user": target.user,
        "sslmode": "verify-full",
        "sslrootcert": str(target.root_certificate),
    }
    return _rendering(
        _url(target, "jdbc:aws-wrapper:postgresql", query),
        target.paths,
        "With the AWS Advanced JDBC Wrapper (software.amazon.jdbc); its plugin `iam` signs.",
        "sslmode=require would not verify the server at all.",
        FRESH,
    )


def _url(target: Target, scheme: str, query: dict[str, str]) -> str:
    address = f"{scheme}://{uri_host(target.host)}:{target.port}/{encode(target.dbname)}"
    return address + "?" + "&".join(f"{name}={encode(value)}" for name, value in query.items())


def _rendering(url: str, files: tuple[str, ...], *notes: str) -> Rendering:
    return Rendering(
        connection_string=url,
        snippet=f"var connection = java.sql.DriverManager.getConnection(\n    {literal(url)});",
        files=files,
        notes=notes,
    )
