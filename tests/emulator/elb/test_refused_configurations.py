"""What AWS refuses when it is uploaded or set is refused before anybody connects."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from emulator.acm.service import Issued
from emulator.elb.data_plane.ca_bundle import read_ca_bundle
from emulator.elb.data_plane.client_tls import ClientTls
from emulator.elb.data_plane.forwarded_headers import RENAMEABLE
from emulator.elb.data_plane.server import ListenerServer
from emulator.elb.data_plane.ssl_policies import SSL_POLICIES, ssl_policy
from emulator.elb.data_plane.targets import Member
from emulator.elb.model import ConfigurationRefused, HealthCheck, Listener, Target
from tests.emulator.elb.conftest import LISTENER


def test_a_bundle_of_pem_blocks_and_comments_is_read(certificates: Any) -> None:
    one, two = certificates.authority("One"), certificates.authority("Two")
    store = read_ca_bundle(f"# the first\n{one.pem}# the second\n{two.pem}")
    assert store.authorities == (one.certificate, two.certificate)
    assert read_ca_bundle(one.pem.removesuffix("\n")).authorities == (one.certificate,)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda pem: f"{pem}\n{pem}", "blank"),
        (lambda pem: f"Certificate:\n    Data:\n{pem}", "line 1: 'Certificate:'"),
        (lambda pem: f"# made-up\n{pem}", "no hyphen"),
        (lambda pem: pem.replace("\n", "\r\n"), "line 1"),
        (lambda pem: pem.replace("-----END CERTIFICATE-----\n", ""), "has no end"),
        (lambda _: "", "is empty"),
        (lambda _: "# nothing\n", "holds no certificate"),
        (lambda pem: pem * 26, "26 certificates; at most 25"),
        (lambda _: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "not a certificate"),
        (lambda _: "-----BEGIN CERTIFICATE-----\nA-A\n-----END CERTIFICATE-----\n", "not base64"),
        (
            lambda _: "-----BEGIN CERTIFICATE-----\n" + "A" * 17_000 + "\n-----END CERTIFICATE-----\n",
            "at most 16384",
        ),
    ],
    ids=[
        "blank line",
        "text dump",
        "hyphen in comment",
        "CRLF",
        "no end",
        "empty",
        "comments alone",
        "26 authorities",
        "no certificate",
        "no base64",
        "too large",
    ],
)
def test_a_bundle_that_aws_does_not_take_is_refused(certificates: Any, damage: Any, message: str) -> None:
    with pytest.raises(ConfigurationRefused, match=message):
        read_ca_bundle(damage(certificates.authority().pem))


def test_lists_are_pem_and_signed_by_their_authority(certificates: Any) -> None:
    authority = certificates.authority()
    good = certificates.revocation_list(authority)
    assert len(read_ca_bundle(authority.pem, (good, good)).revocation_lists) == 2
    forged = certificates.revocation_list(authority, key=ec.generate_private_key(ec.SECP256R1()))
    der = read_ca_bundle(authority.pem, (good,)).revocation_lists[0].public_bytes(Encoding.DER)
    for bad, message in (
        (forged, "not signed by the authority"),
        (der.decode("latin-1"), "only PEM blocks"),
        (authority.pem, "only PEM blocks"),
        ("", "is empty"),
        ("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "cannot be read"),
    ):
        with pytest.raises(ConfigurationRefused, match=message):
            read_ca_bundle(authority.pem, (bad,))
    with pytest.raises(ConfigurationRefused, match="31 CRLs; at most 30"):
        read_ca_bundle(authority.pem, (good,) * 31)


def test_an_unknown_security_policy_is_never_guessed() -> None:
    with pytest.raises(ConfigurationRefused, match="TLS13-1-2-FIPS"):
        ssl_policy("ELBSecurityPolicy-TLS13-1-2-FIPS-2023-04")
    assert ssl_policy("ELBSecurityPolicy-TLS13-1-3-2021-06").minimum == "TLSv1.3"


@pytest.mark.parametrize("name", sorted(SSL_POLICIES))
def test_every_security_policy_can_be_offered(sandbox: Any, name: str) -> None:
    rules = ClientTls(sandbox.configuration(ssl_policy=name))
    offered = set(rules.connection().get_cipher_list())
    policy = SSL_POLICIES[name]
    assert set(policy.ciphers) <= offered or not policy.ciphers
    assert set(policy.tls13_ciphers) <= offered


def test_a_key_of_another_certificate_is_refused_and_never_repeated(sandbox: Any) -> None:
    other = sandbox.make.leaf(sandbox.root)
    certificate = Issued(chain_pem=sandbox.server.pem, private_key_pem=other.key_pem)
    configuration = replace(sandbox.configuration(), certificate=certificate)
    with pytest.raises(ConfigurationRefused) as caught:
        ListenerServer(configuration, print, print)
    body = other.key_pem.splitlines()[1]
    assert body not in str(caught.value)
    assert body not in repr(configuration)


def test_every_header_that_a_listener_adds_can_be_renamed() -> None:
    names = [field for field in Listener.model_fields if field.endswith("_header_name")]
    listener = LISTENER.model_copy(update=dict.fromkeys(names, "x"))
    assert set(listener.header_names) == {name.lower() for name in RENAMEABLE}


def test_a_refused_update_leaves_what_holds(sandbox: Any) -> None:
    configuration = sandbox.configuration()
    listener = sandbox.listen(configuration)
    with pytest.raises(ConfigurationRefused):
        listener.update(sandbox.configuration(bundle="", port=listener.port))
    assert sandbox.client(listener, sandbox.context(sandbox.app)).ask().status == 503


def test_targets_change_their_state_at_the_thresholds() -> None:
    check = HealthCheck(healthy_threshold=3, unhealthy_threshold=2)
    member = Member(target=Target(host="a", port=1))
    seen = []
    for healthy in (False, True, False, False, True, True, False, True, True, True):
        member.judge(healthy=healthy, check=check)
        seen.append(member.health)
    assert seen == [
        "initial",
        "healthy",
        "healthy",
        "unhealthy",
        "unhealthy",
        "unhealthy",
        "unhealthy",
        "unhealthy",
        "unhealthy",
        "healthy",
    ]
    member.health = "draining"
    member.judge(healthy=False, check=check)
    assert member.health == "draining"
