"""The provider: its arguments and its types."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.providers.postgresql.connection import SSL_MODES, ProviderArguments, Server
from sandbox.providers.postgresql.database import DatabaseType
from sandbox.providers.postgresql.default_privileges import DefaultPrivilegesType
from sandbox.providers.postgresql.extension import ExtensionType
from sandbox.providers.postgresql.grant import GrantType
from sandbox.providers.postgresql.grant_role import GrantRoleType
from sandbox.providers.postgresql.role import RoleType
from sandbox.providers.postgresql.schema import SchemaType
from sandbox.providers.properties import UNKNOWN
from sandbox.providers.provider import Provider
from sandbox.providers.resource_type import Failure, Properties

_NOT_YET = (
    "awsRdsIamAuth",
    "awsRdsIamProfile",
    "awsRdsIamProviderRoleArn",
    "awsRdsIamRegion",
    "azureIdentityAuth",
    "azureTenantId",
    "gcpIamImpersonateServiceAccount",
)


class PostgresqlProvider(Provider):
    """Roles, databases, schemas, extensions and grants on the server that the arguments name."""

    text_arguments = frozenset(
        {"host", "username", "password", "database", "databaseUsername", "sslmode", "sslMode", "sslrootcert"}
    )

    def __init__(self) -> None:
        """See the class."""
        super().__init__(
            "postgresql",
            [
                RoleType(),
                DatabaseType(),
                SchemaType(),
                GrantType(),
                GrantRoleType(),
                DefaultPrivilegesType(),
                ExtensionType(),
            ],
        )

    def check_configuration(self, configuration: Properties) -> Sequence[Failure]:
        """Refuses cloud identities, which this sandbox does not have yet, and unknown TLS modes."""
        known = {name: value for name, value in configuration.items() if value is not UNKNOWN}
        failures = [
            Failure(name, f"argument {name} of the postgresql provider is not in this sandbox yet; remove it")
            for name in _NOT_YET
            if known.get(name)
        ]
        scheme = known.get("scheme")
        if scheme not in (None, "postgres"):
            failures.append(
                Failure("scheme", f"scheme {scheme!r} is not in this sandbox yet; use 'postgres'")
            )
        mode = known.get("sslmode") or known.get("sslMode")
        if mode not in (None, *SSL_MODES):
            failures.append(
                Failure("sslmode", f"unsupported sslmode {mode!r}; only {', '.join(SSL_MODES)} supported")
            )
        return failures

    def configure(self, configuration: Properties) -> Properties:
        """Keeps one server per provider instance. It is not connected to before it is needed."""
        return {"server": Server(ProviderArguments.of(configuration))}
