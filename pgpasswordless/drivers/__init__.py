"""Settings per driver, for certificate login and for IAM tokens."""

from __future__ import annotations

from pgpasswordless.drivers import certificate, iam
from pgpasswordless.drivers.model import Driver, DriverSettings, Pool, npgsql_value
from pgpasswordless.libpq import ServerTarget, Target, TokenTarget

__all__ = ["Driver", "DriverSettings", "Pool", "npgsql_value", "render"]


def render(driver: Driver, target: ServerTarget) -> DriverSettings:
    """The settings of `driver` for `target`.

    Raises:
        NotSupportedError: the driver's connection string cannot carry the database's name.
    """
    match target:
        case Target():
            return certificate.BUILDERS[driver](target)
        case TokenTarget():
            return iam.BUILDERS[driver](target)
        case _:
            raise TypeError(f"{type(target).__name__} is no login that drivers have settings for")
