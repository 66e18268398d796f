from __future__ import annotations

from typing import Any

import pulumi
import pytest

from components.pki.certificates import (
    AlternativeName,
    CertificateAuthorityArgs,
    Generation,
    LeafCertificateArgs,
    bundle,
    utc,
)
from settings.certificates import FIRST_GENERATION
from tests.components.examples import CERTIFICATES, authority, changed, leaf
from tests.recording_monitor import ABSENT, is_secret, record
from tests.signed_certificates import authority_pem

KEY = "tls:index/privateKey:PrivateKey"
SELF_SIGNED = "tls:index/selfSignedCert:SelfSignedCert"
SIGNED = "tls:index/locallySignedCert:LocallySignedCert"
REQUEST = "tls:index/certRequest:CertRequest"


def test_an_authority_has_key_and_certificate_per_generation() -> None:
    recording = record(lambda: authority("client"))
    assert [each.name for each in recording.of_type(KEY)] == [
        f"client-authority-{name}-key" for name in ("1", "2", "3")
    ]
    for key in recording.of_type(KEY):
        assert key.inputs == {"algorithm": "ECDSA", "ecdsaCurve": "P256"}
    for name in ("1", "2", "3"):
        made = recording.has_properties(
            SELF_SIGNED,
            f"client-authority-{name}-certificate",
            isCaCertificate=True,
            allowedUses=["cert_signing", "crl_signing"],
            subject={"commonName": f"test-main client CA {name}"},
            setSubjectKeyId=True,
            setAuthorityKeyId=True,
            validityPeriodHours=1826 * 24,
            # No renewal in place, and no path length of 0, which the provider does not emit.
            earlyRenewalHours=ABSENT,
            maxPathLength=ABSENT,
        )
        assert is_secret(made.inputs["privateKeyPem"])


def test_all_generations_are_trusted_and_one_issues() -> None:
    def program() -> None:
        made = authority("client")
        pulumi.export("bundle", made.bundle_pem)
        pulumi.export("issuer", made.issuer.certificate_pem)
        pulumi.export("key", made.issuer.private_key_pem)

    exports = record(program).exports
    assert exports["bundle"].value == "".join(
        authority_pem(f"client-authority-{name}-certificate") for name in ("1", "2", "3")
    )
    assert exports["issuer"].value == authority_pem("client-authority-2-certificate")
    assert not exports["bundle"].secret
    assert exports["key"].secret
    assert "client-authority-2-key" in exports["key"].value


@pytest.mark.parametrize(
    ("purpose", "uses", "dns", "uris", "name"),
    [
        ("server", ["digital_signature", "server_auth"], ["db.internal"], ABSENT, "db.internal"),
        (
            "client",
            ["digital_signature", "client_auth"],
            ABSENT,
            ["spiffe://test-main/role/app_user"],
            "app_user",
        ),
    ],
)
def test_a_leaf_has_one_use_and_an_alternative_name(
    purpose: Any, uses: list[str], dns: Any, uris: Any, name: str
) -> None:
    def program() -> None:
        made = leaf(purpose)
        pulumi.export("key", made.private_key_pem)
        pulumi.export("notAfter", made.not_after)
        pulumi.export("certificate", made.certificate_pem)

    recording = record(program)
    recording.has_properties(REQUEST, subject={"commonName": name}, dnsNames=dns, uris=uris)
    signed = recording.has_properties(
        SIGNED,
        allowedUses=uses,
        isCaCertificate=ABSENT,
        setSubjectKeyId=True,
        validityPeriodHours=90 * 24,
        earlyRenewalHours=30 * 24,
        caCertPem=authority_pem(f"{purpose}-authority-2-certificate"),
    )
    assert is_secret(signed.inputs["caPrivateKeyPem"])
    assert recording.exports["key"].secret
    assert "pkcs8 leaf-key" in recording.exports["key"].value
    assert recording.exports["certificate"].secret is False
    assert recording.exports["notAfter"].value == "2027-02-01T10:00:00Z"


def test_a_role_of_any_spelling_has_a_uri() -> None:
    def program() -> None:
        args = LeafCertificateArgs(issuer=authority("client").issuer, purpose="client", common_name="é a/b")
        assert args.uri == "spiffe://test-main/role/%C3%A9%20a%2Fb"

    record(program)


def certificate_authority_args(**changes: Any) -> CertificateAuthorityArgs:
    usual: dict[str, Any] = {
        "purpose": "client",
        "trust_domain": "main",
        "generations": FIRST_GENERATION,
        "validity_days": 1826,
        "leaves": changed(CERTIFICATES, changes),
    }
    return CertificateAuthorityArgs(**{**usual, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"renew_before_days": 90}, r"renew_before_days: 90; must be less than leaf_validity_days \(90\)"),
        ({"renew_before_days": 0}, r"greater than or equal to 1"),
        ({"validity_days": 90}, r"leaf_validity_days: 90; must be less than .* \(90\)"),
        ({"generations": []}, r"exactly one generation must be 'issuing'"),
        ({"generations": [Generation(name="1", state="trusted")]}, r"exactly one generation"),
        (
            {"generations": [Generation(name="1", state="issuing"), Generation(name="2", state="issuing")]},
            r"issuing are \['1', '2'\]; exactly one",
        ),
        (
            {"generations": [Generation(name="1", state="issuing"), Generation(name="1", state="trusted")]},
            r"each may occur once",
        ),
    ],
)
def test_refused_arguments(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        certificate_authority_args(**changes)


def test_an_authority_signs_for_its_purpose_only() -> None:
    def program() -> None:
        issuer = authority("client").issuer
        with pytest.raises(ValueError, match="must come from an authority with purpose 'server'"):
            LeafCertificateArgs(issuer=issuer, purpose="server", common_name="db.internal")
        with pytest.raises(ValueError, match=r"X\.509 allows 1 to 64"):
            LeafCertificateArgs(issuer=issuer, purpose="client", common_name="r" * 65)
        assert "PRIVATE-KEY" not in repr(issuer)

    record(program)


def test_bundle_and_times() -> None:
    assert bundle(["one", "two\n\n"]) == "one\ntwo\n"
    assert utc("2027-02-01T12:00:00+02:00") == "2027-02-01T10:00:00Z"
    assert utc("2027-02-01T12:00:00Z") == "2027-02-01T12:00:00Z"


def test_a_server_has_no_other_name_than_its_own() -> None:
    def program() -> None:
        with pytest.raises(ValueError, match=r"alternative_name: 'other' for the server 'db\.internal'"):
            LeafCertificateArgs(
                issuer=authority("server").issuer,
                purpose="server",
                common_name="db.internal",
                alternative_name=AlternativeName(kind="dns", value="other"),
            )

    record(program)
