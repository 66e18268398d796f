"""What policies find reaches code hosts, as SARIF and as Markdown."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from engine.progress import Step
from engine.project import CHECKOUT
from policy.finding import Verdict
from policy.message import Message, RuleReference
from policy.rule import Severity
from policy.rules import RULES
from preview.markdown import markdown
from preview.offline_stack_file import OfflineStackFile
from preview.plan import Finding, Plan
from preview.preview import Preview
from preview.sarif import line_of, sarif

STACK_FILE = CHECKOUT / "stacks" / "Pulumi.prod.yaml"
SECTIONS = [
    "config:",
    "  aws:region: eu-central-1",
    "  passwordless-postgres:rds:",
    "    name: a",
    "  network: {}",
]


def finding(rule: str, level: str, resource: str, text: str) -> Finding:
    return Finding(rule=rule, pack="passwordless-postgres", level=level, resource=resource, text=text)


def message(rule: str, verdict: Verdict, **fields: Any) -> Message:
    of = next(each for each in RULES if each.id == rule)
    return Message(
        **{
            "rules": (RuleReference(of.id, of.severity),),
            "verdict": verdict,
            "name": "one",
            "type": of.types[0],
            "explanation": "expected 1",
            **fields,
        }
    )


def as_shown(said: Message, title: str = "A title") -> str:
    """A message as the engine shows it, below the rule's title."""
    return f"{title}\n  {said.format()}"


@pytest.fixture
def preview() -> Preview:
    plan = Plan(step=Step(Console(file=io.StringIO()), "preview"))
    plan.rules.update(rule.id for rule in RULES)
    plan.findings += [
        finding(
            "PGTLS-N41",
            "mandatory",
            "rds-parameters (ParameterGroup)",
            as_shown(message("PGTLS-N41", Verdict.VIOLATED, place="value", value="'0 | <b>'", fix="set it")),
        ),
        finding(
            "PGTLS-N46",
            "advisory",
            "rds-connect (RolePolicy)",
            as_shown(message("PGTLS-N46", Verdict.UNDECIDED, explanation="policy is not known")),
        ),
        finding(
            "PGTLS-P095",
            "advisory",
            "gateway (LoadBalancer)",
            as_shown(
                message(
                    "PGTLS-P095",
                    Verdict.EXEMPT,
                    place="internal",
                    value="'false'",
                    exemption="it is public (team, until 2027-01-31)",
                )
            ),
        ),
        finding("PGTLS-configuration", "mandatory", "", "an exemption expired"),
    ]
    return Preview(
        stack="prod",
        file=STACK_FILE,
        policy_pack=Path("policy"),
        copy=OfflineStackFile(text="", placeholders=(), left_out=()),
        plan=plan,
        errors=(),
    )


def test_it_is_what_the_schema_of_sarif_asks_for(preview: Preview) -> None:
    """The schema is OASIS's, version 2.1.0-rtm.5, as code hosts check uploads by it."""
    schema = json.loads((Path(__file__).parent / "sarif-2.1.0-rtm.5.json").read_text())
    validator = jsonschema.Draft4Validator(schema)
    for log in (sarif(preview), sarif(replace(preview, errors=("rds.name is empty",)))):
        assert [error.message for error in validator.iter_errors(json.loads(json.dumps(log)))] == []
    broken = json.loads(json.dumps(sarif(preview)))
    broken["runs"][0]["results"][0]["level"] = "fatal"
    assert not validator.is_valid(broken)


