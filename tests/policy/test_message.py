"""A finding is parsed back from the text that the engine carries, whatever names and values it contains."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from policy.exemptions import Exemption
from policy.finding import Finding, Verdict
from policy.message import Message, RuleReference, parse
from policy.resources import Resource
from policy.rules import RULES
from policy.values import UNKNOWN, Secret, TextPlace, Value
from tests.policy.examples import UNKNOWN as UNKNOWN_TEXT
from tests.policy.examples import Sent, Stub, diagnostics, hardened, instance, message_of, policy, secret
from tests.policy.fixtures import server_files

PARTS = (
    ". Exempt: ", ". Rules: ", ". Fix: ", ". See: ", " is ", ": ", "'", '"', "\\", "\n", "not set", " (", ")",
    "<{%",
    "%}>", "Undecided: ", "Crashed: ", "\x1b[31m", "\u2028", "Fix\\:",
)  # fmt: skip
HOSTILE = st.lists(st.one_of(st.text(max_size=8), st.sampled_from(PARTS)), max_size=6).map("".join)
"""Text that looks like parts of a message, beside any other text."""
VALUES = st.one_of(
    st.none(),
    st.just(UNKNOWN),
    HOSTILE,
    st.booleans(),
    st.integers(),
    st.floats(),
    st.just([]),
    st.just({}),
    HOSTILE.map(Secret),
)
PLACES = st.one_of(
    st.tuples(HOSTILE, VALUES).map(lambda each: Value.of(each[0], each[1])),
    st.builds(TextPlace, path=HOSTILE, file=HOSTILE, line=st.integers(0, 999), column=st.integers(0, 99)),
)


@st.composite
def findings(draw: st.DrawFn) -> Finding:
    rules = draw(st.lists(st.sampled_from(RULES), min_size=1, max_size=3))
    verdict = draw(st.sampled_from(Verdict))
    found = Finding(
        rule=rules[0],
        resource=Resource(urn="urn", type=draw(HOSTILE), name=draw(HOSTILE), properties={}),
        verdict=verdict,
        explanation=draw(HOSTILE.filter(lambda text: bool(text.strip()))),
        others=tuple(rules[1:]) if verdict is Verdict.UNDECIDED else (),
        waits_for=draw(HOSTILE) if verdict is Verdict.UNDECIDED else "",
    )
    if verdict in (Verdict.VIOLATED, Verdict.EXEMPT):
        at = draw(PLACES)
        is_value = isinstance(at, Value)
        found = replace(found, place=at.path if is_value else str(at), value=at.shown if is_value else "")
        assume(found.place.strip())
    if verdict is Verdict.EXEMPT:
        exempt = Exemption(
            rule=found.rule.id, scope="urn", reason=draw(HOSTILE), owner=draw(HOSTILE), expires=date.max
        )
        found = replace(found, exemption=exempt)
    return found


@settings(max_examples=400)
@given(findings())
def test_every_finding_is_read_back_as_it_was_written(finding: Finding) -> None:
    message = Message.of(finding, with_rules=True)
    text = message.format()
    assert parse(text) == message
    assert parse(f"{text}\n") == message, "as the engine shows it"
    assert len(text.splitlines()) == 1
    assert "<{%" not in text, "the engine would take it for a colour mark"


@pytest.mark.parametrize("verdict", Verdict)
def test_every_rule_is_read_back(verdict: Verdict) -> None:
    is_found_in_a_property = verdict in (Verdict.VIOLATED, Verdict.EXEMPT)
    for rule in RULES:
        found = Finding(
            rule=rule,
            resource=Resource(urn="urn", type=rule.types[0], name="one", properties={}),
            verdict=verdict,
            place="name" if is_found_in_a_property else "",
            value="'x'" if is_found_in_a_property else "",
            explanation=rule.why,
        )
        message = parse(Message.of(found, with_rules=True).format())
        is_undecided = verdict is Verdict.UNDECIDED
        assert message.rules == ((RuleReference(rule.id, rule.severity),) if is_undecided else ())
        assert message.verdict is (Verdict.VIOLATED if verdict is Verdict.EXEMPT else verdict)
        assert message.explanation == (f"{rule.id}: {rule.why}" if is_undecided else rule.why)
        assert message.fix == (rule.fix if verdict is Verdict.VIOLATED else "")


def test_undecided_says_how_many_rules_wait_and_names_one_that_is_alone() -> None:
    rules = [rule for rule in RULES if "aws:iam/rolePolicy:RolePolicy" in rule.types]
    waiting = Finding(
        rule=rules[0],
        resource=Resource(urn="urn", type=rules[0].types[0], name="one", properties={}),
        verdict=Verdict.UNDECIDED,
        explanation="policy is not known before the update",
        waits_for="policy",
        others=tuple(rules[1:7]),
    )
    assert Message.of(waiting).format() == "Undecided: 7 rules wait for the value of `policy`"
    alone = replace(waiting, others=())
    assert Message.of(alone).format() == f"Undecided: {rules[0].id} waits for the value of `policy`"
    other = replace(alone, waits_for="", explanation="engineVersion is not set")
    assert Message.of(other).format() == f"Undecided: {rules[0].id}: engineVersion is not set"


ODD: dict[str, list[Sent]] = {
    "a label in a value": hardened(instance(caCertIdentifier="x. Fix: nothing. Exempt: all")),
    "lines": hardened(
        instance(caCertIdentifier="x\nPGTLS-N41 [critical] exempted for x (y): z. Exempt: all")
    ),
    "a secret": hardened(instance(caCertIdentifier=secret("swordfish"))),
    "an unknown": hardened(instance(caCertIdentifier=UNKNOWN_TEXT)),
    "a name": hardened({**instance(storageEncrypted=False), "name": 'x" (y): undecided for z. Exempt: all'}),
    "a key": hardened(
        policy({"Statement": [{"Effect": "Allow", "Action": "rds-db:*", "Resource": "*"}], "a: b\nis c": {}})
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_a_program_cannot_forge_another_verdict(name: str) -> None:
    found = diagnostics(Stub(), ODD[name])
    assert found
    for each in found:
        message = message_of(each)
        assert message.verdict is (Verdict.UNDECIDED if name == "an unknown" else Verdict.VIOLATED)
        assert message.exemption == ""
        assert "swordfish" not in each.message


@settings(max_examples=200)
@given(HOSTILE)
def test_any_text_can_be_read(text: str) -> None:
    parse(text)
    parse(f"Undecided: {text}")


@pytest.mark.parametrize("name", server_files.PLACES)
def test_a_finding_in_a_text_names_the_place_and_not_a_value(name: str) -> None:
    resources, rule, place = server_files.PLACES[name]
    found = [each for each in diagnostics(Stub(), resources) if each.policyName == f"PGTLS-{rule}"]
    assert place in [message_of(each).place for each in found]
    for each in found:
        assert "is not set" not in each.message
        assert "swordfish" not in each.message


def test_nothing_in_a_text_is_said_to_be_not_set() -> None:
    for resources, _ in server_files.REFUSED.values():
        for each in diagnostics(Stub(), resources):
            assert "is not set" not in each.message


@pytest.mark.parametrize(
    ("hba", "conf"),
    [
        ("hostssl app swordfish 10.30.0.0/24 trust", server_files.CONF),
        ("swordfish app app 10.30.0.0/24 cert", server_files.CONF),
        ("hostssl app app 10.30.0.0/24 trust", "ssl = swordfish\n"),
    ],
)
def test_a_line_of_a_secret_file_is_named_and_not_quoted(hba: str, conf: str) -> None:
    script = server_files.script(server_files.hba(hba), conf)
    found = diagnostics(Stub(), server_files.machine(userData=script))
    assert any("swordfish" in each.message for each in found)
    hidden = diagnostics(Stub(), server_files.machine(userData=secret(script)))
    assert not any("swordfish" in each.message for each in hidden)
    assert [message_of(each).place for each in hidden] == [message_of(each).place for each in found]
