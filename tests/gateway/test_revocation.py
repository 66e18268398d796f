"""Revoked certificates and expired revocation lists."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from gateway.caller import Caller
from gateway.errors import DocumentError
from gateway.published_metrics import (
    AUTHORITY_LIFE_LEFT,
    CLIENT_LIFE_LEFT,
    LIST_LIFE_LEFT,
    metrics_line,
)
from gateway.refusals import Refusal
from gateway.verdict import Admission
from tests.gateway.certificates import NOW, Authority
from tests.gateway.forwarding import URI, document, forwarded
from tests.gateway.test_authorities import Shape

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


def outcome(admission, certificate, at=NOW):
    found = admission.verdict(forwarded(certificate), at.timestamp())
    assert isinstance(found, Caller | Refusal)
    return "admitted" if isinstance(found, Caller) else found.code.value


def test_a_revoked_certificate_is_refused_and_its_neighbour_is_not(authority):
    one, other = authority.client(uris=[URI]), authority.client(uris=[URI])
    admission = Admission(document(authority, revocation_lists=(authority.revocation_list(one),)))
    assert outcome(admission, one) == "revoked"
    assert outcome(admission, other) == "admitted"
    found = admission.verdict(forwarded(one), NOW.timestamp())
    assert isinstance(found, Refusal)
    assert "keyCompromise" in found.detail


def test_nobody_is_known_to_be_good_once_the_list_is_old(authority):
    client = authority.client(uris=[URI])
    ends = NOW + DAY
    admission = Admission(document(authority, revocation_lists=(authority.revocation_list(ends=ends),)))
    assert outcome(admission, client, ends - SECOND) == "admitted"
    assert not admission.is_stale((ends - SECOND).timestamp())
    assert outcome(admission, client, ends) == "stale-revocation-list"
    assert admission.is_stale(ends.timestamp())


@pytest.mark.parametrize(
    ("days", "left"),
    [([(-1, 3)], 0.75), ([(-1, 3), (-9, 1)], 0.75), ([(-4, 1)], 0.2), ([(-5, 0)], 0), ([(-9, -1)], 0)],
)
def test_how_much_is_left_of_the_life_of_an_authoritys_newest_list(authority, days, left):
    lists = [
        authority.revocation_list(begins=NOW + begins * DAY, ends=NOW + ends * DAY) for begins, ends in days
    ]
    assert Admission(document(authority, revocation_lists=lists)).list_life_left(NOW) == left


def test_the_list_that_ends_first_decides(authority):
    other = Authority.root("Other")
    assert Admission(document(authority)).list_life_left(NOW) is None
    lists = [
        authority.revocation_list(begins=NOW - DAY, ends=NOW + DAY),
        other.revocation_list(begins=NOW - 3 * DAY, ends=NOW + DAY),
    ]
    assert Admission(document(authority, other, revocation_lists=lists)).list_life_left(NOW) == 0.25


def test_how_much_is_left_of_the_life_of_the_authority_that_ends_first():
    first, second = Authority.root("First"), Authority.root("Second", now=NOW - 182.5 * DAY)
    assert Admission(document(first, second)).authority_life_left(NOW) == 0.25
    assert Admission(document(first)).authority_life_left(NOW) == 0.5
    assert Admission(document(first)).authority_life_left(NOW + 400 * DAY) == 0


def test_a_list_and_an_authority_that_end_as_they_begin_have_nothing_left():
    momentary = Shape(begins=timedelta(0), ends=timedelta(0)).made()
    lists = (momentary.revocation_list(begins=NOW, ends=NOW + SECOND),)
    admission = Admission(document(momentary, revocation_lists=lists))
    assert admission.authority_life_left(NOW) == 0
    assert admission.list_life_left(NOW + SECOND) == 0


def test_what_alarms_learn_is_in_the_embedded_metric_format():
    lives = {LIST_LIFE_LEFT: 0.5, AUTHORITY_LIFE_LEFT: 0.75, CLIENT_LIFE_LEFT: None}
    line = metrics_line("/gateway", lives_left=lives, document_is_refused=True, serial=7, now=1.5)
    assert json.loads(line) == {
        "event": "metrics",
        "_aws": {
            "Timestamp": 1500,
            "CloudWatchMetrics": [
                {
                    "Namespace": "PasswordlessPostgres",
                    "Dimensions": [["Gateway"]],
                    "Metrics": [
                        {"Name": "DocumentRefused", "Unit": "Count"},
                        {"Name": "DocumentSerial", "Unit": "None"},
                        {"Name": "RevocationListLifeLeft", "Unit": "Percent"},
                        {"Name": "ClientAuthorityLifeLeft", "Unit": "Percent"},
                    ],
                }
            ],
        },
        "Gateway": "/gateway",
        "DocumentRefused": 1,
        "DocumentSerial": 7,
        "RevocationListLifeLeft": 50.0,
        "ClientAuthorityLifeLeft": 75.0,
    }
    lives = {CLIENT_LIFE_LEFT: 0.1}
    line = metrics_line("/gateway", lives_left=lives, document_is_refused=False, serial=None, now=1)
    told = json.loads(line)
    assert told["_aws"]["CloudWatchMetrics"][0]["Metrics"][1]["Name"] == "ClientCertificateLifeLeft"
    assert (told["ClientCertificateLifeLeft"], told["DocumentRefused"]) == (10.0, 0)


def test_without_any_list_nothing_is_revoked(authority):
    assert outcome(Admission(document(authority)), authority.client(uris=[URI])) == "admitted"


def test_the_newest_list_of_an_authority_decides_on_freshness_and_every_list_on_revocation(authority):
    one, other, third = (authority.client(uris=[URI]) for _ in range(3))
    old = authority.revocation_list(one, begins=NOW - 2 * DAY, ends=NOW - DAY)
    new = authority.revocation_list(other)
    for lists in ((old, new), (new, old)):
        admission = Admission(document(authority, revocation_lists=lists))
        assert outcome(admission, one) == "revoked"
        assert outcome(admission, other) == "revoked"
        assert outcome(admission, third) == "admitted"


def test_the_list_of_one_authority_says_nothing_of_another_ones_clients(authority):
    other = Authority.root()
    stale = authority.revocation_list(ends=NOW - SECOND)
    admission = Admission(document(authority, other, revocation_lists=(stale,)))
    assert outcome(admission, authority.client(uris=[URI])) == "stale-revocation-list"
    assert outcome(admission, other.client(uris=[URI])) == "admitted"


def test_an_intermediate_that_its_root_revoked_takes_its_clients_with_it():
    root = Authority.root("Root")
    intermediate, other = root.intermediate("One"), root.intermediate("Other")
    revoked = root.revocation_list(intermediate.certificate)
    admission = Admission(document(root, intermediate, other, revocation_lists=(revoked,)))
    assert outcome(admission, intermediate.client(uris=[URI])) == "revoked"
    assert outcome(admission, other.client(uris=[URI])) == "admitted"


def test_a_list_that_no_authority_of_the_document_signed_is_refused(authority):
    stranger = Authority.root()
    with pytest.raises(DocumentError, match="no authority of clientAuthorities signed it"):
        Admission(document(authority, revocation_lists=(stranger.revocation_list(),)))
    Admission(document(authority, revocation_lists=(authority.revocation_list(),)))


@pytest.mark.parametrize("text", ["", "nothing", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"])
def test_a_list_that_cannot_be_read_is_refused(authority, text):
    with pytest.raises(DocumentError, match="list 1 cannot be read"):
        Admission(document(authority, revocation_lists=(text,)))