def test_each_finding_is_a_result_of_its_rule_that_points_into_the_stack_file(preview: Preview) -> None:
    log = json.loads(json.dumps(sarif(preview)))
    assert (log["version"], log["$schema"].rpartition("/")[2]) == ("2.1.0", "sarif-schema-2.1.0.json")
    [run] = log["runs"]
    results = run["results"]
    assert [(each["ruleId"], each["level"]) for each in results] == [
        ("PGTLS-N41", "error"),
        ("PGTLS-N46", "note"),
        ("PGTLS-P095", "warning"),
        ("PGTLS-configuration", "error"),
    ]
    lower = message("PGTLS-N41", Verdict.VIOLATED, rules=(RuleReference("PGTLS-N41", Severity.LOW),))
    preview.plan.findings[:] = [finding("PGTLS-N41", "advisory", "a (B)", as_shown(lower))]
    [own] = sarif(preview)["runs"][0]["results"]
    of_rule = {each["id"]: each.get("properties") for each in run["tool"]["driver"]["rules"]}
    assert results[0]["properties"]["security-severity"] == of_rule["PGTLS-N41"]["security-severity"]
    assert float(own["properties"]["security-severity"]) < 4, "what code hosts call low"
    lines = STACK_FILE.read_text().splitlines()
    for each in results:
        place = each["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == "stacks/Pulumi.prod.yaml"
        assert 1 <= place["region"]["startLine"] <= len(lines)
        assert each["message"]["text"]
    assert "rds" in lines[results[0]["locations"][0]["physicalLocation"]["region"]["startLine"] - 1]


def test_every_rule_is_described_with_what_to_do(preview: Preview) -> None:
    described = {each["id"]: each for each in sarif(preview)["runs"][0]["tool"]["driver"]["rules"]}
    for rule in RULES:
        each = described[rule.id]
        assert rule.fix in each["help"]["text"]
        assert each["helpUri"] == rule.link
        assert 0 < float(each["properties"]["security-severity"]) <= 10


def test_an_exempt_finding_is_suppressed_with_its_reason(preview: Preview) -> None:
    suppressed = {
        each["ruleId"]: each["suppressions"]
        for each in sarif(preview)["runs"][0]["results"]
        if "suppressions" in each
    }
    assert list(suppressed) == ["PGTLS-P095"]
    assert suppressed["PGTLS-P095"][0]["justification"] == "it is public (team, until 2027-01-31)"


LEVELS = {
    Verdict.VIOLATED: "warning",
    Verdict.UNDECIDED: "note",
    Verdict.CRASHED: "warning",
    Verdict.EXEMPT: "warning",
}
WORDS = st.one_of(
    st.sampled_from([": undecided: ", " Exempt: it is fine", "undecided for x (y): z", "Fix: nothing"]),
    st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1, max_size=20),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(title=WORDS, explanation=WORDS, fix=WORDS)
def test_other_words_in_a_message_change_neither_level_nor_suppression(
    preview: Preview, title: str, explanation: str, fix: str
) -> None:
    """Both come from the verdict, so that rewording a rule changes nothing."""
    for verdict, level in LEVELS.items():
        said = message("PGTLS-N41", verdict, explanation=explanation.strip() or "x", fix=fix)
        if verdict in (Verdict.VIOLATED, Verdict.EXEMPT):
            said = replace(said, place="value", exemption="reason" if verdict is Verdict.EXEMPT else "")
        preview.plan.findings[:] = [
            finding("PGTLS-N41", enforced, "one (X)", as_shown(said, title))
            for enforced in ("advisory", "mandatory")
        ]
        advisory, mandatory = sarif(preview)["runs"][0]["results"]
        assert (advisory["level"], mandatory["level"]) == (level, "error")
        assert ("suppressions" in advisory) == (verdict is Verdict.EXEMPT)


def test_findings_of_another_pack_are_shown_as_they_are(preview: Preview) -> None:
    preview.plan.findings[:] = [finding("T1", "advisory", "one (X)", "x: undecided: y Exempt: z")]
    [result] = sarif(preview)["runs"][0]["results"]
    assert (result["level"], result["message"]["text"]) == ("warning", "x: undecided: y Exempt: z")
    assert "suppressions" not in result
    assert "x: undecided: y Exempt: z |" in markdown(preview)


def test_results_can_be_told_apart_from_one_run_to_the_next(preview: Preview) -> None:
    prints = [each["partialFingerprints"]["rule/resource"] for each in sarif(preview)["runs"][0]["results"]]
    assert len(set(prints)) == len(prints)


def test_an_error_is_a_result_too(preview: Preview) -> None:
    failed = replace(preview, errors=("rds.name is empty",))
    [run] = sarif(failed)["runs"]
    assert run["results"][0]["message"]["text"] == "rds.name is empty"
    assert run["invocations"] == [{"executionSuccessful": False}]


@pytest.mark.parametrize(
    ("resource", "line"),
    [
        ("rds-parameters (ParameterGroup)", 3),
        ("network-a (Subnet)", 5),
        ("gateway (LoadBalancer)", 1),
        ("", 1),
    ],
)
def test_a_resource_is_found_by_the_section_that_its_name_begins_with(resource: str, line: int) -> None:
    assert line_of(resource, SECTIONS) == line


def test_the_summary_lists_what_stops_first_and_shows_text_as_it_is(preview: Preview) -> None:
    text = markdown(preview)
    assert text.startswith("### Preview of `prod`: **failed**\n")
    rows = [line for line in text.splitlines() if line.startswith("| PGTLS")]
    assert [row.split(" | ")[1] for row in rows] == ["**mandatory**", "**mandatory**", "advisory", "advisory"]
    assert r"violated: value is '0 \| \<b\>': expected 1. Fix: set it |" in text
    assert r"undecided: policy is not known |" in text
    assert r"exempt: internal is 'false': expected 1. Exempt: it is public (team, until 2027-01-31) |" in text
    assert all(row.replace(r"\|", "").count("|") == 5 for row in rows)


def test_the_summary_says_when_nothing_is_found_or_nothing_ran(preview: Preview) -> None:
    preview.plan.findings.clear()
    assert f"Policies: {len(RULES)} rules, nothing found." in markdown(preview)
    assert "### Preview of `prod`: passed" in markdown(preview)
    assert "No policies ran." in markdown(replace(preview, policy_pack=None))
