"""What a preview prints."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from engine.progress import Step
from policy.engine_event import Found
from policy.pack import NAME, UNDECIDED
from policy.rule import Rule
from policy.rules import RULES
from preview.offline_stack_file import OfflineStackFile
from preview.plan import Plan
from preview.preview import Preview
from preview.report import as_document, show

GROUP = "aws:rds/parameterGroup:ParameterGroup"
URN = "urn:pulumi:prod::passwordless-postgres::"


def pre_event(kind: str, name: str, operation: str = "create") -> dict[str, object]:
    return {"resourcePreEvent": {"metadata": {"urn": f"{URN}{kind}::{name}", "type": kind, "op": operation}}}


def policy_event(rule: str, level: str, urn: str = "") -> dict[str, object]:
    return {
        "policyEvent": {
            "resourceUrn": urn,
            "message": "<{%reset%}>[words]<{%reset%}>\n",
            "policyName": rule,
            "policyPackName": "pack",
            "enforcementLevel": level,
        }
    }


@pytest.fixture
def preview() -> Preview:
    plan = Plan(step=Step(Console(file=io.StringIO()), "preview"))
    for event in (
        pre_event("pulumi:pulumi:Stack", "passwordless-postgres-prod"),
        pre_event("pulumi:providers:aws", "default"),
        pre_event("aws:s3/bucket:Bucket", "one"),
        pre_event("aws:s3/bucket:Bucket", "two"),
        pre_event("aws:ec2/subnet:Subnet", "private", "read"),
        policy_event("N40", "mandatory", f"{URN}aws:s3/bucket:Bucket::one"),
        policy_event("N41", "advisory"),
        {"policyAnalyzeSummaryEvent": {"passed": ["N42"], "failed": ["N40"]}},
        {"policyAnalyzeStackSummaryEvent": {"failed": ["N41"]}},
    ):
        plan.handle(event)
    return Preview(
        stack="prod",
        file=Path("Pulumi.prod.yaml"),
        policy_pack=Path("policy"),
        copy=OfflineStackFile(text="", placeholders=("aws:secretKey",), left_out=("environment",)),
        plan=plan,
        sources={f"{URN}aws:s3/bucket:Bucket::one": "components/private_bucket.py:102"},
        errors=(),
    )


def printed(preview: Preview, *, terminal: bool = False, width: int = 120) -> str:
    output = io.StringIO()
    show(preview, Console(file=output, force_terminal=terminal, no_color=True, width=width, soft_wrap=True))
    return output.getvalue()


def test_plain_lines_count_what_is_in_the_cloud_and_name_what_was_replaced(preview: Preview) -> None:
    assert printed(preview) == (
        "prod: FAILED, 1 mandatory, 1 advisory, 0 undecided findings of 3 rules\n"
        "mandatory: one (Bucket): [words]. [N40]\n"
        "advisory: [words]. [N41]\n"
        "placeholder: aws:secretKey (a preview cannot decrypt it)\n"
        "left out: environment (only Pulumi Cloud can resolve it)\n"
        "   1 read aws:ec2/subnet:Subnet\n"
        "   2 create aws:s3/bucket:Bucket\n"
        "prod: 2 create, 1 read\n"
    )


def own(rule: Rule | str, text: str, severity: str = "critical") -> Found:
    """A finding of this project's pack."""
    event = {"policyName": rule if isinstance(rule, str) else rule.id, "policyPackName": NAME}
    level = "advisory" if event["policyName"] == UNDECIDED else "mandatory"
    urn = f"{URN}{GROUP}::group"
    return Found.of({**event, "enforcementLevel": level, "severity": severity, "resourceUrn": urn}, text)


FORCED = next(rule for rule in RULES if rule.id == "PGTLS-N41")
WEAK = (
    "parameters[rds.force_ssl].value is '0': expected 1. Fix: set rds.force_ssl to 1. "
    "See: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/PostgreSQL.Concepts.General.SSL.html"
)


def test_a_finding_is_one_line_that_says_each_thing_once(preview: Preview) -> None:
    waiting = (
        "Undecided: 2 rules wait for the value of `policy`. Rules: PGTLS-N46 [critical], PGTLS-N47 [high]"
    )
    preview.plan.findings = [own(UNDECIDED, waiting, ""), own(FORCED, WEAK)]
    lines = printed(preview).splitlines()
    assert lines[:3] == [
        "prod: FAILED, 1 mandatory, 0 advisory, 1 undecided findings of 3 rules",
        (
            "mandatory: group (ParameterGroup): parameters[rds.force_ssl].value is '0': expected 1. "
            "Fix: set rds.force_ssl to 1. [PGTLS-N41 critical] "
            "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/PostgreSQL.Concepts.General.SSL.html"
        ),
        "undecided: group (ParameterGroup): 2 rules wait for the value of `policy`.",
    ]
    waits = as_document(preview)["findings"][0]
    assert (waits["severity"], waits["message"]["verdict"]) == ("undecided", "undecided")
    assert [rule for rule, _ in waits["message"]["rules"]] == ["PGTLS-N46", "PGTLS-N47"]


def test_on_a_terminal_nothing_is_wider_and_no_link_is_broken(preview: Preview) -> None:
    preview.plan.findings = [own(FORCED, WEAK)]
    lines = re.sub(r"\x1b\[\d*m", "", printed(preview, terminal=True, width=80)).splitlines()
    assert all(len(line) <= 80 or line.strip().startswith("https://") for line in lines)
    assert lines[1].startswith("mandatory: group (ParameterGroup): ")
    assert lines[2].startswith("  ")


def test_without_colour_the_verdict_is_the_same(preview: Preview, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    output = io.StringIO()
    show(preview, Console(file=output, force_terminal=True, width=80))
    assert "\x1b[3" not in output.getvalue()
    assert output.getvalue().startswith("prod: FAILED, ")


def test_the_document_has_each_resource_with_its_type_name_and_operation(preview: Preview) -> None:
    document = as_document(preview)
    assert document["resources"] == [
        {"type": "aws:ec2/subnet:Subnet", "name": "private", "operation": "read"},
        {"type": "aws:s3/bucket:Bucket", "name": "one", "operation": "create"},
        {"type": "aws:s3/bucket:Bucket", "name": "two", "operation": "create"},
    ]
    assert document["counts"] == {"aws:ec2/subnet:Subnet": {"read": 1}, "aws:s3/bucket:Bucket": {"create": 2}}
    assert [(found["rule"], found["resource"]) for found in document["findings"]] == [
        ("N40", "one (Bucket)"),
        ("N41", ""),
    ]
    assert [found["source"] for found in document["findings"]] == ["components/private_bucket.py:102", ""]


def test_on_a_terminal_there_is_a_table(preview: Preview) -> None:
    assert "│ aws:s3/bucket:Bucket" in printed(preview, terminal=True)


def test_a_mandatory_finding_forbids_the_deployment_and_an_advisory_one_does_not(preview: Preview) -> None:
    assert not preview.passed
    assert as_document(preview)["outcome"] == "failed"
    preview.plan.findings = [finding for finding in preview.plan.findings if not finding.stops]
    assert preview.passed
    assert as_document(preview)["outcome"] == "passed"
