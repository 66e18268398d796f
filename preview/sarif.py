"""Findings of policies as SARIF 2.1.0, which code hosts show beside the lines of a pull request.

A finding points to the line of the program that makes the resource, where the engine tells it; one about the
policies' configuration to that file; any other to the stack file, without a line. It names its resource.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.project import CHECKOUT
from policy.engine_event import Found
from policy.message import Message
from policy.pack import CONFIGURATION
from policy.rule_descriptors import descriptor_id, descriptors
from preview.preview import Preview, exemptions_of

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
VERSION = "2.1.0"
_NAME = "passwordless-postgres policies"
_ERROR = "preview-error"


def sarif(preview: Preview) -> dict[str, Any]:
    """The findings and errors of a preview as a SARIF log."""
    findings = preview.plan.findings
    of_errors = {"id": _ERROR, "shortDescription": {"text": "The stack file can be previewed"}}
    rules = [*descriptors(findings), of_errors]
    return {
        "$schema": SCHEMA,
        "version": VERSION,
        "runs": [
            {
                "tool": {"driver": {"name": _NAME, "rules": rules}},
                "automationDetails": {"id": f"preview/{preview.stack}/"},
                "invocations": [{"executionSuccessful": not preview.errors}],
                "originalUriBaseIds": {"SRCROOT": {"description": {"text": "The checkout"}}},
                "columnKind": "unicodeCodePoints",
                "results": [
                    *(_error(each, preview.file) for each in preview.errors),
                    *(_result(each, preview) for each in findings),
                ],
            }
        ],
    }


def _result(finding: Found, preview: Preview) -> dict[str, Any]:
    message = finding.message
    result = {
        "ruleId": descriptor_id(finding),
        "level": _level(finding),
        "message": {"text": _text(message)},
        "locations": [_location(finding, preview)],
        "partialFingerprints": {"finding": f"{finding.rule}:{finding.resource or 'stack'}:{message.place}"},
    }
    if message.rules:
        result["properties"] = {"waiting": [rule.id for rule in message.rules]}
    if message.exemption:
        reason = {"justification": message.exemption}
        result["suppressions"] = [{"kind": "external", "status": "accepted", **reason}]
    return result


def _text(message: Message) -> str:
    """What is wrong and what to do; a result's rule has the link."""
    return f"{message.statement}. Fix: {message.fix}" if message.fix else message.statement


def _level(finding: Found) -> str:
    if finding.stops:
        return "error"
    return "note" if finding.is_undecided else "warning"


def _error(text: str, file: Path) -> dict[str, Any]:
    location = {"physicalLocation": _place(_relative(file), 1)}
    return {"ruleId": _ERROR, "level": "error", "message": {"text": text}, "locations": [location]}


def _location(finding: Found, preview: Preview) -> dict[str, Any]:
    exemptions = exemptions_of(preview.file, preview.stack)
    if source := preview.sources.get(finding.urn):
        file, _, line = source.rpartition(":")
        place = _place(file, int(line))
    elif finding.rule == CONFIGURATION and exemptions.exists():
        place = _place(_relative(exemptions), 1)
    else:
        place = _place(_relative(preview.file))
    named = [{"fullyQualifiedName": finding.resource, "kind": "resource"}] if finding.resource else []
    return {"physicalLocation": place, **({"logicalLocations": named} if named else {})}


def _place(file: str, line: int = 0) -> dict[str, Any]:
    region = {"region": {"startLine": line}} if line else {}
    return {"artifactLocation": {"uri": file, "uriBaseId": "SRCROOT"}, **region}


def _relative(file: Path) -> str:
    resolved = file.resolve()
    return resolved.relative_to(CHECKOUT).as_posix() if resolved.is_relative_to(CHECKOUT) else file.name
