"""What a preview prints."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from engine.progress import Step
from preview.offline_stack_file import OfflineStackFile
from preview.plan import Plan
from preview.preview import Preview
from preview.report import as_document, show

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
        errors=(),
    )


def printed(preview: Preview, *, terminal: bool = False) -> str:
    output = io.StringIO()
    show(preview, Console(file=output, force_terminal=terminal, no_color=True, width=120, soft_wrap=True))
    return output.getvalue()


def test_plain_lines_count_what_is_in_the_cloud_and_name_what_was_replaced(preview: Preview) -> None:
    assert printed(preview) == (
        "   1 read aws:ec2/subnet:Subnet\n"
        "   2 create aws:s3/bucket:Bucket\n"
        "prod: 2 create, 1 read\n"
        "placeholder: aws:secretKey (a preview cannot decrypt it)\n"
        "left out: environment (only Pulumi Cloud can resolve it)\n"
        "policy: 1 mandatory, 1 other findings of 3 rules (policy)\n"
        "mandatory: N40: one (Bucket): [words]\n"
        "advisory: N41: [words]\n"
    )


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


def test_on_a_terminal_there_is_a_table(preview: Preview) -> None:
    assert "│ aws:s3/bucket:Bucket" in printed(preview, terminal=True)


def test_a_mandatory_finding_forbids_the_deployment_and_an_advisory_one_does_not(preview: Preview) -> None:
    assert not preview.passed
    assert as_document(preview)["outcome"] == "failed"
    preview.plan.findings = [finding for finding in preview.plan.findings if not finding.stops]
    assert preview.passed
    assert as_document(preview)["outcome"] == "passed"
