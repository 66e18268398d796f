"""Certificates of every kind, a target that shows what reached it, and a listener in between."""

from __future__ import annotations

import base64
import http.client
import http.server
import json
import logging
import queue
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from emulator.acm.service import Issued
from emulator.core.ports import new_port
from emulator.elb.data_plane import access_log
from emulator.elb.data_plane.server import ListenerServer
from emulator.elb.model import (
    Action,
    HealthCheck,
    Listener,
    ListenerConfiguration,
    LoadBalancer,
    MutualAuthentication,
    Target,
    TargetGroup,
    TrustStore,
)
from tests.emulator.elb.log_fields import fields

DAY = timedelta(days=1)
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
# Shorter than AWS allows.
QUICK = HealthCheck(path="/healthz", healthy_threshold=2, unhealthy_threshold=2).model_copy(
    update={"interval": 0.05}
)
LISTENER = Listener(
    arn="arn:aws:elasticloadbalancing:eu-central-1:123456789012:listener/app/local/0/1",
    port=1,
    load_balancer_arn="arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/local/0",
    ssl_policy="ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09",
    certificate_arn="arn:aws:acm:eu-central-1:123456789012:certificate/1",
    mutual_authentication=MutualAuthentication(mode="verify"),
    default_actions=(Action(target_group_arn="targets"),),
)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A certificate, its key and who signed it."""

    certificate: x509.Certificate
    key: Any
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def chain_pem(self) -> str:
        return self.pem + "".join(one.public_bytes(Encoding.PEM).decode() for one in self.chain)

    @property
    def key_pem(self) -> str:
        encoded = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return encoded.decode()


class Certificates:
    """Makes them; defaults are those of a certificate that is let in."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def authority(
        self, name: str = "Clients", *, issuer: Identity | None = None, key: Any = None
    ) -> Identity:
        own = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(subject, issuer, own).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        builder = builder.add_extension(usage, critical=True).add_extension(
            x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False
        )
        if issuer is not None:
            builder = builder.add_extension(_authority_key(issuer), critical=False)
        return self._sign(builder, own, issuer, hashes.SHA256())

    def leaf(
        self,
        issuer: Identity,
        *,
        subject: x509.Name | None = None,
        key: Any = None,
        begins: timedelta = -DAY,
        ends: timedelta = DAY,
        purposes: tuple[x509.ObjectIdentifier, ...] = (CLIENT,),
        digest: Any = None,
        serial: int | None = None,
        padding_bytes: int = 0,
    ) -> Identity:
        own = key or ec.generate_private_key(ec.SECP256R1())
        name = subject or x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "app")])
        builder = self._builder(name, issuer, own, begins=begins, ends=ends, serial=serial)
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False).add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False
        )
        builder = builder.add_extension(_authority_key(issuer), critical=False)
        if padding_bytes:
            padding = x509.UnrecognizedExtension(
                x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\0" * padding_bytes
            )
            builder = builder.add_extension(padding, critical=False)
        return self._sign(builder, own, issuer, digest or hashes.SHA256())

    def signed_with_sha1(self, identity: Identity, issuer: Identity) -> Identity:
        """The same certificate under a signature that `cryptography` no longer makes, by a key of RSA."""
        sha256, sha1 = bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d010105")
        genuine = identity.certificate
        content = genuine.tbs_certificate_bytes.replace(sha256, sha1)
        signature = issuer.key.sign(content, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303 - what is refused
        encoded = (
            genuine.public_bytes(Encoding.DER)
            .replace(genuine.tbs_certificate_bytes, content)
            .replace(sha256, sha1)
            .replace(genuine.signature, signature)
        )
        return replace(identity, certificate=x509.load_der_x509_certificate(encoded))

    def revocation_list(
        self,
        issuer: Identity,
        revoked: tuple[Identity, ...] = (),
        *,
        key: Any = None,
        begins: timedelta = -DAY,
        ends: timedelta = DAY,
    ) -> str:
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer.certificate.subject)
            .last_update(self.now + begins)
            .next_update(self.now + ends)
            .add_extension(_authority_key(issuer), critical=False)
        )
        for one in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(one.certificate.serial_number)
                .revocation_date(self.now - DAY)
                .build()
            )
        signed = builder.sign(key or issuer.key, hashes.SHA256())
        return signed.public_bytes(Encoding.PEM).decode()

    def _builder(
        self,
        subject: x509.Name,
        issuer: Identity | None,
        key: Any,
        *,
        begins: timedelta = -2 * DAY,
        ends: timedelta = 2 * DAY,
        serial: int | None = None,
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(serial if serial is not None else x509.random_serial_number())
            .not_valid_before(self.now + begins)
            .not_valid_after(self.now + ends)
        )

    def _sign(
        self, builder: x509.CertificateBuilder, key: Any, issuer: Identity | None, digest: Any
    ) -> Identity:
        signer = issuer.key if issuer else key
        chain = () if issuer is None else (issuer.certificate, *issuer.chain)
        algorithm = (
            digest if isinstance(signer, ec.EllipticCurvePrivateKey) or hasattr(signer, "decrypt") else None
        )
        return Identity(certificate=builder.sign(signer, algorithm), key=key, chain=chain)


