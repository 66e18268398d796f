"""What policies find reaches code hosts, as SARIF and as Markdown."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from engine.progress import Step
from engine.project import CHECKOUT
from policy.engine_event import Found
from policy.finding import Verdict
from policy.message import Message
from policy.pack import CONFIGURATION, NAME, UNDECIDED
from policy.rules import RULES
from preview.markdown import markdown
from preview.offline_stack_file import OfflineStackFile
from preview.plan import Plan
from preview.preview import Preview
from preview.sarif import sarif
from preview.sources import sources

STACK_FILE = CHECKOUT / "stacks" / "Pulumi.prod.yaml"
URN = "urn:pulumi:prod::passwordless-postgres::"
GROUP = f"{URN}aws:rds/parameterGroup:ParameterGroup::rds-parameters"


def finding(rule: str, level: str, urn: str, text: str, *, severity: str = "", pack: str = NAME) -> Found:
    """A finding; a rule's severity is its own where none is given."""
    own = {each.id: str(each.severity) for each in RULES}
    event = {"policyName": rule, "policyPackName": pack, "enforcementLevel": level, "resourceUrn": urn}
    return Found.of({**event, "severity": severity or own.get(rule, "")}, text)


def said(verdict: Verdict, **fields: str) -> str:
    """A message as the engine carries it."""
    return Message(**{"verdict": verdict, "explanation": "expected 1", **fields}).format()


@pytest.fixture
def preview() -> Preview:
    plan = Plan(step=Step(Console(file=io.StringIO()), "preview"))
    plan.rules.update(rule.id for rule in RULES)
    exempt = {"place": "internal", "value": "'false'", "exemption": "it is public (team, until 2027-01-31)"}
    plan.findings += [
        finding(
            "PGTLS-N41",
            "mandatory",
            GROUP,
            said(
                Verdict.VIOLATED, place="value", value="'0 | <b>'", fix="set it", link="https://a.example/x"
            ),
        ),
        finding(
            UNDECIDED,
            "advisory",
            f"{URN}aws:iam/rolePolicy:RolePolicy::rds-connect",
            said(Verdict.UNDECIDED, explanation="7 rules wait for the value of `policy`"),
        ),
        finding(
            "PGTLS-P095",
            "advisory",
            f"{URN}aws:lb/loadBalancer:LoadBalancer::gateway",
            said(Verdict.EXEMPT, **exempt),
        ),
        finding(CONFIGURATION, "mandatory", f"{URN}pulumi:pulumi:Stack::a-prod", "an exemption expired: x"),
    ]
    return Preview(
        stack="prod",
        file=STACK_FILE,
        policy_pack=Path("policy"),
        copy=OfflineStackFile(text="", placeholders=(), left_out=()),
        plan=plan,
        sources={GROUP: "components/rds/instance.py:170"},
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


def test_each_finding_is_a_result_at_the_line_that_makes_its_resource(preview: Preview) -> None:
    log = json.loads(json.dumps(sarif(preview)))
    assert (log["version"], log["$schema"].rpartition("/")[2]) == ("2.1.0", "sarif-schema-2.1.0.json")
    [run] = log["runs"]
    results = run["results"]
    assert [(each["ruleId"], each["level"]) for each in results] == [
        ("PGTLS-N41", "error"),
        ("PGTLS-undecided", "note"),
        ("PGTLS-P095", "warning"),
        ("PGTLS-configuration", "error"),
    ]
    assert {each["ruleId"] for each in results} <= {each["id"] for each in run["tool"]["driver"]["rules"]}
    places = [each["locations"][0]["physicalLocation"] for each in results]
    found = [(each["artifactLocation"]["uri"], each.get("region", {}).get("startLine")) for each in places]
    assert found == [
        ("components/rds/instance.py", 170),
        ("stacks/Pulumi.prod.yaml", None),
        ("stacks/Pulumi.prod.yaml", None),
        ("stacks/policy.prod.json", 1),
    ], "no line is told where none is known"
    named = [each["locations"][0].get("logicalLocations", [{}])[0] for each in results]
    assert named[0] == {"fullyQualifiedName": "rds-parameters (ParameterGroup)", "kind": "resource"}
    assert named[3] == {}
    assert results[0]["message"]["text"] == "value is '0 | <b>': expected 1. Fix: set it"
    assert "security-severity" not in json.dumps(results[1])


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
    st.sampled_from(["Undecided: ", " Exempt: it is fine", ". Exempt: x", "Fix: nothing"]),
    st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1, max_size=20),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(explanation=WORDS, fix=WORDS)
