"""Headers, logs and answers are written as AWS documents them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from emulator.elb.data_plane import access_log, connection_log
from emulator.elb.data_plane.desync import classify, handling
from emulator.elb.data_plane.forwarded_headers import (
    distinguished_name,
    encoded,
    passthrough_headers,
    serial_number,
    validity,
    verify_headers,
)
from emulator.elb.data_plane.forwarded_request import (
    Forwarding,
    end_to_end,
    forwarded,
    forwarded_addresses,
    new_trace,
)
from emulator.elb.data_plane.proxying import error_answer
from tests.emulator.elb.conftest import Sandbox
from tests.emulator.elb.log_fields import fields

DOCUMENTED_SUBJECT = "CN=client_.com,OU=client-3,O=mTLS,ST=Washington,C=US"
DOCUMENTED_VALIDITY = "NotBefore=2023-09-21T01:50:17Z;NotAfter=2024-09-20T01:50:17Z"
DOCUMENTED_BEGIN = datetime(2023, 9, 21, 1, 50, 17, tzinfo=UTC)
DOCUMENTED_LINE = (
    "2023-10-04T17:05:15.514108Z 203.0.113.1 36280 443 TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256 4.036 "
    '"CN=amazondomains.com,O=endEntity,L=Seattle,ST=Washington,C=US" '
    "NotBefore=2023-09-21T22:43:21Z;NotAfter=2026-06-17T22:43:21Z FEF257372D5C14D4 Success "
    "TID_3180a73013c8ca4bac2f731159d4b0fe secp256r1"
)


def _documented(certificates: Any, **changes: Any) -> x509.Certificate:
    attributes = [
        (NameOID.COUNTRY_NAME, "US"),
        (NameOID.STATE_OR_PROVINCE_NAME, "Washington"),
        (NameOID.ORGANIZATION_NAME, "mTLS"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "client-3"),
        (NameOID.COMMON_NAME, "client_.com"),
    ]
    begins = DOCUMENTED_BEGIN - certificates.now
    return certificates.leaf(
        certificates.authority("root"),
        subject=x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes]),
        begins=begins,
        ends=begins + timedelta(days=365),
        **changes,
    ).certificate


def test_the_documented_samples_come_out_byte_for_byte(certificates: Any) -> None:
    certificate = _documented(certificates, serial=0x03A5B1)
    headers = verify_headers(certificate)
    assert headers["X-Amzn-Mtls-Clientcert-Serial-Number"] == "03A5B1"
    assert headers["X-Amzn-Mtls-Clientcert-Subject"] == DOCUMENTED_SUBJECT
    assert headers["X-Amzn-Mtls-Clientcert-Validity"] == DOCUMENTED_VALIDITY
    assert headers["X-Amzn-Mtls-Clientcert-Issuer"] == "CN=root"
    leaf = headers["X-Amzn-Mtls-Clientcert-Leaf"]
    assert leaf.startswith("-----BEGIN%20CERTIFICATE-----%0AMII")
    assert leaf.endswith("%0A-----END%20CERTIFICATE-----%0A")
    assert "%3D" not in leaf
    assert "%2B" not in leaf
    assert "%2F" not in leaf
    assert x509.load_pem_x509_certificate(unquote(leaf).encode()) == certificate


@pytest.mark.parametrize(
    ("serial", "text"),
    [(1, "01"), (0x2A, "2A"), (0x03A5B1, "03A5B1"), (0xFEF257372D5C14D4, "FEF257372D5C14D4")],
)
def test_serial_numbers_are_whole_bytes_in_upper_case(certificates: Any, serial: int, text: str) -> None:
    assert serial_number(_documented(certificates, serial=serial)) == text


def test_the_chain_of_passthrough_is_one_header_leaf_first(certificates: Any) -> None:
    leaf, issuer = _documented(certificates), certificates.authority().certificate
    (header,) = passthrough_headers([leaf, issuer]).values()
    assert x509.load_pem_x509_certificates(unquote(header).encode()) == [leaf, issuer]
    assert passthrough_headers([]) == {}


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=50))
def test_encoding_is_undone_by_unquoting_and_fits_a_header(text: str) -> None:
    value = encoded(text)
    assert unquote(value) == text
    assert value.isascii()
    assert value.isprintable()


@given(
    st.lists(
        st.tuples(
            st.sampled_from([NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.DOMAIN_COMPONENT]),
            st.text(
                alphabet=st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=20
            ),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_names_keep_their_meaning_and_are_printable_ascii(attributes: list[Any]) -> None:
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])
    text = distinguished_name(name)
    assert text.isascii()
    assert text.isprintable()
    assert x509.Name.from_rfc4514_string(text).rfc4514_string() == name.rfc4514_string()


def test_letters_beyond_ascii_are_written_as_openssl_does() -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Zoë, 1")])
    assert distinguished_name(name) == "CN=Zo\\C3\\AB\\, 1"


def test_an_entry_of_the_connection_log_is_the_documented_one(certificates: Any) -> None:
    begins = datetime(2023, 9, 21, 22, 43, 21, tzinfo=UTC)
    subject = x509.Name.from_rfc4514_string("CN=amazondomains.com,O=endEntity,L=Seattle,ST=Washington,C=US")
    leaf = certificates.leaf(
        certificates.authority(),
        subject=subject,
        serial=0xFEF257372D5C14D4,
        begins=begins - certificates.now,
        ends=datetime(2026, 6, 17, 22, 43, 21, tzinfo=UTC) - certificates.now,
    ).certificate
    known: dict[str, Any] = {
        "arrived": datetime(2023, 10, 4, 17, 5, 15, 514108, tzinfo=UTC),
        "client_ip": "203.0.113.1",
        "client_port": 36280,
        "listener_port": 443,
        "trace_id": "TID_3180a73013c8ca4bac2f731159d4b0fe",
    }
    success = connection_log.Connection(
        protocol="TLSv1.2",
        cipher="ECDHE-RSA-AES128-GCM-SHA256",
        key_exchange="secp256r1",
        latency_seconds=4.036,
        leaf=leaf,
        **known,
    )
    assert success.line() == DOCUMENTED_LINE
    nothing = connection_log.Connection(
        failure="ClientCertUntrusted",
        **known,
    )
    entry = fields(nothing.line())
    assert entry["tls_verify_status"] == "Failed:ClientCertUntrusted"
    absent = ("tls_protocol", "tls_cipher", "leaf_client_cert_subject", "tls_keyexchange")
    assert {entry[name] for name in absent} == {"-"}


@given(st.text(max_size=40))
def test_what_clients_send_cannot_break_out_of_its_field_in_a_log(forwarding: Forwarding, text: str) -> None:
    line = access_log.Access(forwarding=forwarding, user_agent=text, url=text).line()
    assert line.isprintable()
    found = fields(line, access_log.FIELDS)
    assert (found["type"], found["conn_trace_id"]) == ("https", forwarding.connection.trace_id)
    if text.isprintable():
        assert found["user_agent"] == text


@pytest.mark.parametrize("line", ["", "a b", DOCUMENTED_LINE + " more"])
def test_entries_of_another_form_are_no_entries(line: str) -> None:
    with pytest.raises(ValueError, match="argument"):
        fields(line)
    with pytest.raises(ValueError, match="argument"):
        fields(line, access_log.FIELDS)


TOKENS = st.text(alphabet="ABCxyz-09", min_size=1, max_size=12).map(str.encode)


@pytest.fixture(scope="session")
def forwarding(certificates: Any, tmp_path_factory: pytest.TempPathFactory) -> Forwarding:
    return Forwarding(
        configuration=Sandbox(certificates, tmp_path_factory.getbasetemp()).configuration(),
        connection=connection_log.Connection(client_ip="198.51.100.7", client_port=50000, listener_port=443),
        added=(("x-mtls-subject-1", "CN=app"),),
    )


@given(st.lists(st.tuples(TOKENS, st.binary(max_size=20)), max_size=8))
def test_nothing_that_a_client_sent_end_to_end_is_lost(
    forwarding: Forwarding, headers: list[tuple[bytes, bytes]]
) -> None:
    result = forwarded(headers, forwarding, chunked=False, trace="1-0-0")
    assert result[: len(end_to_end(headers))] == end_to_end(headers)
    assert result[-1] == (b"x-mtls-subject-1", b"CN=app")


def test_what_belongs_to_one_connection_stays_with_it() -> None:
    given_headers = [
        (b"Connection", b"close, X-One"),
        (b"X-One", b"1"),
        (b"TE", b"trailers"),
        (b"X-Two", b"2"),
    ]
    assert end_to_end(given_headers) == [(b"X-Two", b"2")]


@pytest.mark.parametrize(
    ("mode", "with_port", "before", "after"),
    [
        ("append", False, [], [b"198.51.100.7"]),
        ("append", False, [b"a", b"b"], [b"a, b, 198.51.100.7"]),
        ("append", True, [b"a"], [b"a, 198.51.100.7:50000"]),
        ("preserve", False, [b"a"], [b"a"]),
        ("preserve", False, [], []),
        ("remove", False, [b"a"], []),
    ],
)
def test_x_forwarded_for_is_treated_as_the_attribute_says(
    forwarding: Forwarding, mode: Any, with_port: bool, before: list[bytes], after: list[bytes]
) -> None:
    attributes = {"xff_header_processing_mode": mode, "enable_xff_client_port": with_port}
    load_balancer = forwarding.configuration.load_balancer.model_copy(update=attributes)
    forwarding = replace(
        forwarding, configuration=replace(forwarding.configuration, load_balancer=load_balancer)
    )
    headers = [(b"x-forwarded-for", value) for value in before]
    result = forwarded(headers, forwarding, chunked=False, trace="1-0-0")
    assert [value for name, value in result if name.lower() == b"x-forwarded-for"] == after
    assert forwarded_addresses(headers) == len(before)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, b"Root=1-0-0"),
        (b"Root=1-a-b", b"Self=1-0-0;Root=1-a-b"),
        (b"Self=1-c-d;Root=1-a-b;x=y", b"Self=1-0-0;Root=1-a-b;x=y"),
        (b"x=y", b"Root=1-0-0;x=y"),
    ],
)
def test_the_trace_id_is_continued(forwarding: Forwarding, before: bytes | None, after: bytes) -> None:
    headers = [] if before is None else [(b"X-Amzn-Trace-Id", before)]
    result = forwarded(headers, forwarding, chunked=False, trace="1-0-0")
    assert [value for name, value in result if name == b"X-Amzn-Trace-Id"] == [after]
    assert new_trace(0x67891233).startswith("1-67891233-")


def test_a_body_in_chunks_has_no_length(forwarding: Forwarding) -> None:
    headers = [(b"Content-Length", b"3"), (b"Transfer-Encoding", b"chunked")]
    result = forwarded(headers, forwarding, chunked=True, trace="1-0-0")
    assert [value for name, value in result if name == b"Transfer-Encoding"] == [b"chunked"]
    assert b"Content-Length" not in dict(result)


@pytest.mark.parametrize(
    ("method", "headers", "reason"),
    [
        (b"GET", [], "-"),
        (b"POST", [(b"content-length", b"3")], "-"),
        (b"GET", [(b"content-length", b"0")], "GetHeadZeroContentLength"),
        (b"HEAD", [(b"content-length", b"3")], "UndefinedContentLengthSemantics"),
        (b"GET", [(b"transfer-encoding", b"chunked")], "UndefinedTransferEncodingSemantics"),
        (b"POST", [(b"transfer-encoding", b"chunked"), (b"content-length", b"3")], "BothTeClPresent"),
        (b"POST", [(b"content_length", b"3")], "SuspiciousHeader"),
        (b"GET", [(b"x", "ü".encode())], "NonCompliantHeader"),
    ],
)
def test_requests_with_two_meanings_are_told(method: bytes, headers: list[Any], reason: str) -> None:
    verdict = classify(method, b"1.1", headers)
    assert verdict.reason == reason
    assert (handling(verdict, "strictest") == "route") == (reason == "-")
    assert handling(verdict, "monitor") == "route"
    ambiguous = verdict.classification == "Ambiguous"
    assert (handling(verdict, "defensive") == "route and close") == ambiguous


def test_own_answers_name_the_load_balancer() -> None:
    _, headers, body = error_answer(503)
    assert dict(headers) == {
        b"Server": b"awselb/2.0",
        b"Content-Type": b"text/html",
        b"Content-Length": str(len(body)).encode(),
    }
    assert b"<center><h1>503 Service Unavailable</h1></center>" in body


def test_dates_are_those_of_the_certificate(certificates: Any) -> None:
    assert validity(_documented(certificates)) == DOCUMENTED_VALIDITY
