"""Security policies of Elastic Load Balancing, and what a client can negotiate with each.

Other names are refused: AWS adds policies, and a name's prefix does not tell what it allows (`TLS13-1-0`
allows TLS 1.0). The table is AWS's of September 2025. Add a policy together with what AWS documents of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

PREFIX = "ELBSecurityPolicy-"
DOCUMENTED = "2025-09"
SOURCE = "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html"


@dataclass(frozen=True, kw_only=True)
class SecurityPolicy:
    """What a security policy offers.

    Attributes:
        minimum: Oldest TLS version, such as `1.2`.
        forward_secret: Whether every cipher suite has forward secrecy.
        authenticated: Whether every cipher suite has authenticated encryption, so that none uses CBC.
        post_quantum: Whether key exchange with ML-KEM is offered.
    """

    minimum: str
    forward_secret: bool
    authenticated: bool
    post_quantum: bool = False


def _named(
    names: Iterable[str], minimum: str, *, forward_secret: bool = False, authenticated: bool = False
) -> dict[str, SecurityPolicy]:
    return {
        f"{PREFIX}{name}": SecurityPolicy(
            minimum=minimum,
            forward_secret=forward_secret,
            authenticated=authenticated,
            post_quantum="-PQ-" in name,
        )
        for name in names
    }


_TLS13_EDITIONS = ("2021-06", "PQ-2025-09", "FIPS-2023-04", "FIPS-PQ-2025-09")

POLICIES: Mapping[str, SecurityPolicy] = MappingProxyType(
    {
        **_named(
            [f"TLS13-1-3-{edition}" for edition in _TLS13_EDITIONS],
            "1.3",
            forward_secret=True,
            authenticated=True,
        ),
        **_named(
            [f"TLS13-1-2-Res-{edition}" for edition in _TLS13_EDITIONS],
            "1.2",
            forward_secret=True,
            authenticated=True,
        ),
        **_named(["FS-1-2-Res-2020-10"], "1.2", forward_secret=True, authenticated=True),
        **_named([f"TLS13-1-2-{edition}" for edition in _TLS13_EDITIONS], "1.2", forward_secret=True),
        **_named(
            ["TLS13-1-2-Ext0-FIPS-2023-04", "TLS13-1-2-Ext0-FIPS-PQ-2025-09"], "1.2", forward_secret=True
        ),
        **_named(["FS-1-2-Res-2019-08", "FS-1-2-2019-08"], "1.2", forward_secret=True),
        **_named([f"TLS13-1-2-Ext1-{edition}" for edition in _TLS13_EDITIONS], "1.2"),
        **_named([f"TLS13-1-2-Ext2-{edition}" for edition in _TLS13_EDITIONS], "1.2"),
        **_named(["TLS-1-2-2017-01", "TLS-1-2-Ext-2018-06"], "1.2"),
        **_named(["TLS13-1-1-2021-06", "TLS13-1-1-FIPS-2023-04", "TLS-1-1-2017-01"], "1.1"),
        **_named(["FS-1-1-2019-08"], "1.1", forward_secret=True),
        **_named([f"TLS13-1-0-{edition}" for edition in _TLS13_EDITIONS], "1.0"),
        **_named(["FS-2018-06"], "1.0", forward_secret=True),
        **_named(["2016-08", "2015-05", "TLS-1-0-2015-04"], "1.0"),
    }
)
RECOMMENDED = f"{PREFIX}TLS13-1-2-Res-PQ-2025-09"
