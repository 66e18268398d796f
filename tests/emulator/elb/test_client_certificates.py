"""Who is refused in the handshake, with the reason in the connection log, and who is let in beside it."""

from __future__ import annotations

import socket
import ssl
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL

from emulator.elb.data_plane.server import ListenerServer

VERSIONS = pytest.mark.parametrize(
    "version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["TLSv1.2", "TLSv1.3"]
)
DAY = timedelta(days=1)


def _let_in(sandbox: Any, listener: ListenerServer, identity: Any, version: ssl.TLSVersion) -> dict[str, str]:
    answer = sandbox.client(listener, sandbox.context(identity, version=version)).ask()
    assert (answer.status, answer.echo["name"]) == (200, "one")
    entry = sandbox.connection()
    assert entry["tls_verify_status"] == "Success"
    return entry


def _refused(
    sandbox: Any, listener: ListenerServer, identity: Any, version: ssl.TLSVersion
) -> tuple[str, str]:
    """The code of the log and the alert."""
    with pytest.raises(ssl.SSLError) as caught:
        sandbox.client(listener, sandbox.context(identity, version=version)).ask()
    status = sandbox.connection()["tls_verify_status"]
    return status.removeprefix("Failed:"), caught.value.reason or ""


def _listener(sandbox: Any, **changes: Any) -> ListenerServer:
    return sandbox.listen(sandbox.configuration(sandbox.target(), **changes))


@VERSIONS
def test_a_client_without_a_certificate_is_refused(sandbox: Any, version: ssl.TLSVersion) -> None:
    listener = _listener(sandbox)
    code, alert = _refused(sandbox, listener, None, version)
    assert code == "UnmappedConnectionError"
    assert "ALERT" in alert
    _let_in(sandbox, listener, sandbox.app, version)


@VERSIONS
def test_a_client_of_another_authority_is_refused(sandbox: Any, version: ssl.TLSVersion) -> None:
    listener = _listener(sandbox)
    stranger = sandbox.make.leaf(sandbox.make.authority("Others"))
    code, alert = _refused(sandbox, listener, stranger, version)
    assert (code, alert) == ("ClientCertUntrusted", "TLSV1_ALERT_UNKNOWN_CA")
    _let_in(sandbox, listener, sandbox.app, version)


@VERSIONS
def test_an_authority_of_the_same_name_with_another_key_is_untrusted(
    sandbox: Any, version: ssl.TLSVersion
) -> None:
    listener = _listener(sandbox)
    stranger = sandbox.make.leaf(sandbox.make.authority())
    assert _refused(sandbox, listener, stranger, version)[0] == "ClientCertUntrusted"
    _let_in(sandbox, listener, sandbox.app, version)


@VERSIONS
def test_an_expired_certificate_is_refused_unless_expiry_is_ignored(
    sandbox: Any, version: ssl.TLSVersion
) -> None:
    listener = _listener(sandbox)
    expired = sandbox.make.leaf(sandbox.clients, begins=-3 * DAY, ends=-DAY)
    code, alert = _refused(sandbox, listener, expired, version)
    assert (code, alert) == ("ClientCertExpired", "SSLV3_ALERT_CERTIFICATE_EXPIRED")
    _let_in(sandbox, listener, sandbox.app, version)
    _let_in(sandbox, _listener(sandbox, ignore_client_certificate_expiry=True), expired, version)


@VERSIONS
def test_a_certificate_that_is_not_yet_valid_is_refused(sandbox: Any, version: ssl.TLSVersion) -> None:
    listener = _listener(sandbox)
    early = sandbox.make.leaf(sandbox.clients, begins=DAY, ends=2 * DAY)
    assert _refused(sandbox, listener, early, version)[0] == "ClientCertNotYetValid"
    _let_in(sandbox, listener, sandbox.app, version)


@VERSIONS
def test_a_revoked_certificate_is_refused_and_others_are_not(sandbox: Any, version: ssl.TLSVersion) -> None:
    revoked = sandbox.make.leaf(sandbox.clients)
    listener = _listener(
        sandbox, revocation_lists=(sandbox.make.revocation_list(sandbox.clients, (revoked,)),)
    )
    code, alert = _refused(sandbox, listener, revoked, version)
    assert (code, alert) == ("ClientCertCrlHit", "SSLV3_ALERT_CERTIFICATE_REVOKED")
    _let_in(sandbox, listener, sandbox.app, version)


