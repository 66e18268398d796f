from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from emulator.core.properties import UNKNOWN, Secret
from emulator.core.provider import Provider
from emulator.core.servicer import ProviderServer
from emulator.tls.provider import TlsProvider

KEY = "tls:index/privateKey:PrivateKey"
SELF = "tls:index/selfSignedCert:SelfSignedCert"
REQUEST = "tls:index/certRequest:CertRequest"
LEAF = "tls:index/locallySignedCert:LocallySignedCert"
AUTHORITY_USES = ["cert_signing", "crl_signing"]


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: int) -> None:
        self.now += timedelta(**by)


class Issuer:
    """A short way to keys, authorities and leaves through the protocol."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def key(self, algorithm: str = "ECDSA", **more: Any) -> str:
        inputs = {"algorithm": algorithm, **({"ecdsaCurve": "P256"} if algorithm == "ECDSA" else {}), **more}
        return self.client.create(KEY, inputs)[1]["privateKeyPemPkcs8"].value

    def authority_inputs(self, **more: Any) -> dict[str, Any]:
        return {
            "privateKeyPem": Secret(self.key()),
            "subject": {"commonName": "authority", "organization": "o"},
            "isCaCertificate": True,
            "allowedUses": AUTHORITY_USES,
            "setAuthorityKeyId": True,
            "validityPeriodHours": 240,
            **more,
        }

    def leaf_inputs(self, authority_inputs: dict[str, Any], authority: str, **more: Any) -> dict[str, Any]:
        _, request = self.client.create(
            REQUEST,
            {
                "privateKeyPem": Secret(self.key()),
                "subject": {"commonName": "app_user"},
                "dnsNames": ["localhost", "db.internal"],
                "ipAddresses": ["10.0.0.1"],
                "uris": ["spiffe://x/y"],
            },
        )
        return {
            "certRequestPem": request["certRequestPem"],
            "caCertPem": authority,
            "caPrivateKeyPem": authority_inputs["privateKeyPem"],
            "allowedUses": ["digital_signature", "client_auth"],
            "setSubjectKeyId": True,
            "validityPeriodHours": 90,
            **more,
        }


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(serve: Callable[[Provider], ProviderServer], connect: Callable[..., Any], clock: Clock) -> Any:
    return connect(serve(TlsProvider(clock)), {})


@pytest.fixture
def issuer(client: Any) -> Issuer:
    return Issuer(client)


def extensions(pem: str) -> dict[str, bool]:
    """Names and criticality, in order."""
    certificate = x509.load_pem_x509_certificate(pem.encode())
    return {extension.oid._name: extension.critical for extension in certificate.extensions}


@pytest.mark.parametrize(
    ("inputs", "heading", "openssh"),
    [
        ({"algorithm": "ECDSA", "ecdsaCurve": "P256"}, "EC PRIVATE KEY", True),
        ({"algorithm": "ECDSA", "ecdsaCurve": "P384"}, "EC PRIVATE KEY", True),
        ({"algorithm": "ECDSA", "ecdsaCurve": "P521"}, "EC PRIVATE KEY", True),
        ({"algorithm": "ECDSA"}, "EC PRIVATE KEY", False),
        ({"algorithm": "ED25519"}, "PRIVATE KEY", True),
        ({"algorithm": "RSA"}, "RSA PRIVATE KEY", True),
    ],
)
def test_private_keys(client: Any, inputs: dict[str, Any], heading: str, openssh: bool) -> None:
    resource_id, outputs = client.create(KEY, inputs)
    assert len(resource_id) == 40
    assert outputs["ecdsaCurve"] == inputs.get("ecdsaCurve", "P224")
    assert outputs["rsaBits"] == 2048
    assert outputs["privateKeyPem"].value.startswith(f"-----BEGIN {heading}-----\n")
    assert outputs["privateKeyPemPkcs8"].value.startswith("-----BEGIN PRIVATE KEY-----\n")
    assert isinstance(outputs["privateKeyOpenssh"], Secret)
    assert bool(outputs["privateKeyOpenssh"].value) == openssh
    assert outputs["publicKeyFingerprintSha256"].startswith("SHA256:" if openssh else "")
    key = load_pem_private_key(outputs["privateKeyPemPkcs8"].value.encode(), None)
    assert key.public_key() == load_pem_public_key(outputs["publicKeyPem"].encode())


def test_the_key_is_secret_and_unknown_in_a_preview(client: Any) -> None:
    resource_id, outputs = client.create(KEY, {"algorithm": "ECDSA", "ecdsaCurve": "P256"}, preview=True)
    assert resource_id == ""
    assert outputs["privateKeyPem"] == Secret(UNKNOWN)
    assert outputs["publicKeyPem"] is UNKNOWN
    assert outputs["ecdsaCurve"] == "P256"


def test_every_change_of_a_key_replaces_it(client: Any) -> None:
    old = {"algorithm": "ECDSA", "ecdsaCurve": "P256"}
    assert list(client.diff(KEY, old, {}, {**old, "ecdsaCurve": "P384"}).replaces) == ["ecdsaCurve"]


def test_an_authority_and_its_leaf_pass_strict_verification(issuer: Issuer, tmp_path: Path) -> None:
    authority_inputs = issuer.authority_inputs()
    resource_id, authority = issuer.client.create(SELF, authority_inputs)
    _, leaf = issuer.client.create(LEAF, issuer.leaf_inputs(authority_inputs, authority["certPem"]))
    (tmp_path / "ca.pem").write_text(authority["certPem"])
    (tmp_path / "leaf.pem").write_text(leaf["certPem"])
    moment = str(int(datetime(2026, 11, 24, tzinfo=UTC).timestamp()))
    verified = subprocess.run(
        [
            *["openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", "ca.pem", "-attime"],
            moment,
            "leaf.pem",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stderr
    certificate = x509.load_pem_x509_certificate(authority["certPem"].encode())
    assert resource_id == str(certificate.serial_number)
    assert extensions(authority["certPem"]) == {
        "keyUsage": True,
        "basicConstraints": True,
        "subjectKeyIdentifier": False,
        "authorityKeyIdentifier": False,
    }
    assert extensions(leaf["certPem"]) == {
        "keyUsage": True,
        "extendedKeyUsage": False,
        "basicConstraints": True,
        "subjectKeyIdentifier": False,
        "authorityKeyIdentifier": False,
        "subjectAltName": False,
    }
    assert (leaf["keyAlgorithm"] if "keyAlgorithm" in leaf else leaf["caKeyAlgorithm"]) == "ECDSA"
    assert leaf["validityStartTime"] == "2026-11-23T12:00:00Z"
    assert leaf["validityEndTime"] == "2026-11-27T06:00:00Z"
    parsed = x509.load_pem_x509_certificate(leaf["certPem"].encode())
    assert parsed.issuer == certificate.subject
    names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "db.internal"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1"]
    usage = parsed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_serial_numbers_are_random_and_long(issuer: Issuer) -> None:
    inputs = issuer.authority_inputs()
    serials = {int(issuer.client.create(SELF, inputs)[0]) for _ in range(8)}
    assert len(serials) == 8
    assert max(serials).bit_length() > 110
    assert max(serials).bit_length() <= 128


@pytest.mark.parametrize(("wanted", "emitted"), [(None, None), (-1, None), (0, None), (1, 1), (3, 3)])
def test_a_path_length_of_zero_is_not_emitted(
    issuer: Issuer, wanted: int | None, emitted: int | None
) -> None:
    more = {} if wanted is None else {"maxPathLength": wanted}
    _, outputs = issuer.client.create(SELF, issuer.authority_inputs(**more))
    certificate = x509.load_pem_x509_certificate(outputs["certPem"].encode())
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, emitted)
    assert outputs.get("maxPathLength") == wanted


def test_key_ids_are_emitted_only_where_asked_for(issuer: Issuer) -> None:
    authority_inputs = issuer.authority_inputs(setAuthorityKeyId=False)
    _, authority = issuer.client.create(SELF, authority_inputs)
    assert "authorityKeyIdentifier" not in extensions(authority["certPem"])
    assert "subjectKeyIdentifier" in extensions(authority["certPem"])
    leaf_inputs = issuer.leaf_inputs(authority_inputs, authority["certPem"], setSubjectKeyId=False)
    _, leaf = issuer.client.create(LEAF, leaf_inputs)
    assert "subjectKeyIdentifier" not in extensions(leaf["certPem"])
    assert "authorityKeyIdentifier" in extensions(leaf["certPem"])


def test_an_authority_key_id_needs_a_subject_key_id(issuer: Issuer) -> None:
    inputs = issuer.authority_inputs(isCaCertificate=False)
    assert issuer.client.check(SELF, inputs)[1] == []
    issuer.client.create(SELF, inputs, preview=True)
    with pytest.raises(grpc.RpcError, match="Could not determine Authority Key Identifier"):
        issuer.client.create(SELF, inputs)
    issuer.client.create(SELF, {**inputs, "setSubjectKeyId": True})


def test_an_authority_without_subject_is_refused_at_apply_only(issuer: Issuer) -> None:
    inputs = issuer.authority_inputs(subject={})
    assert issuer.client.check(SELF, inputs)[1] == []
    issuer.client.create(SELF, inputs, preview=True)
    with pytest.raises(grpc.RpcError, match="Must contain at least one Distinguished Name"):
        issuer.client.create(SELF, inputs)


def test_a_bad_use_is_refused_in_the_preview(issuer: Issuer) -> None:
    _, failures = issuer.client.check(SELF, issuer.authority_inputs(allowedUses=["cert_signing", "sign"]))
    assert len(failures) == 1
    assert failures[0].startswith(
        "allowedUses[1]: Invalid Attribute Value Match: must be one of: any_extended"
    )
    assert failures[0].endswith("got: 'sign'")


def test_other_refusals_of_the_preview(issuer: Issuer) -> None:
    check = issuer.client.check
    assert "got: 'DSA'" in check(KEY, {"algorithm": "DSA"})[1][0]
    assert "got: 'P25'" in check(KEY, {"algorithm": "ECDSA", "ecdsaCurve": "P25"})[1][0]
    both = issuer.authority_inputs(privateKeyPemWo=Secret("x"), privateKeyPemWoVersion=1)
    assert "exactly one of privateKeyPem and privateKeyPemWo" in check(SELF, both)[1][0]
    assert "must be at least -1, got: -2" in check(SELF, issuer.authority_inputs(maxPathLength=-2))[1][0]
    assert check(SELF, issuer.authority_inputs(allowedUses=[UNKNOWN], validityPeriodHours=UNKNOWN))[1] == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"certRequestPem": "nonsense"}, "Failed to parse certificate request PEM"),
        ({"caCertPem": "nonsense"}, "Failed to parse CA certificate PEM"),
        ({"caPrivateKeyPem": Secret("nonsense")}, "Failed to parse CA private key PEM: ValueError"),
        ({"maxPathLength": 1}, "only CAs are allowed to specify MaxPathLen"),
    ],
)
def test_refusals_of_a_leaf_at_apply(issuer: Issuer, change: dict[str, Any], message: str) -> None:
    authority_inputs = issuer.authority_inputs()
    _, authority = issuer.client.create(SELF, authority_inputs)
    inputs = issuer.leaf_inputs(authority_inputs, authority["certPem"])
    with pytest.raises(grpc.RpcError) as refused:
        issuer.client.create(LEAF, {**inputs, **change})
    assert refused.match(message)


def test_the_authoritys_key_must_be_the_authoritys(issuer: Issuer) -> None:
    authority_inputs = issuer.authority_inputs()
    _, authority = issuer.client.create(SELF, authority_inputs)
    inputs = issuer.leaf_inputs(authority_inputs, authority["certPem"], caPrivateKeyPem=Secret(issuer.key()))
    with pytest.raises(grpc.RpcError, match="provided PrivateKey doesn't match parent's PublicKey"):
        issuer.client.create(LEAF, inputs)


def test_a_name_that_does_not_fit_is_refused(issuer: Issuer) -> None:
    with pytest.raises(grpc.RpcError, match="Invalid Certificate Subject: commonName"):
        issuer.client.create(SELF, issuer.authority_inputs(subject={"commonName": "x" * 65}))
    with pytest.raises(grpc.RpcError, match=r"'10\.0\.0' does not appear to be an IPv4 or IPv6 address"):
        issuer.client.create(SELF, issuer.authority_inputs(ipAddresses=["10.0.0"]))


def test_uris_are_parsed(issuer: Issuer) -> None:
    inputs = issuer.authority_inputs(uris=["spiffe://x/a b", "urn:x"])
    _, outputs = issuer.client.create(SELF, inputs)
    certificate = x509.load_pem_x509_certificate(outputs["certPem"].encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://x/a%20b", "urn:x"]
    for bad in ("::bad", ":", "1x:y"):
        with pytest.raises(grpc.RpcError, match=f'parse "{bad}"'):
            issuer.client.create(SELF, issuer.authority_inputs(uris=[bad]))


def test_another_path_length_replaces_the_certificate(issuer: Issuer) -> None:
    authority_inputs = issuer.authority_inputs()
    _, authority = issuer.client.create(SELF, authority_inputs)
    inputs = issuer.leaf_inputs(authority_inputs, authority["certPem"], isCaCertificate=True)
    for token, old in ((SELF, authority_inputs), (LEAF, inputs)):
        _, outputs = issuer.client.create(token, old)
        assert list(issuer.client.diff(token, old, outputs, {**old, "maxPathLength": 1}).replaces) == [
            "maxPathLength"
        ]


def test_write_only_keys_work_and_stay_out_of_the_outputs(issuer: Issuer) -> None:
    key = issuer.key()
    inputs = issuer.authority_inputs(privateKeyPemWo=Secret(key), privateKeyPemWoVersion=1)
    del inputs["privateKeyPem"]
    _, outputs = issuer.client.create(SELF, inputs)
    assert "privateKeyPemWo" not in outputs
    assert outputs["privateKeyPemWoVersion"] == 1
    certificate = x509.load_pem_x509_certificate(outputs["certPem"].encode())
    signer = load_pem_private_key(key.encode(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    assert certificate.public_key() == signer.public_key()
    other = {**inputs, "privateKeyPemWo": Secret(issuer.key())}
    assert list(issuer.client.diff(SELF, inputs, outputs, other).diffs) == []
    newer = {**other, "privateKeyPemWoVersion": 2}
    assert list(issuer.client.diff(SELF, inputs, outputs, newer).replaces) == ["privateKeyPemWoVersion"]
    without = {name: value for name, value in inputs.items() if name != "privateKeyPemWoVersion"}
    assert "privateKeyPemWo requires privateKeyPemWoVersion" in issuer.client.check(SELF, without)[1][0]


def test_renewal_replaces_inside_the_window_without_a_refresh(issuer: Issuer, clock: Clock) -> None:
    inputs = issuer.authority_inputs(validityPeriodHours=100, earlyRenewalHours=10)
    resource_id, outputs = issuer.client.create(SELF, inputs)
    assert outputs["readyForRenewal"] is False
    clock.advance(hours=89)
    assert list(issuer.client.diff(SELF, inputs, outputs, inputs).diffs) == []
    assert issuer.client.read(SELF, resource_id, inputs, outputs)[1]["readyForRenewal"] is False
    clock.advance(hours=1)
    assert list(issuer.client.diff(SELF, inputs, outputs, inputs).replaces) == ["readyForRenewal"]
    assert issuer.client.create(SELF, inputs, preview=True)[1]["readyForRenewal"] is False
    refreshed = issuer.client.read(SELF, resource_id, inputs, outputs)[1]
    assert refreshed == {**outputs, "readyForRenewal": True}
    assert list(issuer.client.diff(SELF, inputs, refreshed, inputs).replaces) == ["readyForRenewal"]


def test_early_renewal_changes_in_place_outside_the_window(issuer: Issuer, clock: Clock) -> None:
    inputs = issuer.authority_inputs(validityPeriodHours=100, earlyRenewalHours=10)
    resource_id, outputs = issuer.client.create(SELF, inputs)
    clock.advance(hours=50)
    wider = {**inputs, "earlyRenewalHours": 40}
    difference = issuer.client.diff(SELF, inputs, outputs, wider)
    assert (list(difference.diffs), list(difference.replaces)) == (["earlyRenewalHours"], [])
    updated = issuer.client.update(SELF, resource_id, inputs, outputs, wider)
    assert updated == {**outputs, "earlyRenewalHours": 40}
    widest = {**inputs, "earlyRenewalHours": 50}
    assert list(issuer.client.diff(SELF, inputs, outputs, widest).replaces) == ["readyForRenewal"]


def test_early_renewal_of_the_whole_life_replaces_at_once(issuer: Issuer) -> None:
    inputs = issuer.authority_inputs(validityPeriodHours=100, earlyRenewalHours=100)
    _, outputs = issuer.client.create(SELF, inputs)
    assert list(issuer.client.diff(SELF, inputs, outputs, inputs).replaces) == ["readyForRenewal"]


def test_a_new_authority_replaces_its_leaves(issuer: Issuer) -> None:
    authority_inputs = issuer.authority_inputs()
    _, authority = issuer.client.create(SELF, authority_inputs)
    inputs = issuer.leaf_inputs(authority_inputs, authority["certPem"])
    _, outputs = issuer.client.create(LEAF, inputs)
    assert list(issuer.client.diff(LEAF, inputs, outputs, {**inputs, "caCertPem": UNKNOWN}).replaces) == [
        "caCertPem"
    ]


def test_a_leaf_that_shares_the_authoritys_subject_has_no_authority_key_id(issuer: Issuer) -> None:
    authority_inputs = issuer.authority_inputs(subject={"commonName": "app_user"})
    _, authority = issuer.client.create(SELF, authority_inputs)
    _, leaf = issuer.client.create(LEAF, issuer.leaf_inputs(authority_inputs, authority["certPem"]))
    assert "authorityKeyIdentifier" not in extensions(leaf["certPem"])
