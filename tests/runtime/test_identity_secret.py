"""The identity's secret: one format, written by the program and read by machines and clients."""

from __future__ import annotations

import pytest

from runtime.identity_secret import IdentityDocument


def test_what_is_rendered_is_parsed_again() -> None:
    document = IdentityDocument(certificate="chain\n", private_key="a-secret\n")
    # Machines know the text by its SHA-256, so that another order or space is another desired state.
    assert document.render() == '{"certificate":"chain\\n","privateKey":"a-secret\\n"}'
    assert IdentityDocument.parse(document.render()) == document
    assert "a-secret" not in repr(document)


@pytest.mark.parametrize(
    ("text", "telling"),
    [
        ("", "not a JSON object"),
        ("a-secret", "not a JSON object"),
        ('["a-secret"]', "not a JSON object"),
        ('{"certificate": "a-secret"}', "must have the strings certificate and privateKey"),
        ('{"certificate": 1, "privateKey": "a-secret"}', "must have the strings certificate and privateKey"),
    ],
)
def test_something_else_is_told_without_quoting_it(text: str, telling: str) -> None:
    with pytest.raises(ValueError, match=telling) as raised:
        IdentityDocument.parse(text)
    assert "a-secret" not in str(raised.value)
