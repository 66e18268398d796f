"""The value of an identity's secret: a certificate chain and its private key, as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class IdentityDocument:
    """The identity of a server, a role or a client of the gateway.

    Attributes:
        certificate: PEM chain, leaf first.
        private_key: PKCS#8 PEM. Secret.
    """

    certificate: str
    private_key: str = field(repr=False)

    def render(self) -> str:
        """The SecretString `{"certificate": PEM, "privateKey": PEM}`; machines know it by its SHA-256."""
        document = {"certificate": self.certificate, "privateKey": self.private_key}
        return json.dumps(document, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> IdentityDocument:
        """What `render` wrote.

        Raises:
            ValueError: it is something else; the message never quotes it.
        """
        try:
            document = json.loads(text)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise ValueError("it is not a JSON object")  # noqa: TRY004 - the document is wrong, not its type
        certificate, private_key = document.get("certificate"), document.get("privateKey")
        if not isinstance(certificate, str) or not isinstance(private_key, str):
            raise ValueError("it must have the strings certificate and privateKey")  # noqa: TRY004
        return cls(certificate=certificate, private_key=private_key)
