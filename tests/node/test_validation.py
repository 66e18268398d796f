"""Everything that is refused before a server is asked."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from pydantic import ValidationError

from node.certificate import authorities_problems, identity_problems
from node.desired_state import Manifest
from node.validation import FILES, text_problems, validated
from runtime.errors import RefusedError
from runtime.identity_secret import IdentityDocument

NOW = datetime.datetime.now(datetime.UTC)


def problems(leaf: Any) -> str:
    return "\n".join(identity_problems(IdentityDocument.parse(leaf.secret()), NOW))


def test_a_good_identity_has_no_problems(authorities: Any) -> None:
    assert problems(authorities[0].server()) == ""


@pytest.mark.parametrize(
    ("make", "telling"),
    [
        (lambda ca: ca.server(life=datetime.timedelta(days=-1)), "expired"),
        (lambda ca: ca.client("localhost"), "serverAuth"),
        (lambda ca: ca.leaf("localhost", ExtendedKeyUsageOID.SERVER_AUTH, []), "subject alternative name"),
        (lambda ca: ca.server(key=ed25519.Ed25519PrivateKey.generate()), "kind Ed25519"),
        (lambda ca: ca.server(key=ec.generate_private_key(ec.SECP384R1())), "secp384r1"),
        (lambda ca: ca.server(key=rsa.generate_private_key(65537, 2048)), "2048 RSA bits"),
    ],
)
def test_wrong_identities(make: Callable[[Any], Any], telling: str, authorities: Any) -> None:
    assert telling in problems(make(authorities[0]))


def test_wrong_keys_are_told_without_quoting_them(authorities: Any) -> None:
    one, other = authorities[0].server(), authorities[0].server()
    swapped = {"certificate": one.certificate, "privateKey": other.private_key}
    found = identity_problems(IdentityDocument.parse(json.dumps(swapped)), NOW)
    assert "does not match" in found[0]
    rsa_form = one.private_key.replace("PRIVATE KEY", "EC PRIVATE KEY")
    found = identity_problems(IdentityDocument.parse(json.dumps(swapped | {"privateKey": rsa_form})), NOW)
    assert "PKCS#8 PEM (BEGIN PRIVATE KEY), and holds a private key" in found[0]
    exchanged = json.dumps({"certificate": one.private_key, "privateKey": one.certificate})
    found = identity_problems(IdentityDocument.parse(exchanged), NOW)
    assert "server certificate holds a private key" in found[0]
    late = swapped | {"certificate": one.certificate + other.certificate}
    assert "give the leaf first" in identity_problems(IdentityDocument.parse(json.dumps(late)), NOW)[0]


def test_a_secret_that_is_no_identity_is_refused() -> None:
    contents: dict[str, bytes] = dict.fromkeys(FILES, b"")
    with pytest.raises(RefusedError) as raised:
        validated(manifest=manifest(), contents=contents, identity="a-secret", now=NOW)
    assert "server identity: the secret is wrong: it is not a JSON object" in raised.value.problems
    assert "a-secret" not in str(raised.value)


def test_client_authorities(authorities: Any) -> None:
    assert authorities_problems(authorities[1].pem.encode(), NOW) == []
    assert "not readable as PEM" in authorities_problems(b"nothing", NOW)[0]
    leaf = authorities[1].client("app_user").certificate
    found = authorities_problems(leaf.encode(), NOW)
    assert any("self-signed" in problem for problem in found)
    assert any("basic constraints" in problem for problem in found)


def manifest(**changes: Any) -> Manifest:
    version = {"key": "k", "version": "v", "sha256": "0" * 64}
    return Manifest.model_validate(
        {
            "serial": 1,
            "server": "main",
            "major": 17,
            "minorFloor": 11,
            "node": version,
            "files": {},
            "serverIdentity": {"arn": "arn", "version": "v", "sha256": "0" * 64},
        }
        | changes
    )


@pytest.mark.parametrize("end", ["tomorrow", "2027-02-01T10:00:00", ""])
def test_the_end_of_the_roles_certificates_is_a_time_with_a_time_zone(end: str) -> None:
    with pytest.raises(ValidationError, match="clientCertificatesNotAfter"):
        manifest(clientCertificatesNotAfter=end)
    assert manifest().client_certificates_not_after is None


def test_files_must_be_exactly_those_known(authorities: Any) -> None:
    with pytest.raises(RefusedError) as raised:
        validated(manifest=manifest(), contents={"surprise": b""}, identity="", now=NOW)
    assert "manifest: the file pg_hba.conf is missing" in raised.value.problems
    assert any("surprise is unknown" in problem for problem in raised.value.problems)


def test_unknown_majors_are_refused() -> None:
    with pytest.raises(RefusedError, match="14 is not supported"):
        validated(manifest=manifest(major=14), contents={}, identity="", now=NOW)


@pytest.fixture
def contents(machine_files: dict[str, str]) -> dict[str, bytes]:
    return {name: text.encode() for name, text in machine_files.items()}


def test_the_machine_map_belongs_to_the_machine(contents: dict[str, bytes], authorities: Any) -> None:
    contents["pg_ident.conf"] = b"machine intruder postgres\n"
    with pytest.raises(RefusedError, match="only the machine writes lines of the map machine"):
        validated(manifest=manifest(), contents=contents, identity=authorities[0].server().secret(), now=NOW)


@pytest.mark.parametrize(
    ("line", "ident", "telling"),
    [
        ("cert map=m", r"m /^\D+$ app_user", "character 2"),
        ("cert map=m", "m /^[^x]+$ app_user", "character 2"),
        ("cert map=m", "m intruder app_user", "lets 'intruder' in as 'app_user'"),
        ("cert map=machine", "", "uses the map machine"),
    ],
)
def test_a_certificate_of_another_name_is_let_in_by_no_map(
    line: str, ident: str, telling: str, contents: dict[str, bytes], authorities: Any
) -> None:
    hba = contents["pg_hba.conf"].decode().replace(" cert\n", f" {line}\n")
    contents |= {"pg_hba.conf": hba.encode(), "pg_ident.conf": f"{ident}\n".encode()}
    with pytest.raises(RefusedError) as raised:
        validated(manifest=manifest(), contents=contents, identity=authorities[0].server().secret(), now=NOW)
    assert any(telling in problem for problem in raised.value.problems)


DECLARED = """common-name app_user app_user
common-name "billing.example.org" app_user
"""


@pytest.mark.parametrize(
    ("ident", "telling"),
    [
        (DECLARED, None),
        ("# none", "does not let 'billing.example.org' in as 'app_user'"),
        (
            DECLARED + "common-name intruder app_user",
            "lets 'intruder' in as 'app_user', which is not declared",
        ),
        (DECLARED + r"common-name /^intruder$ app_user", "in as 'app_user', which is not declared"),
        (DECLARED.replace('"b', '"B'), "lets 'Billing.example.org' in as 'app_user', which is not declared"),
        (DECLARED + 'other "billing.example.org" app_user', "map 'other' lets 'billing.example.org' in"),
        (DECLARED + 'common-name "billing.example.org" postgres', "in as 'postgres', which is not declared"),
    ],
)
def test_the_map_of_common_names_is_the_declared_one(
    ident: str, telling: str | None, machine_files: dict[str, str]
) -> None:
    roles = json.loads(machine_files["roles.json"])
    roles["commonNames"] = [["app_user", "billing.example.org"]]
    files = machine_files | {
        "roles.json": json.dumps(roles),
        "pg_ident.conf": ident + "\n",
        "pg_hba.conf": machine_files["pg_hba.conf"].replace(" cert\n", " cert map=common-name\n"),
    }
    found = text_problems(files, 17)
    assert any(telling in problem for problem in found) if telling else found == []


def test_no_common_name_is_that_of_another_role(machine_files: dict[str, str]) -> None:
    for name, says in {"pgpl_admin": "a role of pg_hba.conf", "postgres": "a role of pg_hba.conf"}.items():
        ident = f"common-name app_user app_user\ncommon-name {name} app_user\n"
        # Where pulumi-postgresql makes the roles, roles.json has none.
        roles = {"schemaVersion": 1, "administrator": "pgpl_admin", "databases": [], "roles": []}
        roles["commonNames"] = [["app_user", name]]
        files = machine_files | {"roles.json": json.dumps(roles), "pg_ident.conf": ident}
        assert any(says in problem for problem in text_problems(files, 17))


@pytest.mark.parametrize("role", ["postgres", "pgpl_admin"])
def test_who_is_no_applications_role_has_no_common_name(role: str, machine_files: dict[str, str]) -> None:
    roles = json.loads(machine_files["roles.json"]) | {"commonNames": [[role, "intruder"]]}
    ident = f"common-name {role} {role}\ncommon-name intruder {role}\n"
    files = machine_files | {"roles.json": json.dumps(roles), "pg_ident.conf": ident}
    (problem,) = text_problems(files, 17)
    assert f"roles.json: common name 'intruder' for {role!r}, which no application logs in as" in problem


@pytest.mark.parametrize("option", ["clientname=DN", ""])
def test_the_map_of_common_names_is_for_certificates(option: str, machine_files: dict[str, str]) -> None:
    line = f" cert map=common-name {option}\n" if option else " gss map=common-name\n"
    hba = machine_files["pg_hba.conf"].replace(" cert\n", line)
    found = text_problems(machine_files | {"pg_hba.conf": hba}, 17)
    assert any("for something else than common names of certificates" in problem for problem in found)


def test_groups_that_the_machines_openssl_lacks_are_refused(authorities: Any) -> None:
    contents: dict[str, bytes] = dict.fromkeys(FILES, b"")
    contents["postgresql.conf"] = b"ssl_groups = 'X25519MLKEM768:X25519:prime256v1'\n"
    identity = authorities[0].server().secret()
    said = {}
    for openssl in ((3, 0, 19), (3, 5, 1)):
        with pytest.raises(RefusedError) as raised:
            validated(
                manifest=manifest(major=18), contents=contents, identity=identity, now=NOW, openssl=openssl
            )
        said[openssl] = [each for each in raised.value.problems if "OpenSSL" in each]
    refusal = (
        "postgresql.conf: ssl_groups has X25519MLKEM768, which need OpenSSL 3.5, and this machine has"
        " 3.0.19; use Debian 13, or set selfManaged.tlsGroups to X25519, prime256v1"
    )
    assert said == {
        (3, 0, 19): [refusal],
        (3, 5, 1): [],
    }


def test_the_generation_adds_maps_and_identity(contents: dict[str, bytes], authorities: Any) -> None:
    identity = authorities[0].server()
    desired = validated(manifest=manifest(), contents=contents, identity=identity.secret(), now=NOW)
    files = desired.generation_files("somebody")
    assert b"machine somebody postgres" in b" ".join(files["pg_ident.conf"].split())
    assert b"machine somebody pgpl_admin" in b" ".join(files["pg_ident.conf"].split())
    assert files["server.key"].decode() == identity.private_key
    assert x509.load_pem_x509_certificate(files["server.crt"])
    assert desired.logins() == (("app_user", "app"),)
    assert "PRIVATE KEY" not in repr(desired)
