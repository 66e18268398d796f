"""SQLAlchemy with asyncpg."""

from __future__ import annotations

from pgpasswordless.driver import FRESH, PoolSetting, Rendering, python_token_source
from pgpasswordless.drivers.sqlalchemy import engine_rendering
from pgpasswordless.libpq import CertificateTarget, Target, TokenTarget, uri

LANGUAGE = "python"
POOL = PoolSetting(name="pool_recycle")

_IMPORTS = "import ssl\n\nfrom sqlalchemy.ext.asyncio import create_async_engine\n"
_GREENLET = "Install sqlalchemy[asyncio], which brings greenlet."


def by_certificate(target: CertificateTarget) -> Rendering:
    """An asynchronous engine with an SSL context that holds certificate and key."""
    root, certificate, key = target.paths
    return engine_rendering(
        target,
        _url(target),
        f"{_IMPORTS}\n"
        f"context = ssl.create_default_context(cafile={root!r})\n"
        f"context.load_cert_chain({certificate!r}, {key!r})\n" + _engine(target, '{"ssl": context}'),
        (
            "The URL takes no ssl parameters with asyncpg (`unexpected keyword argument"
            " 'sslmode'`); the context verifies chain and host name."
        ),
        _GREENLET,
        "The context keeps what it has read: call context.load_cert_chain again for a new certificate.",
    )


def by_token(target: TokenTarget) -> Rendering:
    """An asynchronous engine that asks the token source for each connection."""
    return engine_rendering(
        target,
        _url(target),
        f"{_IMPORTS}{python_token_source(target)}\n"
        f"context = ssl.create_default_context(cafile={str(target.root_certificate)!r})\n"
        + _engine(target, '{"ssl": context, "password": source.without_blocking}'),
        _GREENLET,
        FRESH,
    )


def _url(target: Target) -> str:
    return uri(target, "postgresql+asyncpg")


def _engine(target: Target, arguments: str) -> str:
    return (
        "engine = create_async_engine(\n"
        f"    {_url(target)!r},\n"
        f"    connect_args={arguments},\n"
        f"    pool_recycle={target.max_lifetime_seconds},\n"
        ")"
    )
