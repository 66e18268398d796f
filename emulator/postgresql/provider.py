"""The provider: its arguments and its types."""

from __future__ import annotations

from collections.abc import Sequence

from emulator.core.properties import UNKNOWN
from emulator.core.provider import Provider
from emulator.core.resource_type import Failure, Properties
from emulator.endpoint.credentials import AccessKey
from emulator.postgresql.connection import SSL_MODES, ProviderArguments, Server
from emulator.postgresql.database import DatabaseType
from emulator.postgresql.default_privileges import DefaultPrivilegesType
from emulator.postgresql.extension import ExtensionType
from emulator.postgresql.grant import GrantType
from emulator.postgresql.grant_role import GrantRoleType
from emulator.postgresql.iam import login_token
from emulator.postgresql.role import RoleType
from emulator.postgresql.schema import SchemaType

_TYPES = (
    RoleType, DatabaseType, SchemaType, GrantType, GrantRoleType, DefaultPrivilegesType, ExtensionType,
)  # fmt: skip
_NOT_YET = (
    "awsRdsIamProfile", "awsRdsIamProviderRoleArn", "azureIdentityAuth", "azureTenantId",
    "gcpIamImpersonateServiceAccount",
)  # fmt: skip


class PostgresqlProvider(Provider):
    """Roles, databases, schemas, extensions and grants on the server that the arguments name.

    Args:
        credentials: Whose tokens log in with `awsRdsIamAuth`: the operator's, whose environment the real
            provider runs in. Without them only passwords and certificates do.
    """

    text_arguments = frozenset(
        {"awsRdsIamRegion", "sslMode"}
        | {str(field.alias) for field in ProviderArguments.model_fields.values() if field.annotation is str}
    )

    def __init__(self, credentials: AccessKey | None = None) -> None:
        self._credentials = credentials
        super().__init__("postgresql", [kind() for kind in _TYPES])

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
            reason = f"scheme {scheme!r} is not in this sandbox yet; use 'postgres'"
            failures.append(Failure("scheme", reason))
        mode = known.get("sslmode") or known.get("sslMode")
        if mode not in (None, *SSL_MODES):
            reason = f"unsupported sslmode {mode!r}; only {', '.join(SSL_MODES)} supported"
            failures.append(Failure("sslmode", reason))
        return failures

    def configure(self, configuration: Properties) -> Properties:
        """Keeps one server per provider instance. It is not connected to before it is needed.

        A token of IAM is signed now, and once: what connects later than its 15 minutes is refused.
        """
        arguments = ProviderArguments.of(configuration)
        if configuration.get("awsRdsIamAuth") is not True:
            return {"server": Server(arguments)}
        if self._credentials is None:
            obstacle = "failed to refresh cached credentials: there are none"
            return {"server": Server(arguments, obstacle)}
        token = login_token(
            self._credentials,
            host=arguments.host,
            port=arguments.port,
            username=arguments.username,
            region=configuration.get("awsRdsIamRegion") or "",
        )
        return {"server": Server(arguments.changed(password=token))}