def test_two_generations_of_an_authority_may_have_one_name_and_a_list_each(sandbox: Any) -> None:
    old, new = sandbox.clients, sandbox.make.authority()
    revoked = [sandbox.make.leaf(issuer) for issuer in (old, new)]
    lists = tuple(
        sandbox.make.revocation_list(issuer, (one,)) for issuer, one in zip((old, new), revoked, strict=True)
    )
    for bundle in (old.pem + new.pem, new.pem + old.pem):
        listener = _listener(sandbox, bundle=bundle, revocation_lists=lists)
        for issuer, gone in zip((old, new), revoked, strict=True):
            _let_in(sandbox, listener, sandbox.make.leaf(issuer), ssl.TLSVersion.TLSv1_3)
            assert _refused(sandbox, listener, gone, ssl.TLSVersion.TLSv1_3)[0] == "ClientCertCrlHit"


@pytest.mark.parametrize("advertise", [False, True])
def test_clients_are_told_the_names_of_the_authorities_when_asked_for(sandbox: Any, advertise: bool) -> None:
    listener = _listener(sandbox, advertise_trust_store_ca_names="on" if advertise else "off")
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    certificate, key = sandbox.files(sandbox.app)
    context.use_certificate_chain_file(str(certificate))
    context.use_privatekey_file(str(key))
    with socket.create_connection(("localhost", listener.port), timeout=20) as plain:
        plain.settimeout(None)
        client = SSL.Connection(context, plain)
        client.set_connect_state()
        client.do_handshake()
        names = [name.CN for name in client.get_client_ca_list()]
        client.close()
    assert names == (["Clients"] if advertise else [])


def test_an_authority_without_a_list_revokes_nobody(sandbox: Any) -> None:
    other = sandbox.make.authority("Others")
    listener = _listener(
        sandbox,
        bundle=sandbox.clients.pem + other.pem,
        revocation_lists=(sandbox.make.revocation_list(other),),
    )
    _let_in(sandbox, listener, sandbox.app, ssl.TLSVersion.TLSv1_3)


@VERSIONS
def test_a_stale_list_lets_nobody_of_its_authority_in(sandbox: Any, version: ssl.TLSVersion) -> None:
    stale = sandbox.make.revocation_list(sandbox.clients, begins=-3 * DAY, ends=-DAY)
    listener = _listener(sandbox, revocation_lists=(stale,))
    assert _refused(sandbox, listener, sandbox.app, version)[0] == "ClientCertCrlProcessingError"
    fresh = _listener(sandbox, revocation_lists=(stale, sandbox.make.revocation_list(sandbox.clients)))
    _let_in(sandbox, fresh, sandbox.app, version)


def test_a_forged_list_of_an_intermediate_authority_lets_nobody_in(sandbox: Any) -> None:
    intermediate = sandbox.make.authority("Intermediate", issuer=sandbox.clients)
    client = sandbox.make.leaf(intermediate)
    forged = sandbox.make.revocation_list(intermediate, key=ec.generate_private_key(ec.SECP256R1()))
    listener = _listener(sandbox, revocation_lists=(forged,))
    code, _ = _refused(sandbox, listener, client, ssl.TLSVersion.TLSv1_3)
    assert code == "ClientCertCrlProcessingError"
    genuine = _listener(sandbox, revocation_lists=(sandbox.make.revocation_list(intermediate),))
    _let_in(sandbox, genuine, client, ssl.TLSVersion.TLSv1_3)


@VERSIONS
def test_a_certificate_for_servers_alone_is_refused(sandbox: Any, version: ssl.TLSVersion) -> None:
    listener = _listener(sandbox)
    server = sandbox.make.leaf(sandbox.clients, purposes=(ExtendedKeyUsageOID.SERVER_AUTH,))
    assert _refused(sandbox, listener, server, version)[0] == "ClientCertPurposeInvalid"
    _let_in(sandbox, listener, sandbox.app, version)


@pytest.mark.parametrize(
    ("kind", "version"),
    [
        ("RSA-1024", ssl.TLSVersion.TLSv1_2),
        ("RSA-1024", ssl.TLSVersion.TLSv1_3),
        ("Ed25519", ssl.TLSVersion.TLSv1_2),
        ("Ed25519", ssl.TLSVersion.TLSv1_3),
        # TLS 1.3 has no signature scheme for it, so no client can present it.
        ("P-224", ssl.TLSVersion.TLSv1_2),
    ],
)
def test_a_key_that_load_balancers_do_not_take_is_refused(
    sandbox: Any, kind: str, version: ssl.TLSVersion
) -> None:
    key: Any = {
        "RSA-1024": lambda: rsa.generate_private_key(65537, 1024),  # noqa: S505 - what is refused
        "Ed25519": ed25519.Ed25519PrivateKey.generate,
        "P-224": lambda: ec.generate_private_key(ec.SECP224R1()),
    }[kind]()
    listener = _listener(sandbox)
    client = sandbox.make.leaf(sandbox.clients, key=key)
    assert _refused(sandbox, listener, client, version)[0] == "ClientCertTypeUnsupported"
    _let_in(sandbox, listener, sandbox.app, version)


