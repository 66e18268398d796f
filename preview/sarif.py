"""Findings of policies as SARIF 2.1.0, which code hosts show beside the lines of a pull request.

Findings are about what a stack file deploys, so each points into that file: at the section that the resource
comes from where its name tells, else at the first line.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from engine.project import CHECKOUT
from policy.finding import Verdict
from policy.pack import COVERAGE
from policy.rule import Rule, Severity
from policy.rules import RULES
from preview.plan import Finding
from preview.preview import Preview

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
VERSION = "2.1.0"
DOCUMENTATION = "docs/policies.md"
_NAME = "passwordless-postgres policies"
# Code hosts sort by this score, from 0 to 10.
_SCORES = {Severity.CRITICAL: "9.5", Severity.HIGH: "8.0", Severity.MEDIUM: "5.0", Severity.LOW: "2.0"}
_ERROR = "preview-error"


def sarif(preview: Preview) -> dict[str, Any]:
    """The findings and errors of a preview as a SARIF log."""
    file = _relative(preview.file)
    lines = preview.file.read_text(encoding="utf-8").splitlines()
    errors = [_error(each, file) for each in preview.errors]
    results = [_result(each, file, lines) for each in preview.plan.findings]
    return {
        "$schema": SCHEMA,
        "version": VERSION,
        "runs": [
            {
                "tool": {
                    "driver": {"name": _NAME, "rules": [*(_rule(each) for each in RULES), _error_rule()]}
                },
                "automationDetails": {"id": f"preview/{preview.stack}/"},
                "invocations": [{"executionSuccessful": not preview.errors}],
                "originalUriBaseIds": {"SRCROOT": {"description": {"text": "The checkout"}}},
                "columnKind": "unicodeCodePoints",
                "results": [*errors, *results],
            }
        ],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": re.sub(r"\W", "", rule.id),
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": f"{rule.title}. {rule.why}"},
        "help": {"text": f"{rule.why} Fix: {rule.fix}. See {rule.link}"},
        "helpUri": rule.link,
        "properties": {
            "tags": ["security", str(rule.area)],
            "security-severity": _SCORES[rule.severity],
            "precision": "high",
        },
    }


def _error_rule() -> dict[str, Any]:
    return {"id": _ERROR, "shortDescription": {"text": "The stack file can be previewed"}}


def _result(finding: Finding, file: str, lines: list[str]) -> dict[str, Any]:
    result = {
        "ruleId": finding.rule,
        "level": _level(finding),
        "message": {"text": finding.text},
        "locations": [_location(file, line_of(finding.resource, lines), finding.resource)],
        "partialFingerprints": {"rule/resource": f"{finding.rule}:{finding.resource or 'stack'}"},
    }
    if finding.message is not None:
        result["properties"] = {"security-severity": _SCORES[finding.message.rules[0].severity]}
    if finding.message is not None and finding.message.exemption:
        justification = finding.message.exemption
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": justification}]
    return result


def _level(finding: Finding) -> str:
    if finding.stops:
        return "error"
    verdict = finding.message.verdict if finding.message is not None else None
    return "note" if finding.rule == COVERAGE or verdict is Verdict.UNDECIDED else "warning"


def _error(text: str, file: str) -> dict[str, Any]:
    return {
        "ruleId": _ERROR,
        "level": "error",
        "message": {"text": text},
        "locations": [_location(file, 1, "")],
    }


def _location(file: str, line: int, resource: str) -> dict[str, Any]:
    location: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {"uri": file, "uriBaseId": "SRCROOT"},
            "region": {"startLine": line},
        }
    }
    if resource:
        location["logicalLocations"] = [{"fullyQualifiedName": resource, "kind": "resource"}]
    return location


def line_of(resource: str, lines: list[str]) -> int:
    """The line of the section that a resource comes from; the first line where no section fits.

    The resource's name begins with the section's: `rds-server` comes from `rds`. The longest match counts.
    """
    name = re.sub(r"[^a-z0-9]", "", resource.split(" ", maxsplit=1)[0].lower())
    best = (0, 1)
    for number, line in enumerate(lines, start=1):
        match = re.match(r"\s*(?:[\w-]+:)?([A-Za-z][\w-]*):", line)
        section = re.sub(r"[^a-z0-9]", "", match[1].lower()) if match else ""
        if section and name.startswith(section) and len(section) > best[0]:
            best = (len(section), number)
    return best[1]


def _relative(file: Path) -> str:
    resolved = file.resolve()
    return resolved.relative_to(CHECKOUT).as_posix() if resolved.is_relative_to(CHECKOUT) else file.name
