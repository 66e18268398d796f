"""What a file holds, told without a part of it."""

from __future__ import annotations

import pytest

from runtime.pem_text import held


def block(label: str, body: str = "QUJD") -> str:
    return f"-----BEGIN {label}-----\n{body}\n-----END {label}-----\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "nothing"),
        ("\n", "nothing"),
        ("words", "no PEM block (-----BEGIN …-----)"),
        (block("CERTIFICATE"), "a certificate"),
        (block("EC PRIVATE KEY") + block("CERTIFICATE") * 2, "a private key, then 2 certificates"),
        (block("ENCRYPTED PRIVATE KEY"), "an encrypted private key"),
        (
            block("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nQUJD"),
            "an encrypted private key",
        ),
        (block("EC PARAMETERS") + block("EC PRIVATE KEY"), "a set of curve parameters, then a private key"),
        (block("X509 CRL"), "a revocation list"),
        (block("CERTIFICATE REQUEST"), "a certificate request"),
        (block("OPENSSH PRIVATE KEY"), "a private key"),
        (block("TRUSTED CERTIFICATE"), "a trusted certificate"),
        (block("CERTIFICATE")[:40], "a certificate without its END"),
        (b"\x30\x82\x01\x02\xff", "binary data, such as DER or PKCS#12"),
    ],
)
def test_what_a_file_holds(content: str | bytes, said: str) -> None:
    found = held(content)
    assert found.startswith(said)
    assert "QUJD" not in found
