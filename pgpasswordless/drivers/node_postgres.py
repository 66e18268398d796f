"""node-postgres."""

from __future__ import annotations

from pgpasswordless.driver import FRESH, RELOADED, PoolSetting, Rendering, literal
from pgpasswordless.errors import NotSupportedError
from pgpasswordless.libpq import TLS_PARAMETERS, CertificateTarget, TokenTarget, uri

LANGUAGE = "javascript"
POOL = PoolSetting(name="maxLifetimeSeconds")

# decodeURI, which pg-connection-string applies to the path, does not decode the escapes of these.
_PATH_SAFE = "/;:@&=+$,"


def by_certificate(target: CertificateTarget) -> Rendering:
    """A pool whose URL names the files."""
    if any(character in target.dbname for character in "?#") or {".", ".."} & set(target.dbname.split("/")):
        raise NotSupportedError(
            f"the URL of node-postgres cannot carry the database name {target.dbname!r} (`?`, `#` and the"
            " path segments `.` and `..`); give its ssl object instead of a URL, or use another name"
        )
    url = uri(target, "postgresql", TLS_PARAMETERS, _PATH_SAFE)
    return Rendering(
        connection_string=url,
        snippet=(
            'import pg from "pg";\n\n'
            "const pool = new pg.Pool({\n"
            f"  connectionString: {literal(url)},\n"
            f"  maxLifetimeSeconds: {target.max_lifetime_seconds},\n"
            "});"
        ),
        files=target.paths,
        notes=(
            "Give the URL or an ssl object, not both: parameters of the URL replace the object.",
            "sslnegotiation=direct from 8.22 (servers >= 17).",
            "In the URL form, " + RELOADED[0].lower() + RELOADED[1:] + " An ssl object is read once.",
        ),
    )


def by_token(target: TokenTarget) -> Rendering:
    """A pool whose `password` is a function of AWS's signer."""
    where = {"hostname": target.host, "port": target.port, "username": target.user, "region": target.region}
    signer = ", ".join(
        f"{name}: {value if isinstance(value, int) else literal(value)}" for name, value in where.items()
    )
    return Rendering(
        connection_string=uri(target, "postgresql"),
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
        files=target.paths,
        notes=(
            "An ssl object with `ca` verifies chain and host name; `rejectUnauthorized: false` would not.",
            FRESH,
        ),
    )
