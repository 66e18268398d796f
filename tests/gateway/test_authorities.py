"""Shapes of authorities: each is served, or refused with the reason and what mends it."""

from __future__ import annotations

import ipaddress
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from gateway.caller import Caller
from gateway.errors import DocumentError
from gateway.refusals import Refusal
from gateway.verdict import Admission, trust_problems
from tests.gateway.certificates import (
    ANY,
    CLIENT,
    NOW,
    SERVER,
    YEAR,
    Authority,
    name,
    pem,
    signed_with_sha1,
    version_1,
)
from tests.gateway.forwarding import URI, document, forwarded

SIGNS = ("key_cert_sign", "crl_sign")
MICROSOFT = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.311.21.1"), b"\x02\x01\x00")
POLICIES = x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.2.3.4"), None)])


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What tools write into the certificate of an authority."""

    constraints_are_critical: bool = True
    path_length: int | None = None
    usage: Sequence[str] | None = SIGNS
    usage_is_critical: bool = True
    purposes: Sequence[x509.ObjectIdentifier] | None = None
    own_key_identifier: bool = True
    issuers_key_identifier: bool = True
    permitted: Sequence[x509.GeneralName] = ()
    more: Sequence[tuple[x509.ExtensionType, bool]] = ()
    begins: timedelta = -2 * YEAR
    ends: timedelta = YEAR

    def made(self, common_name: str = "Clients", *, below: Authority | None = None) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        issuer_key = below.key if below else key
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (x509.BasicConstraints(True, self.path_length), self.constraints_are_critical),
            *self.more,
        ]
        if self.usage is not None:
            extensions.append((usage(*self.usage), self.usage_is_critical))
        if self.purposes is not None:
            extensions.append((x509.ExtendedKeyUsage(self.purposes), False))
        if self.own_key_identifier:
            extensions.append((x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False))
        if self.issuers_key_identifier:
            extensions.append((identifier, False))
        if self.permitted:
            extensions.append((x509.NameConstraints(list(self.permitted), None), True))
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(common_name))
            .issuer_name(below.certificate.subject if below else name(common_name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW + self.begins)
            .not_valid_after(NOW + self.ends)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return Authority(certificate=builder.sign(issuer_key, hashes.SHA256()), key=key)


def usage(*bits: str) -> x509.KeyUsage:
    names = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
        *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{each: each in bits for each in names})


def problems(*authorities: Authority) -> list[str]:
    return trust_problems("".join(pem(each.certificate) for each in authorities), (), NOW)


def outcome(*authorities: Authority, **client: Any) -> str:
    """What becomes of a client of the last one."""
    try:
        admission = Admission(document(*authorities))
    except DocumentError:
        return "no document"
    certificate = authorities[-1].client(uris=[URI], **client)
    found = admission.verdict(forwarded(certificate), NOW.timestamp())
    assert isinstance(found, Caller | Refusal)
    return "admitted" if isinstance(found, Caller) else found.code.value


ROOTS = {
    "openssl req -x509": Shape(usage=None),
    "openssl before 1.1, as many guides have it": Shape(constraints_are_critical=False, usage=None),
    "openssl with what RFC 5280 wants": Shape(),
    "openssl ca with a configuration of its own": Shape(
        constraints_are_critical=False, usage_is_critical=False, issuers_key_identifier=False
    ),
    "ACM PCA": Shape(usage=("digital_signature", *SIGNS), issuers_key_identifier=False),
    "step-ca": Shape(path_length=1, issuers_key_identifier=False),
    "Vault": Shape(more=[(x509.SubjectAlternativeName([x509.DNSName("clients.example.org")]), False)]),
    "AD CS": Shape(usage=("digital_signature", *SIGNS), usage_is_critical=False, more=[(MICROSOFT, False)]),
    "without key identifiers": Shape(own_key_identifier=False, issuers_key_identifier=False),
    "for every purpose": Shape(purposes=[ANY]),
    "for clients and servers": Shape(purposes=[SERVER, CLIENT]),
    "with a key identifier that is critical": Shape(
        own_key_identifier=False, more=[(x509.SubjectKeyIdentifier(b"identifier"), True)]
    ),
    "with a policy": Shape(more=[(POLICIES, False)]),
    "constrained to mail and addresses": Shape(
        permitted=[x509.RFC822Name("example.org"), x509.IPAddress(ipaddress.ip_network("10.0.0.0/8"))]
    ),
}


@pytest.mark.parametrize("shape", ROOTS.values(), ids=list(ROOTS))
@pytest.mark.parametrize("names_its_issuers_key", [True, False], ids=["AKI", "no AKI"])
def test_what_tools_make_is_served(shape: Shape, names_its_issuers_key: bool) -> None:
    root = shape.made()
    assert problems(root) == []
    assert outcome(root, names_its_issuers_key=names_its_issuers_key) == "admitted"


@pytest.mark.parametrize("shape", ROOTS.values(), ids=list(ROOTS))
def test_what_tools_make_is_served_below_a_root_and_alone(shape: Shape) -> None:
    root = Shape(usage=None).made("Root")
    intermediate = shape.made("Issuing", below=root)
    for bundle in ((root, intermediate), (intermediate,)):
        assert problems(*bundle) == []
        assert outcome(*bundle, names_its_issuers_key=False) == "admitted"


UNFIT = {
    "signs no certificates": (Shape(usage=("crl_sign", "digital_signature")), "without keyCertSign"),
    "signs servers only": (Shape(purposes=[SERVER]), "extendedKeyUsage without clientAuth"),
    "critical policies": (Shape(more=[(POLICIES, True)]), "the critical extension 2.5.29.32"),
    "critical constraints of policies": (
        Shape(more=[(x509.PolicyConstraints(0, None), True)]),
        "the critical extension 2.5.29.36",
    ),
    "a critical extension of Microsoft's": (Shape(more=[(MICROSOFT, True)]), "1.3.6.1.4.1.311.21.1"),
    "constrained to URIs": (
        Shape(permitted=[x509.UniformResourceIdentifier("example.test")]),
        "constraints of the kind UniformResourceIdentifier",
    ),
    "constrained to directory names": (
        Shape(permitted=[x509.DirectoryName(name("Example"))]),
        "constraints of the kind DirectoryName",
    ),
    "ended": (Shape(ends=-timedelta(days=1)), "remove it, or renew it"),
}


@pytest.mark.parametrize(("shape", "said"), UNFIT.values(), ids=list(UNFIT))
def test_what_cannot_be_served_is_refused_with_what_mends_it(shape: Shape, said: str) -> None:
    root = shape.made()
    (problem,) = problems(root)
    assert said in problem
    assert "'CN=Clients'" in problem
    assert "; " in problem, "what to do follows"
    assert outcome(root) == "untrusted"
    # Clients of another authority in the bundle are let in all the same.
    assert outcome(root, Shape().made("Others")) == "admitted"


def test_certificates_that_are_no_authoritys_are_refused() -> None:
    root = Shape().made()
    leaf = Authority(certificate=root.client(uris=[URI]), key=None)
    first = Authority(certificate=version_1(root), key=None)
    for other in (leaf, first):
        (problem,) = problems(other)
        assert "is not an authority" in problem
        assert "openssl req -x509" in problem


def test_an_intermediate_of_an_older_root_of_the_same_name_is_refused() -> None:
    old, new = Shape().made("Root"), Shape().made("Root")
    intermediate = Shape().made("Issuing", below=old)
    (problem,) = problems(new, intermediate)
    assert "'CN=Issuing' is not signed by the 'CN=Root' of the bundle" in problem
    assert outcome(new, intermediate) == "untrusted"
    assert problems(new, old, intermediate) == []
    assert outcome(new, old, intermediate) == "admitted"


@pytest.mark.parametrize("lengths", [(0, None), (1, None, None), (None, 0, None), (None,) * 5])
def test_an_intermediate_that_is_too_far_below_its_root_is_refused(lengths: Sequence[int | None]) -> None:
    chain: list[Authority] = []
    for number, length in enumerate(lengths):
        below = chain[-1] if chain else None
        chain.append(Shape(path_length=length).made(f"Authority {number}", below=below))
    (problem,) = problems(*chain)
    assert f"'CN=Authority {len(lengths) - 1}' is too far below a root" in problem
    assert outcome(*chain) == "untrusted"
    assert problems(*chain[:-1]) == []
    assert outcome(*chain[:-1]) == "admitted"


def test_an_intermediate_with_an_old_signature_is_refused() -> None:
    root = Shape().made("Root")
    intermediate = Shape().made("Issuing", below=root)
    old = Authority(certificate=signed_with_sha1(root, intermediate.certificate), key=intermediate.key)
    (problem,) = problems(root, old)
    assert "'CN=Issuing' cannot be verified" in problem or "is not signed by" in problem
    assert outcome(root, old) == "untrusted"


def test_a_client_of_an_intermediate_that_is_not_in_the_bundle_is_told_to_the_log() -> None:
    root = Shape().made("Root")
    client = Shape().made("Issuing", below=root).client(uris=[URI])
    found = Admission(document(root)).verdict(forwarded(client), NOW.timestamp())
    assert isinstance(found, Refusal)
    assert "its issuer 'CN=Issuing' is not in the bundle" in found.detail


@pytest.mark.parametrize("bits", [None, SIGNS])
def test_a_list_is_good_where_the_authority_may_sign_lists(bits: Sequence[str] | None) -> None:
    root = Shape(usage=bits).made()
    assert trust_problems(pem(root.certificate), [root.revocation_list()], NOW) == []


def test_a_list_of_an_authority_that_signs_none_is_refused_with_what_mends_it() -> None:
    root = Shape(usage=["key_cert_sign"]).made()
    (problem,) = trust_problems(pem(root.certificate), [root.revocation_list()], NOW)
    assert "whose keyUsage lacks cRLSign" in problem


def test_a_list_that_has_ended_is_refused_and_a_newer_one_beside_it_is_not() -> None:
    root = Shape().made()
    bundle = pem(root.certificate)
    ended = root.revocation_list(begins=NOW - timedelta(days=9), ends=NOW - timedelta(days=2))
    (problem,) = trust_problems(bundle, [ended], NOW)
    assert "the newest list of 'CN=Clients' ended at" in problem
    assert trust_problems(bundle, [ended, root.revocation_list()], NOW) == []


texts = st.sampled_from([None, SIGNS, ("key_cert_sign",), ("crl_sign",), ("digital_signature", *SIGNS)])
shapes = st.builds(
    Shape,
    constraints_are_critical=st.booleans(),
    path_length=st.sampled_from([None, 0, 1]),
    usage=texts,
    usage_is_critical=st.booleans(),
    purposes=st.sampled_from([None, [CLIENT], [SERVER], [ANY], [CLIENT, SERVER]]),
    own_key_identifier=st.booleans(),
    issuers_key_identifier=st.booleans(),
    permitted=st.sampled_from(
        [
            (),
            (x509.DNSName("example.test"),),
            (x509.UniformResourceIdentifier("example.test"),),
            (x509.DirectoryName(name("Example")),),
        ]
    ),
    more=st.sampled_from([(), [(POLICIES, False)], [(POLICIES, True)], [(MICROSOFT, True)]]),
    ends=st.sampled_from([YEAR, -timedelta(days=1)]),
)


@given(st.lists(shapes, min_size=1, max_size=3), st.booleans())
def test_no_authority_is_accepted_and_then_refuses_its_clients(chain: list[Shape], with_key: bool) -> None:
    authorities: list[Authority] = []
    for number, shape in enumerate(chain):
        below = authorities[-1] if authorities else None
        authorities.append(shape.made(f"Authority {number}", below=below))
    if not problems(*authorities):
        assert outcome(*authorities, names_its_issuers_key=with_key) == "admitted"


def test_the_check_needs_nothing_that_serves_requests() -> None:
    """The deploying environment has none of it."""
    program = (
        "import sys, gateway.verdict; print({'starlette', 'uvicorn', 'psycopg', 'boto3'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == "set()\n"