@pytest.mark.parametrize("kind", ["RSA-2048", "P-256", "P-384", "P-521"])
def test_keys_that_load_balancers_take_are_let_in(sandbox: Any, kind: str) -> None:
    key: Any = {
        "RSA-2048": lambda: rsa.generate_private_key(65537, 2048),
        "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    }[kind]()
    client = sandbox.make.leaf(sandbox.clients, key=key)
    _let_in(sandbox, _listener(sandbox), client, ssl.TLSVersion.TLSv1_3)


@pytest.mark.parametrize(
    "ssl_policy", ["ELBSecurityPolicy-TLS13-1-2-Res-2021-06", "ELBSecurityPolicy-2016-08"]
)
def test_a_signature_with_sha1_is_refused_whatever_the_policy(sandbox: Any, ssl_policy: str) -> None:
    version = ssl.TLSVersion.TLSv1_2
    authority = sandbox.make.authority(key=rsa.generate_private_key(65537, 2048))
    listener = _listener(sandbox, bundle=authority.pem, ssl_policy=ssl_policy)
    client = sandbox.make.leaf(authority)
    weak = sandbox.make.signed_with_sha1(client, authority)
    assert _refused(sandbox, listener, weak, version)[0] == "ClientCertTypeUnsupported"
    _let_in(sandbox, listener, client, version)


@VERSIONS
def test_a_chain_of_five_certificates_is_too_long_and_one_of_four_is_not(
    sandbox: Any, version: ssl.TLSVersion
) -> None:
    listener = _listener(sandbox)
    second = sandbox.make.authority("Second", issuer=sandbox.clients)
    third = sandbox.make.authority("Third", issuer=second)
    fourth = sandbox.make.authority("Fourth", issuer=third)
    code, _ = _refused(sandbox, listener, sandbox.make.leaf(fourth), version)
    assert code == "ClientCertMaxChainDepthExceeded"
    _let_in(sandbox, listener, sandbox.make.leaf(third), version)


@VERSIONS
@pytest.mark.parametrize("padding_bytes", [70_000, 150_000])
def test_certificates_beyond_the_size_of_tls_messages_are_refused(
    sandbox: Any, padding_bytes: int, version: ssl.TLSVersion
) -> None:
    listener = _listener(sandbox)
    large = sandbox.make.leaf(sandbox.clients, padding_bytes=padding_bytes)
    code, _ = _refused(sandbox, listener, large, version)
    assert code == "ClientCertMaxSizeExceeded"
    _let_in(sandbox, listener, sandbox.make.leaf(sandbox.clients, padding_bytes=5_000), version)


@VERSIONS
def test_a_certificate_without_its_key_is_of_no_use(sandbox: Any, version: ssl.TLSVersion) -> None:
    listener = _listener(sandbox)
    context = sandbox.context(version=version)
    context.load_cert_chain(sandbox.files(sandbox.app)[0], sandbox.wrong_key(sandbox.app))
    with pytest.raises(ssl.SSLError):
        sandbox.client(listener, context).ask()
    assert sandbox.connection()["tls_verify_status"] == "Failed:UnmappedConnectionError"
    _let_in(sandbox, listener, sandbox.app, version)


@VERSIONS
def test_no_session_is_resumed_with_mutual_tls(sandbox: Any, version: ssl.TLSVersion) -> None:
    listener = _listener(sandbox)
    context = sandbox.context(sandbox.app, version=version)
    with (
        socket.create_connection(("localhost", listener.port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as before,
    ):
        before.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert before.recv(100).startswith(b"HTTP/1.1 200")
        session = before.session
    # Of TLS 1.3 no ticket was given; one of TLS 1.2 must not be taken.
    with (
        socket.create_connection(("localhost", listener.port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="localhost", session=session) as after,
    ):
        after.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert after.recv(100).startswith(b"HTTP/1.1 200")
        assert not after.session_reused
