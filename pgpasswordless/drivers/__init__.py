"""The drivers that have settings here, a file each; every file in this folder is one."""

from __future__ import annotations

from enum import StrEnum
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, cast

from documents.document import Document
from pgpasswordless.driver import DriverModule
from pgpasswordless.errors import NotSupportedError
from pgpasswordless.libpq import CertificateTarget, Target, TokenTarget


class Driver(StrEnum):
    """A driver that has settings here, such as `psycopg`: one for each file in this folder."""

    _ignore_ = "_module"
    for _module in sorted(module.name for module in iter_modules(__path__)):
        vars()[_module.upper()] = _module.replace("_", "-")


# They connect by libpq.
_WITH_HOSTADDR = (Driver("libpq"), Driver("psycopg"), Driver("sqlalchemy"))


class Pool(Document):
    """How the driver's usual pool limits the lifetime of a connection.

    `setting` is the pool's own name for it and `value` is in `unit`.
    """

    setting: str
    value: int
    unit: str


class DriverSettings(Document):
    """What one driver needs for one role.

    Attributes:
        driver: the driver.
        language: of the snippet.
        connection_string: in the driver's own form; holds no secret.
        keywords: keyword arguments of the driver's connect function, where it takes them.
        snippet: code that connects.
        files: paths of the files that must exist.
        pool: recommended maximum lifetime of a pooled connection; None where no pool can limit it.
        notes: required versions, and what to know.
    """

    driver: Driver
    language: str
    connection_string: str
    keywords: dict[str, Any]
    snippet: str
    files: tuple[str, ...]
    pool: Pool | None
    notes: tuple[str, ...]


def render(driver: Driver, target: Target) -> DriverSettings:
    """The settings of `driver` for `target`.

    Raises:
        NotSupportedError: the driver's connection string cannot carry the database's name, or the driver
            cannot verify another name than the one that it connects to, which a tunnel needs.
    """
    module = cast("DriverModule", import_module(f"{__name__}.{driver.name.lower()}"))
    match target:
        case CertificateTarget():
            rendering = module.by_certificate(target)
        case TokenTarget():
            rendering = module.by_token(target)
        case _:
            raise TypeError(f"{type(target).__name__} is not a login that drivers have settings for")
    if target.tunnel and driver not in _WITH_HOSTADDR:
        raise NotSupportedError(
            f"the driver {driver.value} has no hostaddr as libpq has: through a tunnel it would verify"
            f" {target.tunnel.hostaddr} instead of {target.host!r}; use one of {', '.join(_WITH_HOSTADDR)},"
            " or let that name resolve to the tunnel (/etc/hosts) on the endpoint's own port"
        )
    return DriverSettings(
        driver=driver,
        language=module.LANGUAGE,
        connection_string=rendering.connection_string,
        keywords=rendering.keywords,
        snippet=rendering.snippet,
        files=rendering.files,
        pool=_pool(module, target),
        notes=rendering.notes,
    )


def _pool(module: DriverModule, target: Target) -> Pool | None:
    if module.POOL is None:
        return None
    factor = 1000 if module.POOL.unit == "milliseconds" else 1
    return Pool(setting=module.POOL.name, value=target.max_lifetime_seconds * factor, unit=module.POOL.unit)
