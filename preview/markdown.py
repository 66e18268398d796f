"""A preview as Markdown: what a workflow shows as its summary, and a comment on a pull request."""

from __future__ import annotations

from collections import Counter

from preview.plan import Finding
from preview.preview import Preview

_MOST = 100
"""Findings that are listed at most; GitHub cuts a summary off at 1 MiB."""


def markdown(preview: Preview) -> str:
    """The preview's outcome, counts and findings."""
    operations: Counter[str] = Counter()
    for (_, operation), count in preview.plan.counts().items():
        operations[operation] += count
    planned = ", ".join(f"{count} {operation}" for operation, count in sorted(operations.items()))
    verdict = "passed" if preview.passed else "**failed**"
    lines = [f"### Preview of `{preview.stack}`: {verdict}", "", f"Resources: {planned or 'none'}.", ""]
    lines += [f"- error: {_inline(each)}" for each in preview.errors]
    if preview.errors:
        lines.append("")
    lines += _findings(preview)
    return "\n".join(lines).rstrip("\n") + "\n"


def _findings(preview: Preview) -> list[str]:
    if preview.policy_pack is None:
        return ["No policies ran."]
    found = sorted(preview.plan.findings, key=lambda each: (not each.stops, each.rule, each.resource))
    rules = len(preview.plan.rules)
    stopping = sum(each.stops for each in found)
    if not found:
        return [f"Policies: {rules} rules, nothing found."]
    lines = [f"Policies: {rules} rules, {stopping} mandatory and {len(found) - stopping} other findings.", ""]
    lines += ["| Rule | Level | Resource | Finding |", "| --- | --- | --- | --- |"]
    lines += [_row(each) for each in found[:_MOST]]
    if len(found) > _MOST:
        lines += ["", f"{len(found) - _MOST} more are in the report."]
    return lines


def _row(finding: Finding) -> str:
    level = f"**{finding.level}**" if finding.stops else finding.level
    return (
        f"| {finding.rule} | {level} | {_inline(finding.resource or 'stack')} | {_inline(finding.message)} |"
    )


def _inline(text: str) -> str:
    """Text that Markdown shows as it is: names and messages come from programs and stack files."""
    escaped = "".join(f"\\{each}" if each in "\\`*_{}[]<>#|~!@" else each for each in text)
    return " ".join(escaped.split())