def _authority_key(issuer: Identity) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a client got."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def echo(self) -> dict[str, Any]:
        """What reached the target."""
        return json.loads(self.body)

    def forwarded(self, name: str) -> list[str]:
        """Values of a header as the target got it."""
        return [value for key, value in self.echo["headers"] if key.lower() == name.lower()]


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    protocol_version = "HTTP/1.1"

    @property
    def target(self) -> EchoServer:
        assert isinstance(self.server, EchoServer)
        return self.server

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self._answer(self.target.health_status, b"")
        elif self.path == "/cut":
            self.close_connection = True
        elif self.path == "/silent":
            self.target.ending.wait()
            self.close_connection = True
        else:
            self._echo(b"")

    def do_HEAD(self) -> None:
        self._echo(b"")

    def do_POST(self) -> None:
        self.target.posts.put(self.path)
        self._echo(self._body())

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _echo(self, body: bytes) -> None:
        shown = {
            "name": self.target.name,
            "method": self.command,
            "path": self.path,
            "headers": self.headers.items(),
            "body": len(body),
            "connection": self.client_address[1],
        }
        self._answer(200, json.dumps(shown).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Frame-Options", "SAMEORIGIN")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Tests are quiet."""


class EchoServer(http.server.ThreadingHTTPServer):
    """A target."""

    daemon_threads = True

    def __init__(self, name: str, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), Echo)
        self.name, self.health_status = name, 200
        self.ending = threading.Event()
        self.posts: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.target = Target(host="127.0.0.1", port=self.server_address[1])
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that are cut are part of the tests."""

    def end(self) -> None:
        self.ending.set()
        self.shutdown()
        self.server_close()
        self._thread.join()


class Client:
    """One connection to a listener."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self.connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=20)

    def ask(
        self,
        path: str = "/",
        *,
        method: str = "GET",
        headers: tuple[tuple[str, str], ...] = (),
        body: Any = None,
    ) -> Answer:
        if body is not None:
            self.connection.request(method, path, body=body, headers=dict(headers))
        else:
            self.connection.putrequest(method, path)
            for name, value in headers:
                self.connection.putheader(name, value)
            self.connection.endheaders()
        response = self.connection.getresponse()
        return Answer(status=response.status, headers=response.getheaders(), body=response.read())

    def close(self) -> None:
        self.connection.close()


