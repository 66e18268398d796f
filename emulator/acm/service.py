"""All certificates of a sandbox's Certificate Manager.

Layout below the state folder:
    public-ca-bundle.pem                     what clients trust
    certificate-manager/authority/           see `public_authority`
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
from cryptography.hazmat.primitives import serialization

from emulator.acm.public_authority import PublicAuthority, new_key
from emulator.core.certificate_building import pem_of_key
from emulator.core.model import ResourceModel
from emulator.core.state_layout import PUBLIC_CA_BUNDLE
from runtime.files import replace_file

HOST = "localhost"
"""In every certificate, beside what was asked for: here all endpoints are there."""
RENEWAL = timedelta(days=45)
"""ACM renews what has that long to live."""


class NotIssued(Exception):
    """There is no certificate of that ARN, or its domain was never validated."""


class Request(ResourceModel):
    """A requested certificate.

    Attributes:
        arn: The certificate's ARN.
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
    """Keeps requests, issues what was validated, renews what was issued.

    Args:
        state_dir: The sandbox's state folder.
    """

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / "certificate-manager"
        self._authority = PublicAuthority(self._folder / "authority", state_dir / PUBLIC_CA_BUNDLE)
        self._lock = threading.RLock()

    def prepare(self) -> None:
        """Makes authority and bundle if they are not there."""
        self._authority.prepare()

    def request(self, arn: str, names: Sequence[str], key_algorithm: str) -> None:
        """Keeps a request; an equal one that is there already is no error."""
        home = self._home(arn)
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        document = Request(arn=arn, names=tuple(names), key_algorithm=key_algorithm)
        replace_file(home / "request.json", document.model_dump_json(by_alias=True, indent=2) + "\n")

    def issue(self, arn: str) -> Issued:
        """Issues what was asked for, because its domain is validated.

        Raises:
            NotIssued: Nobody asked for it.
        """
        try:
            text = (self._home(arn) / "request.json").read_text()
        except OSError:
            raise NotIssued(arn) from None
        with self._lock:
            return self._renewed(Request.model_validate_json(text), datetime.now(UTC))

    def issued(self, arn: str, now: datetime | None = None) -> Issued:
        """A certificate, a new one when its end is near.

        Raises:
            NotIssued: It was never issued.
        """
        if not (self._home(arn) / "chain.pem").exists():
            raise NotIssued(arn)
        with self._lock:
            request = Request.model_validate_json((self._home(arn) / "request.json").read_text())
            return self._renewed(request, now or datetime.now(UTC))

    def delete(self, arn: str) -> None:
        """Removes request, certificate and key; what is gone already is no error."""
        with self._lock:
            shutil.rmtree(self._home(arn), ignore_errors=True)

    def _renewed(self, request: Request, now: datetime) -> Issued:
        found = self._found(request.arn)
        if found is not None and found.leaf.not_valid_after_utc - now > RENEWAL:
            return found
        private = new_key(request.key_algorithm)
        names = list(dict.fromkeys([*request.names, HOST]))
        chain = self._authority.issue(names, private, now)
        home = self._home(request.arn)
        # The key first: a kill in between leaves a pair that does not match, which is made anew.
        replace_file(home / "key.pem", pem_of_key(private), 0o600)
        pems = (certificate.public_bytes(serialization.Encoding.PEM) for certificate in chain)
        replace_file(home / "chain.pem", b"".join(pems), 0o644)
        return Issued(
            chain_pem=(home / "chain.pem").read_text(), private_key_pem=(home / "key.pem").read_text()
        )

    def _found(self, arn: str) -> Issued | None:
        home = self._home(arn)
        try:
            found = Issued(
                chain_pem=(home / "chain.pem").read_text(), private_key_pem=(home / "key.pem").read_text()
            )
            private = serialization.load_pem_private_key(found.private_key_pem.encode(), password=None)
            matches = private.public_key() == found.leaf.public_key()
        except (OSError, ValueError):
            return None
        return found if matches else None

    def _home(self, arn: str) -> Path:
        return self._folder / arn.rsplit("/", 1)[-1]
