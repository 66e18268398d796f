"""All certificates of a sandbox's Certificate Manager.

Layout below the state folder:
    public-ca-bundle.pem                     what clients trust
    certificate-manager/authority/           the authority that stands for the public ones
    certificate-manager/<id>/request.json    what was asked for
    certificate-manager/<id>/chain.pem       the certificate, with that of the authority that signed it
    certificate-manager/<id>/key.pem         mode 0600; ACM shows it to nobody
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from emulator.core.certificate_building import Authority, Server, pem, subject
from emulator.core.model import ResourceModel
from emulator.core.state_layout import PUBLIC_CA_BUNDLE
from runtime.files import replace_file

HOST = "localhost"
"""In every certificate, beside what was asked for: here all endpoints are there."""
LEAF_LIFE = timedelta(days=198)
"""Life of a certificate: what public authorities may give at most since March 2026, with a margin."""
RENEWAL = timedelta(days=45)
"""ACM renews what has that long to live."""
_AUTHORITY_LIFE = timedelta(days=3650)


class NotIssued(Exception):
    """There is no certificate of that ARN, or its domain was never validated."""


class Request(ResourceModel):
    """A requested certificate.

    Attributes:
        names: DNS names, the domain's own first.
        key_algorithm: In ACM's terms.
    """

    arn: str
    names: tuple[str, ...]
    key_algorithm: str


@dataclass(frozen=True, kw_only=True)
class Issued:
    """A certificate and its key, PEM."""

    chain_pem: str
    private_key_pem: str = field(repr=False)

    @property
    def leaf(self) -> x509.Certificate:
        """The server's own certificate."""
        return x509.load_pem_x509_certificates(self.chain_pem.encode())[0]


class Certificates:
    """Keeps requests, issues what was validated, renews what was issued."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / "certificate-manager"
        self._bundle = state_dir / PUBLIC_CA_BUNDLE
        self._authority = Authority(
            folder=self._folder / "authority",
            root_name=subject("Public Stand-In Root CA"),
            issuing_name=subject("Public Stand-In Issuing CA"),
            algorithm="EC_secp384r1",
            digest=hashes.SHA384(),
            root_life=_AUTHORITY_LIFE,
            issuing_life=_AUTHORITY_LIFE,
        )
        self._lock = threading.RLock()

    def prepare(self) -> None:
        """Makes authority and bundle if they are not there."""
        with self._lock:
            replace_file(self._bundle, pem(self._authority.certificate("root")), 0o644)

    def request(self, arn: str, names: Sequence[str], key_algorithm: str) -> None:
        """Keeps a request; an equal one that is there already is no error."""
        home = self._home(arn)
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        Request(arn=arn, names=tuple(names), key_algorithm=key_algorithm).save(home / "request.json")

    def issue(self, arn: str) -> Issued:
        """Issues what was asked for, because its domain is validated.

        Raises:
            NotIssued: Nobody asked for it.
        """
        with self._lock:
            self.prepare()
            return self._renewed(arn, datetime.now(UTC))

    def issued(self, arn: str, now: datetime | None = None) -> Issued:
        """A certificate, a new one when its end is near.

        Raises:
            NotIssued: It was never issued.
        """
        if not (self._home(arn) / "chain.pem").exists():
            raise NotIssued(arn)
        with self._lock:
            return self._renewed(arn, now or datetime.now(UTC))

    def delete(self, arn: str) -> None:
        """Removes request, certificate and key; what is gone already is no error."""
        with self._lock:
            shutil.rmtree(self._home(arn), ignore_errors=True)

    def _renewed(self, arn: str, now: datetime) -> Issued:
        home = self._home(arn)
        try:
            request = Request.load(home / "request.json")
        except OSError:
            raise NotIssued(arn) from None
        server = Server(chain=home / "chain.pem", key=home / "key.pem", life=LEAF_LIFE, renewal=RENEWAL)
        names = list(dict.fromkeys([*request.names, HOST]))
        # Where it is too long for a common name, the first of the names is among the DNS names alone.
        common_names = [x509.NameAttribute(NameOID.COMMON_NAME, names[0])] if len(names[0]) <= 64 else []
        self._authority.renew(server, x509.Name(common_names), names, request.key_algorithm, now)
        return Issued(chain_pem=server.chain.read_text(), private_key_pem=server.key.read_text())

    def _home(self, arn: str) -> Path:
        return self._folder / arn.rsplit("/", 1)[-1]