def test_other_words_in_a_message_change_neither_level_nor_suppression(
    preview: Preview, explanation: str, fix: str
) -> None:
    """Both come from the verdict, so that rewording a rule changes nothing."""
    for verdict, level in LEVELS.items():
        fields = {"explanation": explanation.strip() or "x", "fix": fix}
        if verdict in (Verdict.VIOLATED, Verdict.EXEMPT):
            fields |= {"place": "value", "exemption": "reason" if verdict is Verdict.EXEMPT else ""}
        rule = UNDECIDED if verdict is Verdict.UNDECIDED else "PGTLS-N41"
        preview.plan.findings[:] = [
            finding(rule, enforced, GROUP, said(verdict, **fields)) for enforced in ("advisory", "mandatory")
        ]
        advisory, mandatory = sarif(preview)["runs"][0]["results"]
        assert (advisory["level"], mandatory["level"]) == (level, "error")
        assert ("suppressions" in advisory) == (verdict is Verdict.EXEMPT)


def test_a_finding_less_severe_than_its_rule_has_a_descriptor_with_its_own_severity(preview: Preview) -> None:
    weak = said(Verdict.VIOLATED, place="value")
    preview.plan.findings[:] = [
        finding("PGTLS-N41", "mandatory", GROUP, weak),
        finding("PGTLS-N41", "advisory", GROUP, weak, severity="low"),
    ]
    [run] = sarif(preview)["runs"]
    of_rule = {each["id"]: each.get("properties") for each in run["tool"]["driver"]["rules"]}
    assert [each["ruleId"] for each in run["results"]] == ["PGTLS-N41", "PGTLS-N41/low"]
    assert of_rule["PGTLS-N41"]["security-severity"] == "9.5"
    assert float(of_rule["PGTLS-N41/low"]["security-severity"]) < 4, "what code hosts call low"


def test_findings_of_another_pack_are_shown_as_they_are(preview: Preview) -> None:
    text = "Undecided: x. Exempt: z"
    preview.plan.findings[:] = [finding("T1", "advisory", GROUP, text, pack="another")]
    [result] = sarif(preview)["runs"][0]["results"]
    assert (result["level"], result["message"]["text"]) == ("warning", text)
    assert "suppressions" not in result
    assert f"{text} |" in markdown(preview)


def test_results_can_be_told_apart_from_one_run_to_the_next(preview: Preview) -> None:
    prints = [each["partialFingerprints"]["finding"] for each in sarif(preview)["runs"][0]["results"]]
    assert len(set(prints)) == len(prints)


def test_an_error_is_a_result_too(preview: Preview) -> None:
    failed = replace(preview, errors=("rds.name is empty",))
    [run] = sarif(failed)["runs"]
    assert run["results"][0]["message"]["text"] == "rds.name is empty"
    assert run["invocations"] == [{"executionSuccessful": False}]


def test_the_summary_says_each_thing_once_and_lists_what_stops_first(preview: Preview) -> None:
    text = markdown(preview)
    assert text.startswith(
        "### Preview of `prod`: **failed**\n\nPolicies: 2 mandatory, 1 advisory, 1 undecided "
    )
    rows = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line][1:]
    assert [row.split(" | ")[1] for row in rows] == [
        "**mandatory**",
        "**mandatory**",
        "advisory",
        "undecided",
    ]
    assert rows[0] == (
        r"| [PGTLS-N41](https://a.example/x) | **mandatory** | rds-parameters (ParameterGroup) "
        r"| value is '0 \| \<b\>': expected 1 | set it |"
    )
    assert r"internal is 'false': expected 1 (exempt: it is public (team, until 2027-01-31)) |" in text
    assert rows[3].startswith("|  | undecided | rds-connect (RolePolicy) | 7 rules wait for the value of ")
    assert all(row.replace(r"\|", "").count("|") == 6 for row in rows)


def test_the_summary_says_when_nothing_is_found_or_nothing_ran(preview: Preview) -> None:
    preview.plan.findings.clear()
    assert f"Policies: no findings of {len(RULES)} rules." in markdown(preview)
    assert "### Preview of `prod`: passed" in markdown(preview)
    assert "No policies ran." in markdown(replace(preview, policy_pack=None))


def test_a_place_in_the_program_is_the_innermost_one_in_the_checkout() -> None:
    def step(urn: str, *positions: str) -> dict[str, object]:
        own, *frames = [{"sourcePosition": each} for each in positions]
        return {"urn": urn, "newState": {**own, "stackTrace": frames}}

    inside = "project:///components/rds/instance.py#170"
    sdk = "project:///.venv/lib/python3.11/site-packages/pulumi/runtime/stack.py#254"
    steps = [
        step("own", inside, "project:///__main__.py#13"),
        step("sdk", sdk, "project:///../../opt/python/asyncio/events.py#80", inside),
        step("nowhere", sdk),
        {"urn": "gone", "newState": None},
    ]
    output = "\n2026-12-01 pulumi preview\n" + json.dumps({"steps": steps}) + "\nerror: preview failed\n"
    place = "components/rds/instance.py:170"
    assert sources(output) == {"own": place, "sdk": place}
    assert sources("\n2026-12-01 pulumi preview\nerror: no\n") == {}
    assert sources(output[:80]) == {}
