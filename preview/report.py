"""A preview as text for people, and as a JSON document for programs."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from engine.events import Resource
from policy.engine_event import Found
from preview.preview import Preview

_WIDEST = 100


def as_document(preview: Preview) -> dict[str, Any]:
    """The preview as `--json` prints it."""
    counts: dict[str, dict[str, int]] = {}
    for (kind, operation), count in sorted(preview.plan.counts().items()):
        counts.setdefault(kind, {})[operation] = count
    resources = sorted(
        (kind, Resource.of(urn).name, operation) for urn, (kind, operation) in preview.plan.resources.items()
    )
    return {
        "schemaVersion": 2,
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
            {**asdict(each), "resource": each.resource, "source": preview.sources.get(each.urn, "")}
            for each in preview.plan.findings
        ],
        "warnings": preview.plan.warnings,
        "errors": list(preview.errors),
    }


def show(preview: Preview, console: Console) -> None:
    """Print the verdict, the findings and the planned resources, on a terminal as a table."""
    verdict = "passed" if preview.passed else "FAILED"
    policies = "no policies ran" if preview.policy_pack is None else preview.plan.judgement()
    console.print(escape(f"{preview.stack}: {verdict}, {policies}"))
    for finding in preview.plan.sorted_findings():
        line = escape(_folded(_line(finding), console))
        console.print(f"[red]{line}[/red]" if finding.stops else line)
    for name in preview.copy.placeholders:
        console.print(escape(f"placeholder: {name} (a preview cannot decrypt it)"))
    for name in preview.copy.left_out:
        console.print(escape(f"left out: {name} (only Pulumi Cloud can resolve it)"))
    counts = sorted(preview.plan.counts().items())
    if console.is_terminal:
        console.print(_table(counts))
    else:
        for (kind, operation), count in counts:
            console.print(f"{count:>4} {operation} {kind}", markup=False)
    console.print(escape(f"{preview.stack}: {preview.plan.operations()}"))


def _line(finding: Found) -> str:
    """One line on a finding: level, resource, what is wrong, what to do, rule, and where to read on."""
    message = finding.message
    rule = f"{finding.rule} {finding.severity}".rstrip()
    parts = [
        f"{finding.standing}:",
        f"{finding.resource}:" if finding.resource else "",
        f"{message.statement}.",
        f"Exempt: {message.exemption}." if message.exemption else "",
        f"Fix: {message.fix}." if message.fix else "",
        "" if finding.is_undecided else f"[{rule}]",
        message.link,
    ]
    return " ".join(part for part in parts if part)


def _folded(line: str, console: Console) -> str:
    """The line within a terminal's width; elsewhere a finding stays one line, for grep."""
    if not console.is_terminal:
        return line
    width = min(console.width, _WIDEST)
    return textwrap.fill(line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _table(counts: list[tuple[tuple[str, str], int]]) -> Table:
    table = Table("Resource type", "Operation")
    table.add_column("Count", justify="right")
    for (kind, operation), count in counts:
        table.add_row(escape(kind), operation, str(count))
    return table
