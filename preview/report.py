"""A preview as text for people, and as a JSON document for programs."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from engine.events import Resource
from preview.preview import Preview


def as_document(preview: Preview) -> dict[str, Any]:
    """The preview as `--json` prints it."""
    counts: dict[str, dict[str, int]] = {}
    for (kind, operation), count in sorted(preview.plan.counts().items()):
        counts.setdefault(kind, {})[operation] = count
    resources = sorted(
        (kind, Resource.of(urn).name, operation) for urn, (kind, operation) in preview.plan.resources.items()
    )
    return {
        "schemaVersion": 1,
        "stack": preview.stack,
        "stackFile": str(preview.file),
        "outcome": "passed" if preview.passed else "failed",
        "counts": counts,
        "resources": [
            {"type": kind, "name": name, "operation": operation} for kind, name, operation in resources
        ],
        "placeholders": list(preview.copy.placeholders),
        "leftOut": list(preview.copy.left_out),
        "policyPack": None if preview.policy_pack is None else str(preview.policy_pack),
        "rules": sorted(preview.plan.rules),
        "findings": [
            {
                "rule": finding.rule,
                "pack": finding.pack,
                "level": finding.level,
                "resource": finding.resource,
                "message": finding.text,
            }
            for finding in preview.plan.findings
        ],
        "warnings": preview.plan.warnings,
        "errors": list(preview.errors),
    }


def show(preview: Preview, console: Console) -> None:
    """Print the planned resources and the policies' findings, on a terminal as a table."""
    counts = sorted(preview.plan.counts().items())
    if console.is_terminal:
        console.print(_table(counts))
    else:
        for (kind, operation), count in counts:
            console.print(f"{count:>4} {operation} {kind}", markup=False)
    console.print(escape(f"{preview.stack}: {preview.plan.operations() or 'no resources'}"))
    for name in preview.copy.placeholders:
        console.print(escape(f"placeholder: {name} (a preview cannot decrypt it)"))
    for name in preview.copy.left_out:
        console.print(escape(f"left out: {name} (only Pulumi Cloud can resolve it)"))
    _show_findings(preview, console)


def _table(counts: list[tuple[tuple[str, str], int]]) -> Table:
    table = Table("Resource type", "Operation")
    table.add_column("Count", justify="right")
    for (kind, operation), count in counts:
        table.add_row(escape(kind), operation, str(count))
    return table


def _show_findings(preview: Preview, console: Console) -> None:
    if preview.policy_pack is None:
        console.print("policy: none ran")
        return
    findings = preview.plan.sorted_findings()
    stopping = sum(finding.stops for finding in findings)
    verdict = f"{stopping} mandatory, {len(findings) - stopping} other" if findings else "no"
    rules = len(preview.plan.rules)
    console.print(escape(f"policy: {verdict} findings of {rules} rules ({preview.policy_pack})"))
    for finding in findings:
        resource = f"{finding.resource}: " if finding.resource else ""
        message = finding.text.replace("\n", "\n  ")
        line = escape(f"{finding.level}: {finding.rule}: {resource}{message}")
        console.print(f"[red]{line}[/red]" if finding.stops else line)
