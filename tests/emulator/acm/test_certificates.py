"""Certificates that stand for public ones: what they are for, how long they live, who can read their keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.verification import PolicyBuilder, Store

from emulator.acm.service import HOST, LEAF_LIFE, RENEWAL, Certificates, NotIssued
from emulator.core.certificate_building import new_key

ARN = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-4000-8000-000000000000"


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    made = Certificates(tmp_path)
    made.request(ARN, ["gateway.test", "*.gateway.test"], "EC_prime256v1")
    return made


def test_nothing_is_issued_before_it_is_validated_or_that_nobody_asked_for(certificates):
    with pytest.raises(NotIssued):
        certificates.issued(ARN)
    with pytest.raises(NotIssued):
        certificates.issue(ARN.replace("00000000-", "11111111-"))
    certificates.issue(ARN)
    assert certificates.issued(ARN)


@pytest.mark.parametrize("name", ["gateway.test", "a.gateway.test", HOST])
def test_a_client_that_trusts_the_bundle_accepts_every_name(certificates, tmp_path, name):
    chain = x509.load_pem_x509_certificates(certificates.issue(ARN).chain_pem.encode())
    roots = x509.load_pem_x509_certificates((tmp_path / "public-ca-bundle.pem").read_bytes())
    verifier = PolicyBuilder().store(Store(roots)).build_server_verifier(x509.DNSName(name))
    assert verifier.verify(chain[0], chain[1:])


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [("RSA_2048", rsa.RSAPrivateKey), ("EC_prime256v1", ec.EllipticCurvePrivateKey),
     ("EC_secp384r1", ec.EllipticCurvePrivateKey)],
)  # fmt: skip
def test_keys_are_of_the_algorithm_that_was_asked_for(certificates, algorithm, kind):
    certificates.request(ARN, ["gateway.test"], algorithm)
    pem = certificates.issue(ARN).private_key_pem.encode()
    assert isinstance(serialization.load_pem_private_key(pem, password=None), kind)


def test_an_unknown_algorithm_is_refused_by_name():
    with pytest.raises(ValueError, match="'RSA_512'"):
        new_key("RSA_512")


def test_a_certificate_stays_the_same_until_its_renewal_and_is_another_one_then(certificates):
    first = certificates.issue(ARN)
    assert certificates.issue(ARN) == first
    near = datetime.now(UTC) + LEAF_LIFE - RENEWAL + timedelta(hours=1)
    assert certificates.issued(ARN, near - timedelta(days=1)) == first
    renewed = certificates.issued(ARN, near)
    assert renewed.leaf.serial_number != first.leaf.serial_number
    assert certificates.issued(ARN) == renewed


def test_a_key_that_does_not_match_is_made_anew(certificates, tmp_path):
    certificates.issue(ARN)
    (chain,) = tmp_path.glob("certificate-manager/0*/chain.pem")
    other = Certificates(tmp_path / "other")
    other.request(ARN, ["gateway.test"], "EC_prime256v1")
    chain.write_text(other.issue(ARN).chain_pem)
    found = certificates.issued(ARN)
    key = serialization.load_pem_private_key(found.private_key_pem.encode(), password=None)
    assert key.public_key() == found.leaf.public_key()


def test_keys_are_readable_by_their_owner_alone_and_in_no_text(certificates, tmp_path):
    issued = certificates.issue(ARN)
    keys = [*tmp_path.rglob("*.key"), *tmp_path.rglob("key.pem")]
    assert len(keys) == 3
    assert {key.stat().st_mode & 0o777 for key in keys} == {0o600}
    assert "PRIVATE" not in repr(issued)


def test_a_deleted_certificate_is_gone(certificates):
    certificates.issue(ARN)
    certificates.delete(ARN)
    certificates.delete(ARN)
    with pytest.raises(NotIssued):
        certificates.issued(ARN)
