"""What AWS or its provider uses where a program does not state a property, so that a rule judges that.

A rule judges the default as it judges a stated value. Whether it is safe is therefore said by the rule, once.
A property that is not in the table has no default that a rule could rely on. The sources were read in
2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from policy.type_tokens import EC2_INSTANCE, LAUNCH_TEMPLATE

_RDS = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide"
_EC2 = "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceMetadataOptionsRequest.html"
_PROVIDER = "https://www.pulumi.com/registry/packages/aws/api-docs"


@dataclass(frozen=True, kw_only=True)
class Default:
    """The value of a property that is not stated.

    Attributes:
        value: The value, as a program would write it.
        source: Where that is documented.
        of_provider: Whether the classic provider sends it, so that it holds for no other provider.
    """

    value: str
    source: str
    of_provider: bool = False


DEFAULTS: Mapping[tuple[str, str], Default] = MappingProxyType(
    {
        # The provider sends false, so that RDS never decides by itself.
        ("aws:rds/instance:Instance", "publiclyAccessible"): Default(
            value="false", source=f"{_PROVIDER}/rds/instance/", of_provider=True
        ),
        ("aws:rds/clusterInstance:ClusterInstance", "publiclyAccessible"): Default(
            value="false", source=f"{_PROVIDER}/rds/clusterinstance/", of_provider=True
        ),
        (EC2_INSTANCE, "metadataOptions.httpPutResponseHopLimit"): Default(value="1", source=_EC2),
        (LAUNCH_TEMPLATE, "metadataOptions.httpPutResponseHopLimit"): Default(value="1", source=_EC2),
        # Of an application load balancer; one of a network load balancer has to state it.
        ("aws:lb/listener:Listener", "protocol"): Default(value="HTTP", source=f"{_PROVIDER}/lb/listener/"),
        # Of buckets made since April 2023.
        ("aws:s3/bucketOwnershipControls:BucketOwnershipControls", "rule.objectOwnership"): Default(
            value="BucketOwnerEnforced",
            source="https://docs.aws.amazon.com/AmazonS3/latest/userguide/create-bucket-faq.html",
        ),
    }
)
"""Defaults by resource type and property path."""


def default_of(token: str, path: str, *, is_classic: bool = True) -> Default | None:
    """The default of a property; None where there is none to rely on."""
    found = DEFAULTS.get((token, path))
    return None if found is not None and found.of_provider and not is_classic else found


@dataclass(frozen=True, kw_only=True)
class ParameterDefault:
    """The default of a parameter of RDS for PostgreSQL, from a major version on.

    Attributes:
        value: The value.
        since: First major version of RDS with that default.
        aurora_since: The same for Aurora.
        source: Where that is documented.
    """

    value: str
    since: int
    aurora_since: int
    source: str


_TLS = f"{_RDS}/PostgreSQL.Concepts.General.SSL.html"
_PASSWORDS = f"{_RDS}/PostgreSQL_Password_Encryption_configuration.html"

PARAMETERS: Mapping[str, ParameterDefault] = MappingProxyType(
    {
        "rds.force_ssl": ParameterDefault(value="1", since=15, aurora_since=17, source=_TLS),
        "ssl_min_protocol_version": ParameterDefault(value="TLSv1.2", since=12, aurora_since=12, source=_TLS),
        "password_encryption": ParameterDefault(
            value="scram-sha-256", since=14, aurora_since=14, source=_PASSWORDS
        ),
    }
)
"""Defaults of parameters by name, as far as they are safe in some version."""


def parameter_default(name: str, major: int, *, aurora: bool) -> str:
    """The default of a parameter in a major version; empty where it is another one, or not known."""
    found = PARAMETERS.get(name)
    if found is None:
        return ""
    return found.value if major >= (found.aurora_since if aurora else found.since) else ""
