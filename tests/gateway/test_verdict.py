"""Who is let in and who is refused, each refusal beside a caller who differs in that alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.caller import Caller
from gateway.document import AllowedIdentity
from gateway.errors import DocumentError
from gateway.refusals import Refusal, RefusalCode
from gateway.verdict import CLOCK_SKEW, Admission
from tests.gateway.certificates import (
    ANY,
    CLIENT,
    NOW,
    SERVER,
    Authority,
    ed25519_key,
    key_usage,
    name,
    pem,
    rsa_key,
    signed_with_sha1,
    version_1,
)
from tests.gateway.forwarding import OTHER_SUFFIX, ROLE, SUFFIX, URI, Headers, document, forwarded, values

SECOND = timedelta(seconds=1)


def verdict(admission: Admission, headers: Headers, at: Any = NOW) -> Caller | Refusal:
    return admission.verdict(headers, at.timestamp())


def admitted(admission: Admission, headers: Headers, at: Any = NOW) -> Caller:
    found = verdict(admission, headers, at)
    assert isinstance(found, Caller), found
    return found


def refused(admission: Admission, headers: Headers, at: Any = NOW) -> str:
    found = verdict(admission, headers, at)
    assert isinstance(found, Refusal), found
    return found.code.value


@pytest.fixture(scope="module")
def admission(authority: Authority) -> Admission:
    return Admission(document(authority))


@pytest.fixture(scope="module")
def good(authority: Authority) -> x509.Certificate:
    return authority.client(uris=[URI])


def test_a_listed_client_is_known_by_role_and_certificate(admission, good):
    found = admitted(admission, forwarded(good))
    assert found == Caller(
        role=ROLE,
        identity_kind="uri",
        identity_value=URI,
        subject="CN=client",
        serial=values(good)["serial_number"],
        not_before=good.not_valid_before_utc,
        not_after=good.not_valid_after_utc,
    )


@pytest.mark.parametrize("suffix", [SUFFIX, OTHER_SUFFIX])
def test_while_the_suffix_changes_both_generations_are_taken(authority, good, suffix):
    both = Admission(document(authority, header_suffixes=(SUFFIX, OTHER_SUFFIX)))
    admitted(both, forwarded(good, suffix=suffix))


def test_a_suffix_that_no_listener_has_any_more_is_refused(admission, good):
    assert refused(admission, forwarded(good, suffix=OTHER_SUFFIX)) == "unknown-suffix"


def test_headers_of_two_suffixes_are_no_one_listeners(authority, good):
    both = Admission(document(authority, header_suffixes=(SUFFIX, OTHER_SUFFIX)))
    mixed = [*forwarded(good, leaf=None), forwarded(good, suffix=OTHER_SUFFIX)[1]]
    assert refused(both, mixed) == "mixed-suffixes"
    assert refused(both, forwarded(good) + forwarded(good, suffix=OTHER_SUFFIX)) == "duplicated-header"


@pytest.mark.parametrize("field", ["leaf", "serial_number", "issuer", "subject", "validity"])
def test_every_header_is_needed_exactly_once(admission, good, field):
    without: dict[str, Any] = {field: None}
    headers = forwarded(good)
    assert refused(admission, forwarded(good, **without)) == "missing-header"
    (header,) = set(headers) - set(forwarded(good, **without))
    assert refused(admission, [*headers, header]) == "duplicated-header"
    admitted(admission, headers)


def test_a_request_without_any_header_is_refused(admission, good):
    assert refused(admission, [(b"host", b"gateway.example.test")]) == "missing-header"


@pytest.mark.parametrize(
    "spell",
    [bytes.upper, bytes.title, lambda n: n.replace(b"-", b"_"), lambda n: n.replace(b"-", b"_", 1).upper()],
    ids=["upper", "title", "underscores", "one underscore"],
)
def test_a_second_spelling_of_a_name_is_a_second_header(admission, good, spell):
    headers = forwarded(good)
    leaf = headers[1]
    assert refused(admission, [*headers, (spell(leaf[0]), leaf[1])]) == "duplicated-header"
    admitted(admission, [(spell(header), value) for header, value in headers])


@pytest.mark.parametrize(
    "spoofed",
    [
        b"X-Amzn-Mtls-Clientcert-Leaf",
        b"x-amzn-mtls-clientcert",
        b"x_amzn_mtls_clientcert_subject",
        b"X-AMZN-MTLS-CLIENTCERT-SERIAL-NUMBER",
        b"x-amzn-mtls-clientcert-something-new",
    ],
)
def test_the_original_names_are_refused_even_beside_good_headers(admission, good, spoofed):
    assert refused(admission, [*forwarded(good), (spoofed, b"x")]) == "original-header"
    assert refused(admission, [(spoofed, b"x")]) == "original-header"
    admitted(admission, [*forwarded(good), (b"x-amzn-trace-id", b"Root=1-2-3")])


def test_a_header_is_as_long_as_a_load_balancer_makes_it_at_most(admission, authority):
    def padded(names: int) -> x509.Certificate:
        return authority.client(
            uris=[URI, *(f"spiffe://example.test/{number:0200}" for number in range(names))]
        )

    long, longer = padded(47), padded(52)
    assert 15_000 < len(values(long)["leaf"]) <= 16_384 < len(values(longer)["leaf"])
    admitted(admission, forwarded(long))
    assert refused(admission, forwarded(longer)) == "oversized-header"


@pytest.mark.parametrize("field", ["serial_number", "issuer", "subject", "validity"])
def test_the_other_headers_have_a_limit_too(admission, good, field):
    assert refused(admission, forwarded(good, **{field: "A" * 1025})) == "oversized-header"
    assert refused(admission, forwarded(good, **{field: "G" * 1024})) == "malformed-header"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda leaf: leaf.replace("%0A", "%0a"), "not-canonical"),
        (lambda leaf: leaf.replace("%20", "+"), "malformed-certificate"),
        (quote, "malformed-certificate"),
        (lambda leaf: leaf.replace("+", "%2B").replace("/", "%2F"), "not-canonical"),
        (lambda leaf: leaf.replace("M", "%4D", 1), "not-canonical"),
        (lambda leaf: leaf.replace("%0A", "%0D%0A"), "not-canonical"),
        (lambda leaf: leaf + "%0A", "not-canonical"),
        (lambda leaf: leaf + "%00", "not-canonical"),
        (lambda leaf: leaf + leaf, "not-canonical"),
        (lambda leaf: "%0A" + leaf, "not-canonical"),
        (lambda leaf: "hello%0A" + leaf, "not-canonical"),
        (lambda leaf: leaf + "%", "not-canonical"),
        (lambda leaf: leaf + "%G0", "not-canonical"),
        (lambda leaf: leaf.replace("%20", " "), "not-canonical"),
        (lambda leaf: leaf.replace("CERTIFICATE", "X509%20CERTIFICATE"), "not-canonical"),
        (lambda leaf: leaf.removeprefix("-"), "malformed-certificate"),
        (lambda leaf: "", "malformed-certificate"),
        (lambda leaf: leaf + "\xff", "not-ascii"),
    ],
    ids=[
        "lower case escapes",
        "plus for space",
        "encoded twice",
        "safe characters escaped",
        "a letter escaped",
        "other line ends",
        "one line more",
        "a byte after it",
        "two certificates",
        "a line before it",
        "text before it",
        "a percent sign alone",
        "a wrong escape",
        "spaces left alone",
        "another label",
        "a broken label",
        "empty",
        "not ASCII",
    ],
)
def test_a_leaf_that_is_encoded_in_another_way_is_refused(admission, authority, change, code):
    while "+" not in values(certificate := authority.client(uris=[URI]))["leaf"]:
        pass
    leaf = values(certificate)["leaf"]
    admitted(admission, forwarded(certificate))
    assert change(leaf) != leaf
    headers = [
        (header, change(leaf).encode("latin-1") if header.startswith(b"x-mtls-leaf") else value)
        for header, value in forwarded(certificate)
    ]
    assert refused(admission, headers) == code


@pytest.mark.parametrize(
    "change",
    [
        lambda leaf: leaf,
        lambda leaf: leaf.replace("=", "%3D"),
        lambda leaf: leaf.removesuffix("%0A"),
    ],
    ids=["as documented", "equals signs escaped", "without the last line end"],
)
def test_the_encodings_that_aws_shows_are_taken(admission, good, change):
    admitted(admission, forwarded(good, leaf=change(values(good)["leaf"])))


def test_the_serial_number_may_be_written_with_colons_and_in_lower_case(admission, good):
    digits = values(good)["serial_number"]
    colons = ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))
    admitted(admission, forwarded(good, serial_number=colons))
    admitted(admission, forwarded(good, serial_number=digits.lower()))
    assert refused(admission, forwarded(good, serial_number=f"0x{digits}")) == "malformed-header"
    assert refused(admission, forwarded(good, serial_number=f" {digits}")) == "malformed-header"


@pytest.mark.parametrize(
    ("field", "code"),
    [
        ("serial_number", "serial-mismatch"),
        ("subject", "subject-mismatch"),
        ("issuer", "issuer-mismatch"),
        ("validity", "validity-mismatch"),
    ],
)
def test_headers_of_two_certificates_are_refused(authority, good, field, code):
    stranger = Authority.root("Strangers").client(
        uris=[URI], subject=name("other"), ends=NOW + timedelta(days=89, seconds=1)
    )
    admission = Admission(document(authority))
    assert refused(admission, forwarded(good, **{field: values(stranger)[field]})) == code
    admitted(admission, forwarded(good))


@pytest.mark.parametrize(
    ("subject", "code"),
    [
        ("CN=client,O=Example", "malformed-header"),
        ("O=Example\\, Inc.,CN=client", "subject-mismatch"),
        ("CN=client,O=Example\\, Inc", "subject-mismatch"),
        ("CN=Client,O=Example\\, Inc.", "subject-mismatch"),
        ("CN=client+O=Example\\, Inc.", "subject-mismatch"),
        ("CN=client", "subject-mismatch"),
        ("", "subject-mismatch"),
        ("CN=client,O=Example, Inc.", "malformed-header"),
        ("nonsense", "malformed-header"),
    ],
)
def test_a_subject_is_compared_part_by_part(admission, authority, subject, code):
    certificate = authority.client(uris=[URI], subject=name("client", ORGANIZATION_NAME="Example, Inc."))
    admitted(admission, forwarded(certificate, subject="CN=client,O=Example\\2C Inc."))
    admitted(admission, forwarded(certificate, subject="CN=client,O=Example\\, Inc."))
    expected = "subject-mismatch" if subject == "CN=client,O=Example" else code
    assert refused(admission, forwarded(certificate, subject=subject)) == expected


def test_subjects_with_letters_of_other_languages_and_mail_addresses_are_read(admission, authority):
    subject = name("Zoë", EMAIL_ADDRESS="zoe@example.test")
    certificate = authority.client(uris=[URI], subject=subject)
    admitted(admission, forwarded(certificate, subject="CN=Zo\\C3\\AB,emailAddress=zoe@example.test"))


@pytest.mark.parametrize(
    "subject",
    [
        "CN=client+UID=7,emailAddress=c@example.test,OID.2.5.4.97=NTRDE-1\\ ",
        "uid=7 + cn=client , E=c@example.test , organizationIdentifier=NTRDE-1\\20",
        "CN=#1306636c69656e74+UID=#0c0137,EMAILADDRESS=c@example.test,2.5.4.97=#0c084e545244452d3120",
        (
            'CN="client"+0.9.2342.19200300.100.1.1=7;1.2.840.113549.1.9.1=#160e63406578616d706c652e74657374;'
            '2.5.4.97="NTRDE-1 "'
        ),
    ],
)
def test_every_spelling_of_a_subject_is_read(admission, authority, subject):
    certificate = authority.client(
        uris=[URI],
        subject=x509.Name(
            [
                x509.RelativeDistinguishedName(
                    [x509.NameAttribute(NameOID.ORGANIZATION_IDENTIFIER, "NTRDE-1 ")]
                ),
                x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.EMAIL_ADDRESS, "c@example.test")]),
                x509.RelativeDistinguishedName(
                    [
                        x509.NameAttribute(NameOID.USER_ID, "7"),
                        x509.NameAttribute(NameOID.COMMON_NAME, "client"),
                    ]
                ),
            ]
        ),
    )
    admitted(admission, forwarded(certificate, subject=subject))
    for wrong in (subject.replace("client", "clienT").replace("6e74+", "6e54+"), f"{subject},C=DE"):
        assert refused(admission, forwarded(certificate, subject=wrong)) == "subject-mismatch"
    for broken in (
        f"{subject},",
        f"{subject}+",
        f"{subject},X Y=1",
        f"{subject},CN=#0c05aa",
        f"{subject},CN=#0",
    ):
        assert refused(admission, forwarded(certificate, subject=broken)) == "malformed-header"


def test_an_empty_subject_is_an_empty_header(admission, authority):
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(URI)])
    certificate = authority.client(subject=x509.Name([]), extensions=[names])
    admitted(admission, forwarded(certificate))


@pytest.mark.parametrize(
    "validity",
    [
        "",
        "NotBefore=2026-01-01T00:00:00Z",
        "NotBefore=2026-13-01T00:00:00Z;NotAfter=2026-01-01T00:00:00Z",
        "NotBefore=\uff12026-01-01T00:00:00Z;NotAfter=2026-01-01T00:00:00Z",
    ],
)
def test_a_validity_that_is_written_otherwise_is_refused(admission, good, validity):
    assert refused(admission, forwarded(good, validity=validity)) in {"malformed-header", "not-ascii"}


def test_a_certificate_of_a_stranger_is_untrusted_though_it_says_the_same(admission, authority):
    stranger = Authority.root()
    assert stranger.certificate.subject == authority.certificate.subject
    assert refused(admission, forwarded(stranger.client(uris=[URI]))) == "untrusted"
    admitted(admission, forwarded(authority.client(uris=[URI])))


def test_a_client_of_another_trust_domain_is_untrusted(admission):
    assert refused(admission, forwarded(Authority.root("Databases").client(uris=[URI]))) == "untrusted"


def test_a_client_that_signed_itself_is_untrusted(admission):
    key = ec.generate_private_key(ec.SECP256R1())
    own = Authority(certificate=Authority.root("client", key=key).certificate, key=key)
    assert refused(admission, forwarded(own.client(uris=[URI], key=key))) == "untrusted"


def test_validity_ends_to_the_second_and_begins_with_what_clocks_may_differ(authority):
    certificate = authority.client(uris=[URI], begins=NOW, ends=NOW + timedelta(days=1))
    ends, begins = certificate.not_valid_after_utc, certificate.not_valid_before_utc
    headers = forwarded(certificate)

    def fresh() -> Admission:
        return Admission(document(authority))

    admitted(fresh(), headers, ends)
    assert refused(fresh(), headers, ends + SECOND) == "expired"
    admitted(fresh(), headers, begins - CLOCK_SKEW)
    assert refused(fresh(), headers, begins - CLOCK_SKEW - SECOND) == "not-yet-valid"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"usages": (SERVER,)}, "not-for-clients"),
        ({"usages": (ANY,)}, "not-for-clients"),
        ({"usages": None}, "not-for-clients"),
        ({"key": "rsa-1024"}, "weak-key"),
        ({"key": "ed25519"}, "weak-key"),
        ({"key": "secp256k1"}, "weak-key"),
        ({"is_authority": True}, "is-authority"),
        ({"key_usage": "no-signature"}, "wrong-key-usage"),
        ({"key_usage": "signs-certificates"}, "wrong-key-usage"),
        (
            {"extensions": [x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")]},
            "untrusted",
        ),
    ],
    ids=[
        "serverAuth",
        "anyExtendedKeyUsage",
        "no extended key usage",
        "RSA-1024",
        "Ed25519",
        "secp256k1",
        "authority",
        "no signatures",
        "signs certificates",
        "unknown critical extension",
    ],
)
def test_a_certificate_that_is_not_fit_for_a_client_is_refused(admission, authority, changes, code):
    made: dict[str, Any] = {
        "rsa-1024": lambda: rsa_key(1024),
        "ed25519": ed25519_key,
        "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
        "no-signature": lambda: key_usage(digital_signature=False),
        "signs-certificates": lambda: key_usage(key_cert_sign=True),
    }
    arguments = {key: made[value]() if isinstance(value, str) else value for key, value in changes.items()}
    assert refused(admission, forwarded(authority.client(uris=[URI], **arguments))) == code


@pytest.mark.parametrize("key", ["rsa-2048", "P-256", "P-384", "P-521"])
def test_the_keys_that_load_balancers_take_are_taken(admission, authority, key):
    made = {
        "rsa-2048": lambda: rsa_key(2048),
        "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    }
    admitted(admission, forwarded(authority.client(uris=[URI], key=made[key](), key_usage=key_usage())))
    admitted(admission, forwarded(authority.client(uris=[URI], usages=(CLIENT, SERVER))))


def test_a_signature_with_an_old_hash_is_refused(admission, authority, good):
    assert refused(admission, forwarded(signed_with_sha1(authority, good))) == "weak-signature"
    short = authority.client(uris=[URI], algorithm=hashes.SHA224())
    assert refused(admission, forwarded(short)) == "weak-signature"
    admitted(admission, forwarded(authority.client(uris=[URI], algorithm=hashes.SHA384())))


def test_a_certificate_of_version_1_is_refused(admission, authority):
    certificate = version_1(authority)
    assert certificate.version is x509.Version.v1
    assert refused(admission, forwarded(certificate)) == "not-version-3"


def test_a_chain_has_four_authorities_at_most():
    chain = [Authority.root("Root")]
    for number in range(4):
        chain.append(chain[-1].intermediate(f"Intermediate {number}"))
    admission = Admission(document(*chain))
    admitted(admission, forwarded(chain[3].client(uris=[URI])))
    assert refused(admission, forwarded(chain[4].client(uris=[URI]))) == "untrusted"


def test_an_intermediate_comes_from_the_document_and_may_be_trusted_alone():
    root = Authority.root("Root")
    intermediate = root.intermediate()
    client = forwarded(intermediate.client(uris=[URI]))
    admitted(Admission(document(root, intermediate)), client)
    admitted(Admission(document(intermediate)), client)
    alone = Admission(document(intermediate))
    assert refused(alone, forwarded(root.client(uris=[URI]))) == "untrusted"
    assert refused(Admission(document(root)), client) == "untrusted"


def test_a_second_generation_of_the_authority_is_trusted_beside_the_first(authority):
    second = Authority.root()
    admission = Admission(document(authority, second))
    admitted(admission, forwarded(authority.client(uris=[URI])))
    admitted(admission, forwarded(second.client(uris=[URI])))


@pytest.mark.parametrize(
    "changes",
    [
        {"uris": [URI + "x"]},
        {"uris": ["x" + URI]},
        {"uris": [URI.upper()]},
        {"uris": [URI + "/"]},
        {"uris": [URI + "#x"]},
        {"uris": [URI[:-1]]},
        {"subject": URI},
        {"dns": ["reports.example.test.evil.test"]},
        {"dns": ["evil.reports.example.test"]},
        {"dns": ["Reports.example.test"]},
        {"dns": ["*.example.test"]},
        {"uris": ["reports.example.test"]},
        {"subject": "reports.example.test"},
        {"subject": "Reporting-2"},
        {"subject": "reporting"},
        {"dns": ["Reporting"]},
        {"subject": "client"},
    ],
    ids=lambda changes: " ".join(f"{field} {value}" for field, value in changes.items()),
)
def test_a_name_that_only_resembles_a_listed_one_is_refused(authority, changes):
    listed = [
        AllowedIdentity(kind="uri", value=URI, role="by_uri"),
        AllowedIdentity(kind="dns", value="reports.example.test", role="by_dns"),
        AllowedIdentity(kind="commonName", value="Reporting", role="by_name"),
    ]
    admission = Admission(document(authority, identities=listed))
    subject = {"subject": name(changes["subject"])} if "subject" in changes else {}
    assert refused(admission, forwarded(authority.client(**(changes | subject)))) == "unmapped"
    assert admitted(admission, forwarded(authority.client(uris=[URI]))).role == "by_uri"
    assert admitted(admission, forwarded(authority.client(dns=["reports.example.test"]))).role == "by_dns"
    assert admitted(admission, forwarded(authority.client(subject=name("Reporting")))).role == "by_name"


@pytest.mark.parametrize("role", ["x-key", "jos\u00e9", "a b", "r" * 63])
def test_a_client_acts_as_any_role_that_postgresql_takes(role):
    assert AllowedIdentity(kind="uri", value=URI, role=role).role == role


@pytest.mark.parametrize("role", ["", "postgres", "pg_monitor", "Upper", "a\nb", "r" * 64])
def test_a_client_acts_as_no_other_role(role):
    with pytest.raises(ValueError, match="role name"):
        AllowedIdentity(kind="uri", value=URI, role=role)


LEDGER = AllowedIdentity(kind="commonName", value="ledger", role=ROLE)


@pytest.mark.parametrize(
    "names",
    [
        {"uris": ["spiffe://example.test/billing"]},
        {"uris": ["spiffe://example.test/ledger"]},
        {"uris": ["spiffe://example.test/role/ledger", "spiffe://example.test/billing"]},
        {"uris": ["spiffe://example.test/role/ledger/x"]},
        {"dns": ["billing.example.test"]},
        {"dns": ["ledger", "billing"]},
    ],
    ids=str,
)
def test_the_common_name_of_a_certificate_for_another_name_does_not_count(authority, names):
    admission = Admission(document(authority, identities=[LEDGER]))
    certificate = authority.client(subject=name("ledger"), **names)
    found = verdict(admission, forwarded(certificate))
    assert isinstance(found, Refusal)
    assert found.code is RefusalCode.UNMAPPED
    assert "list that name" in found.detail
    repeated = authority.client(
        subject=name("ledger"), uris=["spiffe://example.test/role/ledger"], dns=["ledger"]
    )
    admitted(admission, forwarded(repeated))


def constrained(root: Authority, *names: x509.GeneralName, excluded: bool = False) -> Authority:
    subtrees = list(names)
    constraints = x509.NameConstraints(
        permitted_subtrees=None if excluded else subtrees, excluded_subtrees=subtrees if excluded else None
    )
    return root.intermediate("Constrained", extensions=[constraints])


@pytest.mark.parametrize(
    ("subtree", "excluded", "common", "counts"),
    [
        (x509.DNSName("team-a.example.test"), False, "ledger", False),
        (x509.DNSName("team-a.example.test"), False, "ledger.team-b.example.test", False),
        (x509.DNSName("team-a.example.test"), False, "ledger-team-a.example.test", False),
        (x509.DNSName("team-a.example.test"), False, "ledger.Team-A.example.test", True),
        (x509.DNSName(".team-a.example.test"), False, "ledger.team-a.example.test", True),
        (x509.RFC822Name("example.test"), False, "ledger", False),
        (x509.DNSName("team-b.example.test"), True, "ledger.team-b.example.test", False),
        (x509.DNSName("team-b.example.test"), True, "ledger", True),
    ],
)
def test_constraints_of_names_bind_common_names(authority, subtree, excluded, common, counts):
    intermediate = constrained(authority, subtree, excluded=excluded)
    listed = AllowedIdentity(kind="commonName", value=common, role=ROLE)
    admission = Admission(document(authority, intermediate, identities=[listed]))
    found = verdict(admission, forwarded(intermediate.client(subject=name(common))))
    assert isinstance(found, Caller) is counts, found
    if isinstance(found, Refusal):
        assert found.code is RefusalCode.UNMAPPED
        assert "is constrained to names that do not include it" in found.detail
    admitted(admission, forwarded(authority.client(subject=name(common))))


def test_two_common_names_say_nothing(authority):
    admission = Admission(
        document(authority, identities=[AllowedIdentity(kind="commonName", value="Reporting", role=ROLE)])
    )
    twice = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "other"),
            x509.NameAttribute(NameOID.COMMON_NAME, "Reporting"),
        ]
    )
    assert refused(admission, forwarded(authority.client(subject=twice))) == "unmapped"
    admitted(admission, forwarded(authority.client(subject=name("Reporting"))))


def test_names_that_are_listed_for_different_roles_are_refused(authority):
    listed = [
        AllowedIdentity(kind="uri", value=URI, role="reader"),
        AllowedIdentity(kind="uri", value=URI + "/2", role="writer"),
        AllowedIdentity(kind="dns", value="reader.example.test", role="reader"),
    ]
    admission = Admission(document(authority, identities=listed))
    assert refused(admission, forwarded(authority.client(uris=[URI, URI + "/2"]))) == "ambiguous"
    both = authority.client(uris=[URI, "spiffe://elsewhere.test"], dns=["reader.example.test"])
    assert admitted(admission, forwarded(both)).role == "reader"


@pytest.mark.parametrize("code", list(RefusalCode), ids=lambda code: code.value)
def test_a_caller_who_may_do_nothing_here_is_forbidden_and_everybody_else_is_unknown(code):
    assert code.status == (403 if code.value in {"unmapped", "ambiguous"} else 401)


def test_a_refusal_names_the_certificate_for_the_log_and_never_the_suffix(admission, authority):
    certificate = authority.client(uris=["spiffe://example.test/other"])
    found = verdict(admission, forwarded(certificate))
    assert isinstance(found, Refusal)
    assert found.serial == values(certificate)["serial_number"]
    assert "spiffe://example.test/other" in found.detail
    assert SUFFIX not in repr(found)
    assert SUFFIX not in repr(verdict(admission, forwarded(certificate, leaf=None)))


@pytest.mark.parametrize(
    ("bundle", "words"),
    [
        ("nothing", "cannot be read"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be read"),
    ],
)
def test_a_document_whose_authorities_cannot_be_read_is_refused(bundle, words):
    with pytest.raises(DocumentError, match=words):
        Admission(document(bundle))


def test_a_document_that_trusts_what_is_no_authority_is_refused(authority, good):
    with pytest.raises(DocumentError, match="is not an authority"):
        Admission(document(pem(good)))
    with pytest.raises(DocumentError, match="not accepted by load balancers"):
        Admission(document(Authority.root("Weak", key=rsa_key(1024))))
    Admission(document(authority))
