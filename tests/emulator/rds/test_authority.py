"""Certificates of the sandbox's RDS: chains like Amazon's, keys for their owner only, renewal in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from emulator.rds.authority import KINDS, Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder = tmp_path_factory.mktemp("authority")
    made = Authority(folder / "authority", folder / "bundle.pem", "eu-central-1")
    made.prepare()
    return made


def not_after(chain: Path) -> datetime:
    return x509.load_pem_x509_certificates(chain.read_bytes())[0].not_valid_after_utc


def verified(chain: Path, roots: list[x509.Certificate], name: str = "localhost") -> None:
    leaf, *issuing = x509.load_pem_x509_certificates(chain.read_bytes())
    verifier = PolicyBuilder().store(Store(roots)).build_server_verifier(x509.DNSName(name))
    verifier.verify(leaf, issuing)


def test_the_bundle_has_the_three_roots_of_the_region(authority):
    roots = x509.load_pem_x509_certificates(authority.bundle.read_bytes())
    assert [root.subject.rfc4514_string().split(",")[0] for root in roots] == [
        f"CN=Amazon RDS eu-central-1 Root CA {name}" for name in ("RSA2048 G1", "RSA4096 G1", "ECC384 G1")
    ]
    assert all("sandbox" in root.subject.rfc4514_string() for root in roots)


@pytest.mark.parametrize("identifier", [name for name in KINDS if "4096" not in name])
def test_a_servers_certificate_is_of_its_authority_for_localhost_alone(authority, tmp_path, identifier):
    chain, key = authority.renew(identifier, tmp_path)
    roots = x509.load_pem_x509_certificates(authority.bundle.read_bytes())
    verified(chain, roots)
    with pytest.raises(VerificationError):
        verified(chain, roots, "127.0.0.1.example")
    with pytest.raises(VerificationError):
        verified(
            chain, [root for root in roots if KINDS[identifier].name not in root.subject.rfc4514_string()]
        )
    leaf = x509.load_pem_x509_certificates(chain.read_bytes())[0]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.DNSName("localhost")]
    assert isinstance(
        leaf.public_key(), rsa.RSAPublicKey if "rsa" in identifier else ec.EllipticCurvePublicKey
    )
    assert key.stat().st_mode & 0o777 == 0o600


def test_keys_are_for_their_owner_only(authority):
    keys = list((authority.bundle.parent / "authority").rglob("*.key"))
    assert keys
    assert all(key.stat().st_mode & 0o777 == 0o600 for key in keys)
    assert b"PRIVATE" not in authority.bundle.read_bytes()


def test_a_certificate_is_renewed_when_its_end_is_near_or_its_kind_changes(authority, tmp_path):
    chain, _ = authority.renew("rds-ca-ecc384-g1", tmp_path)
    first, end = chain.read_bytes(), not_after(chain)
    authority.renew("rds-ca-ecc384-g1", tmp_path, datetime.now(UTC) + timedelta(days=300))
    assert chain.read_bytes() == first
    authority.renew("rds-ca-ecc384-g1", tmp_path, end - timedelta(days=30))
    assert not_after(chain) > end
    second = chain.read_bytes()
    authority.renew("rds-ca-rsa2048-g1", tmp_path)
    assert chain.read_bytes() != second


def test_a_certificate_without_its_key_is_made_anew(authority, tmp_path):
    chain, key = authority.renew("rds-ca-ecc384-g1", tmp_path)
    first = chain.read_bytes()
    key.write_text("half of a key")
    authority.renew("rds-ca-ecc384-g1", tmp_path)
    assert chain.read_bytes() != first


def test_authorities_stay_the_same(authority):
    before = authority.bundle.read_bytes()
    Authority(authority.bundle.parent / "authority", authority.bundle, "eu-central-1").prepare()
    assert authority.bundle.read_bytes() == before
