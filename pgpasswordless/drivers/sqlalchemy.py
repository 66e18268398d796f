"""SQLAlchemy with psycopg 3."""

from __future__ import annotations

from pgpasswordless.driver import FRESH, RELOADED, PoolSetting, Rendering, python_token_source
from pgpasswordless.libpq import TLS_PARAMETERS, CertificateTarget, Target, TokenTarget, uri

LANGUAGE = "python"
POOL = PoolSetting(name="pool_recycle")

_VERSIONS = "SQLAlchemy >= 2.0 with psycopg 3."


def by_certificate(target: CertificateTarget) -> Rendering:
    """An engine whose URL names the files."""
    return engine_rendering(
        target,
        _url(target),
        f"import sqlalchemy\n\n{_engine(target)}",
        _VERSIONS,
        "In a file that is read by configparser (alembic.ini), write each % of the URL as %%.",
        RELOADED,
    )


def by_token(target: TokenTarget) -> Rendering:
    """An engine that asks the token source at each `do_connect`."""
    return engine_rendering(
        target,
        _url(target),
        f"import sqlalchemy\n{python_token_source(target)}\n{_engine(target)}\n"
        'sqlalchemy.event.listen(engine, "do_connect", source.do_connect)',
        _VERSIONS,
        FRESH,
    )


def engine_rendering(target: Target, url: str, snippet: str, *notes: str) -> Rendering:
    """The settings of an engine, whichever driver SQLAlchemy uses."""
    return Rendering(
        connection_string=url,
        keywords={"url": url, "pool_recycle": target.max_lifetime_seconds},
        snippet=snippet,
        files=target.paths,
        notes=notes,
    )


def _url(target: Target) -> str:
    return uri(target, "postgresql+psycopg", ("hostaddr", *TLS_PARAMETERS, "gssencmode"))


def _engine(target: Target) -> str:
    return (
        "engine = sqlalchemy.create_engine(\n"
        f"    {_url(target)!r},\n"
        f"    pool_recycle={target.max_lifetime_seconds},\n"
        ")"
    )
