"""Verdicts are kept until whatever they depend on expires; tests set the clock."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway import verdict as verdict_module
from gateway.caller import Caller
from gateway.refusals import Refusal
from gateway.verdict import CLOCK_SKEW, Admission
from tests.gateway.certificates import NOW, Authority
from tests.gateway.forwarding import URI, document, forwarded

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
def decisions(monkeypatch):
    """Each certificate that was looked at, rather than remembered."""
    seen = []

    def counted(headers):
        seen.append(headers)
        return original(headers)

    original = verdict_module.forwarded_certificate
    monkeypatch.setattr(verdict_module, "forwarded_certificate", counted)
    return seen


def test_a_caller_who_comes_again_is_remembered(authority, decisions):
    admission = Admission(document(authority))
    headers = forwarded(authority.client(uris=[URI]))
    first = admission.verdict(headers, NOW.timestamp())
    assert isinstance(first, Caller)
    assert admission.verdict(headers, NOW.timestamp() + 1) is first
    assert len(decisions) == 1


def test_a_remembered_caller_does_not_excuse_another_header(authority):
    admission = Admission(document(authority))
    headers = forwarded(authority.client(uris=[URI]))
    assert isinstance(admission.verdict(headers, NOW.timestamp()), Caller)
    for extra in (headers[1], (b"x-amzn-mtls-clientcert", b"x")):
        assert isinstance(admission.verdict([*headers, extra], NOW.timestamp()), Refusal)


def test_what_is_remembered_ends_with_the_certificate(authority):
    ends = NOW + DAY
    admission = Admission(document(authority))
    headers = forwarded(authority.client(uris=[URI], ends=ends))
    assert isinstance(admission.verdict(headers, NOW.timestamp()), Caller)
    assert isinstance(admission.verdict(headers, ends.timestamp()), Caller)
    refusal = admission.verdict(headers, (ends + SECOND).timestamp())
    assert isinstance(refusal, Refusal)
    assert refusal.code.value == "expired"


def test_what_is_remembered_ends_with_an_authority_above_it():
    root = Authority.root("Root", now=NOW - timedelta(days=364))
    admission = Admission(document(root))
    headers = forwarded(root.client(uris=[URI]))
    assert isinstance(admission.verdict(headers, NOW.timestamp()), Caller)
    refusal = admission.verdict(headers, (NOW + 2 * DAY).timestamp())
    assert isinstance(refusal, Refusal)
    assert refusal.code.value == "untrusted"


def test_what_is_remembered_ends_with_the_revocation_list(authority):
    lists = (authority.revocation_list(ends=NOW + DAY),)
    admission = Admission(document(authority, revocation_lists=lists))
    headers = forwarded(authority.client(uris=[URI]))
    assert isinstance(admission.verdict(headers, NOW.timestamp()), Caller)
    refusal = admission.verdict(headers, (NOW + DAY).timestamp())
    assert isinstance(refusal, Refusal)
    assert refusal.code.value == "stale-revocation-list"


def test_what_is_remembered_does_not_hold_for_a_clock_that_was_set_back(authority):
    admission = Admission(document(authority))
    headers = forwarded(authority.client(uris=[URI], begins=NOW))
    assert isinstance(admission.verdict(headers, NOW.timestamp()), Caller)
    refusal = admission.verdict(headers, (NOW - CLOCK_SKEW - SECOND).timestamp())
    assert isinstance(refusal, Refusal)
    assert refusal.code.value == "not-yet-valid"


def test_only_so_many_are_remembered_and_strangers_push_nobody_out(authority, decisions, monkeypatch):
    monkeypatch.setattr(verdict_module, "MAX_KEPT", 2)
    admission = Admission(document(authority))
    first, second, third = (forwarded(authority.client(uris=[URI])) for _ in range(3))
    stranger = forwarded(Authority.root().client(uris=[URI]))
    for headers in (first, second, stranger, stranger, first, third):
        admission.verdict(headers, NOW.timestamp())
    decisions.clear()
    admission.verdict(first, NOW.timestamp())
    admission.verdict(third, NOW.timestamp())
    assert not decisions
    admission.verdict(second, NOW.timestamp())
    assert len(decisions) == 1
