"""Revocation lists: what is signed, when a new one is, and that the key stays where it belongs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pulumi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from components.pki import revocation_list
from components.pki.revocation_list import (
    RevocationListArgs,
    RevocationListProvider,
    SigningError,
    is_due,
    normalised_serials,
    sign,
    signed_list,
)
from tests.components import examples
from tests.recording_monitor import is_secret, plain, record

NOW = datetime(2027, 1, 31, 12, 0, tzinfo=UTC)
MARKER = "PRIVATE-KEY-MARKER"


def authority(key: Any, *, with_identifier: bool = True) -> str:
    name = x509.Name.from_rfc4514_string("CN=test gateway client CA 1")
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1000))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    if with_identifier:
        builder = builder.add_extension(x509.SubjectKeyIdentifier(b"an identifier"), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def key_pem(key: Any) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL
        if not isinstance(key, ed25519.Ed25519PrivateKey)
        else serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


KEY = ec.generate_private_key(ec.SECP256R1())
CERTIFICATE = authority(KEY)
KEY_PEM = key_pem(KEY)


def signed(serials: list[str], **changes: Any) -> revocation_list.SignedList:
    since = dict.fromkeys(serials, "2027-01-01T00:00:00Z")
    arguments: dict[str, Any] = {
        "private_key_pem": KEY_PEM,
        "certificate_pem": CERTIFICATE,
        "serials": serials,
        "validity_days": 30,
        "previous_number": 0,
        "revoked_since": since,
        "now": NOW,
    }
    return sign(**{**arguments, **changes})


@given(st.sets(st.integers(min_value=1, max_value=(1 << 159) - 1), max_size=8))
def test_the_list_names_exactly_the_revoked_and_the_authority_signed_it(numbers: set[int]) -> None:
    made = signed([f"{number:x}" for number in sorted(numbers)])
    found = x509.load_pem_x509_crl(made.pem.encode())
    assert {each.serial_number for each in found} == numbers
    assert found.is_signature_valid(KEY.public_key())
    assert not found.is_signature_valid(ec.generate_private_key(ec.SECP256R1()).public_key())


def test_what_stands_in_a_list() -> None:
    made = signed(["a0b"])
    found = x509.load_pem_x509_crl(made.pem.encode())
    assert found.issuer == x509.load_pem_x509_certificate(CERTIFICATE.encode()).subject
    assert found.next_update_utc == NOW + timedelta(days=30)
    assert made.next_update == "2027-03-02T12:00:00Z"
    assert NOW - timedelta(minutes=10) < found.last_update_utc <= NOW
    assert found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == made.number
    key_id = found.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert key_id == b"an identifier"
    (entry,) = found
    assert entry.revocation_date_utc == datetime(2027, 1, 1, tzinfo=UTC)


def test_an_authority_without_key_identifier_can_sign() -> None:
    made = signed([], certificate_pem=authority(KEY, with_identifier=False))
    assert x509.load_pem_x509_crl(made.pem.encode()).is_signature_valid(KEY.public_key())


def test_numbers_only_grow_also_when_the_list_is_made_anew() -> None:
    first = signed([])
    assert signed([], previous_number=first.number).number == first.number + 1
    assert signed([], now=NOW + timedelta(hours=1)).number > first.number


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"private_key_pem": "no key"}, "cannot be read"),
        ({"certificate_pem": "no certificate"}, "cannot be read"),
        ({"private_key_pem": key_pem(ec.generate_private_key(ec.SECP256R1()))}, "is not the one of its"),
        ({"private_key_pem": key_pem(ed25519.Ed25519PrivateKey.generate())}, "neither ECDSA nor RSA"),
    ],
    ids=["no key", "no certificate", "another key", "Ed25519"],
)
def test_what_cannot_sign_is_told_without_the_key(changes: dict[str, str], said: str) -> None:
    with pytest.raises(SigningError, match=said) as refused:
        signed([], **changes)
    assert "BEGIN" not in str(refused.value)


def test_a_list_is_due_in_its_renewal_window_and_not_before() -> None:
    end = "2027-03-02T12:00:00Z"
    opens = datetime(2027, 2, 16, 12, tzinfo=UTC)
    assert not is_due(end, 14, opens - timedelta(seconds=1))
    assert is_due(end, 14, opens)
    assert is_due(end, 14, opens + timedelta(days=400))


def test_serial_numbers_are_the_same_however_they_are_written() -> None:
    assert normalised_serials(["0A:0B", "a0b", "A0B", "ff"]) == ("ff", "a0b")


@pytest.mark.parametrize("serial", ["", "0", "-1", "xyz", "0x10", "f" * 41, ":"])
def test_what_is_no_serial_number_is_refused(serial: str) -> None:
    with pytest.raises(ValueError, match="serials: "):
        normalised_serials([serial])


@pytest.mark.parametrize("renew", [0, 30, 31])
def test_a_list_that_every_run_would_renew_is_refused(renew: int) -> None:
    with pytest.raises(ValueError, match=r"renew_before_days: .*must be from 1 to 29"):
        RevocationListArgs(private_key_pem="", certificate_pem="", validity_days=30, renew_before_days=renew)


ASKED = {
    "privateKeyPem": KEY_PEM,
    "certificatePem": CERTIFICATE,
    "serials": ["a0b"],
    "issued": {},
    "validityDays": 30,
    "renewBeforeDays": 14,
}


def test_the_provider_keeps_a_list_until_something_changes() -> None:
    provider = RevocationListProvider()
    olds = provider.create(ASKED).outs
    assert olds is not None
    assert not provider.diff("id", olds, ASKED).changes
    # Numbers come back from the engine as floats.
    assert not provider.diff("id", {**olds, "validityDays": 30.0, "renewBeforeDays": 14.0}, ASKED).changes
    assert provider.diff("id", olds, {**ASKED, "serials": ["a0b", "c"]}).changes
    assert provider.diff("id", olds, {**ASKED, "serials": []}).changes
    assert provider.diff("id", olds, {**ASKED, "certificatePem": authority(KEY)}).changes
    soon = (datetime.now(UTC) + timedelta(days=13)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert provider.diff("id", {**olds, "nextUpdate": soon}, ASKED).changes


def test_a_revoked_certificate_stays_revoked_since_when_it_was() -> None:
    provider = RevocationListProvider()
    olds = provider.create(ASKED).outs
    assert olds is not None
    olds = {**olds, "revokedSince": {"a0b": "2026-05-01T00:00:00Z"}, "number": float(olds["number"])}
    news = provider.update("id", olds, {**ASKED, "serials": ["a0b", "c"]}).outs
    assert news is not None
    assert news["number"] > olds["number"]
    assert news["revokedSince"]["a0b"] == "2026-05-01T00:00:00Z"
    found = x509.load_pem_x509_crl(news["pem"].encode())
    entry = found.get_revoked_certificate_by_serial_number(0xA0B)
    assert entry is not None
    assert entry.revocation_date_utc == datetime(2026, 5, 1, tzinfo=UTC)
    assert found.get_revoked_certificate_by_serial_number(0xC) is not None


def leaf(serial: int, *, ends: timedelta = timedelta(days=90)) -> str:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name.from_rfc4514_string("CN=billing"))
        .issuer_name(x509.Name.from_rfc4514_string("CN=test gateway client CA 1"))
        .public_key(KEY.public_key())
        .serial_number(serial)
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + ends)
    )
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def revoked(outs: Any) -> set[int]:
    return {each.serial_number for each in x509.load_pem_x509_crl(outs["pem"].encode())}


def following(*steps: dict[str, str]) -> Any:
    """Outputs of the last of several lists, each with other clients than the one before."""
    provider = RevocationListProvider()
    outs = provider.create({**ASKED, "serials": [], "issued": steps[0]}).outs
    for issued in steps[1:]:
        asked = {**ASKED, "serials": [], "issued": issued}
        # The state of the engine is JSON.
        olds = json.loads(json.dumps(outs))
        assert provider.diff("id", olds, asked).changes
        outs = provider.update("id", olds, asked).outs
    return outs


BILLING, LEDGER = {"billing, uri a": leaf(0x1)}, {"ledger, dns b": leaf(0x2)}


@pytest.mark.parametrize(
    ("steps", "serials"),
    [
        ([BILLING | LEDGER, LEDGER], {1}),
        ([BILLING | LEDGER, LEDGER, LEDGER | {"x, uri x": leaf(9)}], {1}),
        ([BILLING | LEDGER, {}], {1, 2}),
        ([BILLING, {"billing, uri other": leaf(0x3)}], {1}),
        ([BILLING, {"other, uri a": leaf(0x3)}], {1}),
        ([BILLING, {"billing, uri a": leaf(0x3)}], set()),
        ([BILLING, {"billing, uri a": leaf(0x3)}, LEDGER], {1, 3}),
        ([BILLING, LEDGER, BILLING | LEDGER, {"billing, uri a": leaf(0x4)} | LEDGER], {1}),
        ([{"billing, uri a": leaf(0x5, ends=timedelta(days=-1))}, LEDGER], set()),
    ],
    ids=[
        "removed",
        "and later",
        "all removed",
        "another identity",
        "another name",
        "renewed",
        "renewed and removed",
        "there again",
        "ended",
    ],
)
def test_a_client_that_goes_away_is_revoked_with_all_its_certificates(
    steps: list[dict[str, str]], serials: set[int]
) -> None:
    assert revoked(following(*steps)) == serials


def test_who_has_gone_is_not_forgotten_where_a_list_cannot_be_signed() -> None:
    provider = RevocationListProvider()
    known = provider.create({**ASKED, "serials": [], "issued": BILLING}).outs
    assert known is not None
    for wrong in ({"privateKeyPem": "no key"}, {"issued": {"ledger, dns b": "no certificate"}}):
        failed = provider.update("id", known, {**ASKED, "serials": [], "issued": {}, **wrong}).outs
        assert failed is not None
        assert failed["problem"]
        assert revoked(provider.update("id", failed, {**ASKED, "serials": [], "issued": {}}).outs) == {1}


def test_a_list_from_before_clients_were_known_is_signed_again() -> None:
    provider = RevocationListProvider()
    olds = provider.create(ASKED).outs
    assert olds is not None
    earlier = {key: value for key, value in olds.items() if key not in ("issued", "clients", "removed")}
    assert provider.diff("id", earlier, ASKED).changes
    assert revoked(provider.update("id", earlier, {**ASKED, "issued": BILLING}).outs) == {0xA0B}


def test_no_output_of_the_provider_holds_the_key() -> None:
    outs = RevocationListProvider().create(ASKED).outs
    assert KEY_PEM.splitlines()[1] not in json.dumps(outs)
    assert "privateKeyPem" not in (outs or {})


def test_a_list_that_cannot_be_signed_is_an_error_of_the_program_and_tried_again() -> None:
    provider = RevocationListProvider()
    outs = provider.create({**ASKED, "privateKeyPem": "no key"}).outs
    assert outs is not None
    assert provider.diff("id", outs, ASKED).changes
    with pytest.raises(pulumi.RunError, match=r"revocation list clients: .*cannot be read"):
        signed_list("clients", outs["pem"], outs["problem"])
    assert signed_list("clients", "a list", "") == "a list"


def test_the_key_is_a_secret_input_and_each_generation_has_its_list() -> None:
    recording = record(examples.client_revocation, marker=MARKER)
    lists = recording.of_type("pulumi-python:dynamic/passwordless-postgres:RevocationList")
    assert [each.name for each in lists] == ["gateway-authority-1-revoked", "gateway-authority-2-revoked"]
    for each in lists:
        assert is_secret(each.inputs["privateKeyPem"])
        assert MARKER in plain(each.inputs["privateKeyPem"])
        assert plain(each.inputs)["serials"] == ["a0b"]
        assert plain(each.inputs)["issued"] == {"a": "x"}
        # Where a state of an earlier version has them, with what they remember.
        (former,) = each.request.aliases
        assert former.spec.parentUrn.endswith(":ClientAuthority::gateway-authority")
