"""What a trust store is given: certificates alone, whatever the file held beside them."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.pki.pem_bundle import certificate_bundle, certificates, revocation_list
from tests.recording_monitor import pem

FIRST, SECOND = pem("CERTIFICATE", "first" * 40), pem("CERTIFICATE", "second")


def wrapped(content: bytes) -> str:
    encoded = base64.b64encode(content).decode()
    lines = [encoded[start : start + 64] for start in range(0, len(encoded), 64)]
    return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])


def test_blank_lines_comments_and_text_dumps_are_left_out() -> None:
    dump = "Certificate:\n    Data:\n        Version: 3 (0x2)\n"
    text = f"\n\n# an authority - the first\n{dump}{SECOND}\n\n\r\n{SECOND}"
    assert certificate_bundle(text) == SECOND


def test_lines_have_64_characters_and_the_order_stays() -> None:
    bundle = certificate_bundle(FIRST + SECOND)
    assert max(len(line) for line in bundle.splitlines()) == 64
    assert bundle.count("BEGIN") == 2
    assert bundle.endswith(SECOND)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no '-----BEGIN CERTIFICATE-----'"),
        ("no block here", "holds no '-----BEGIN CERTIFICATE-----'"),
        (pem("EC PRIVATE KEY", "hidden"), "block 1 is 'EC PRIVATE KEY'"),
        (SECOND + pem("X509 CRL", "list"), "block 2 is 'X509 CRL'"),
        ("-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n", "is not base64"),
    ],
)
def test_what_is_no_bundle_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        certificate_bundle(text)
    assert base64.b64encode(b"hidden").decode() not in str(refused.value)


def test_a_revocation_list_is_one() -> None:
    one = pem("X509 CRL", "list")
    assert revocation_list(f"\n\ncomment\n{one}") == one
    with pytest.raises(ValueError, match="holds 2 certificate revocation lists"):
        revocation_list(one + pem("X509 CRL", "another"))


@given(
    st.lists(st.binary(min_size=1, max_size=400), min_size=1, max_size=5, unique=True),
    st.text(alphabet=st.characters(exclude_characters="-"), max_size=80),
)
def test_what_comes_out_has_no_blank_line_and_goes_in_again_unchanged(
    contents: list[bytes], beside: str
) -> None:
    bundle = certificate_bundle("".join(f"{beside}\n\n{wrapped(each)}\n" for each in contents))
    assert bundle == "".join(wrapped(each) for each in contents)
    assert "" not in bundle.rstrip("\n").split("\n")
    assert certificate_bundle(bundle) == bundle
    assert len(certificates(bundle)) == len(contents)