class Sandbox:
    """Listeners, targets and clients of one test."""

    def __init__(self, certificates: Certificates, folder: Path) -> None:
        self.make = certificates
        self.folder = folder
        self.root = certificates.authority("Servers")
        self.server = certificates.leaf(self.root, purposes=(SERVER,))
        self.clients = certificates.authority()
        self.app = certificates.leaf(self.clients)
        self.connections: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.accesses: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._ends: list[Callable[[], None]] = []

    def configuration(self, *targets: EchoServer | Target, **changes: Any) -> ListenerConfiguration:
        """In verify mode, with the authority of clients.

        Args:
            *targets: Where it forwards to.
            **changes: Fields of any of the models, even with values that AWS would refuse, and
                `revocation_lists`.
        """
        parts = {
            "listener": LISTENER.model_copy(update={"port": new_port(set())}),
            "mutual_authentication": LISTENER.mutual_authentication,
            "load_balancer": LoadBalancer(arn=LISTENER.load_balancer_arn),
            "target_group": TargetGroup(arn="targets", health_check=QUICK),
            "trust_store": TrustStore(arn="clients", bundle=self.clients.pem),
        }
        if "revocation_lists" in changes:
            changes["revocations"] = dict(enumerate(changes.pop("revocation_lists")))
        for name, value in changes.items():
            (part,) = (part for part, model in parts.items() if name in type(model).model_fields)
            parts[part] = parts[part].model_copy(update={name: value})
        authentication = parts.pop("mutual_authentication")
        parts["listener"] = parts["listener"].model_copy(update={"mutual_authentication": authentication})
        return ListenerConfiguration(
            **parts,  # pyright: ignore[reportArgumentType]
            certificate=Issued(chain_pem=self.server.pem, private_key_pem=self.server.key_pem),
            targets=frozenset(one.target if isinstance(one, EchoServer) else one for one in targets),
        )

    def server_context(self) -> ssl.SSLContext:
        """For targets."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.files(self.server))
        return context

    def target(self, name: str = "one") -> EchoServer:
        server = EchoServer(name, self.server_context())
        self._ends.append(server.end)
        return server

    def listen(self, configuration: ListenerConfiguration) -> ListenerServer:
        """Started, and every target decided about."""
        listener = ListenerServer(configuration, self.connections.put, self.accesses.put)
        listener.start()
        self._ends.append(listener.stop)
        self.until(lambda: "initial" not in listener.target_health().values())
        return listener

    def until(self, condition: Callable[[], bool]) -> None:
        """Waits for what another thread is about to bring about."""
        ticks = threading.Event()
        for _ in range(2000):
            if condition():
                return
            ticks.wait(0.01)
        pytest.fail("it did not come about within 20 seconds")

    def context(
        self, identity: Identity | None = None, *, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    ) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=self.root.pem)
        context.minimum_version = context.maximum_version = version
        # This client presents anything; what is refused is refused by the listener.
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        if identity is not None:
            context.load_cert_chain(*self.files(identity))
        return context

    def client(self, listener: ListenerServer, context: ssl.SSLContext) -> Client:
        client = Client(listener.port, context)
        self._ends.append(client.close)
        return client

    def connection(self) -> dict[str, str]:
        """The next entry of the connection log."""
        return fields(self.connections.get(timeout=20))

    def access(self) -> dict[str, str]:
        """The next entry of the access log."""
        return fields(self.accesses.get(timeout=20), access_log.FIELDS)

    def files(self, identity: Identity) -> tuple[Path, Path]:
        number = identity.certificate.serial_number
        chain, key = self.folder / f"{number}.pem", self.folder / f"{number}.key"
        chain.write_text(identity.chain_pem)
        key.write_text(identity.key_pem)
        return chain, key

    def wrong_key(self, identity: Identity) -> Path:
        """A key that OpenSSL takes for a certificate's, for its public half is; its secret is not."""
        secret = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value.to_bytes(32)
        public = identity.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        curve = bytes.fromhex("06082a8648ce3d030107")
        body = b"\x02\x01\x01\x04\x20" + secret + b"\xa0\x0a" + curve + b"\xa1\x44\x03\x42\x00" + public
        text = base64.encodebytes(b"\x30" + bytes([len(body)]) + body).decode()
        path = self.folder / "wrong.key"
        path.write_text(f"-----BEGIN EC PRIVATE KEY-----\n{text}-----END EC PRIVATE KEY-----\n")
        return path

    def end(self) -> None:
        for end in reversed(self._ends):
            end()


@pytest.fixture(scope="session")
def certificates() -> Certificates:
    return Certificates()


@pytest.fixture
def sandbox(
    certificates: Certificates, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> Iterator[Sandbox]:
    made = Sandbox(certificates, tmp_path)
    yield made
    made.end()
    # Whatever clients and targets do, nothing of it is a surprise.
    assert [record for record in caplog.get_records("call") if record.levelno >= logging.ERROR] == []
