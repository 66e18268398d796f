"""A preview as Markdown, for a workflow's summary and for a comment on a pull request."""

from __future__ import annotations

from preview.plan import Finding
from preview.preview import Preview

_MOST = 100
"""Most findings that are listed; GitHub truncates a summary at 1 MiB."""


def markdown(preview: Preview) -> str:
    """The preview's outcome, counts and findings."""
    verdict = "passed" if preview.passed else "**failed**"
    planned = preview.plan.operations() or "none"
    lines = [f"### Preview of `{preview.stack}`: {verdict}", "", f"Resources: {planned}.", ""]
    lines += [f"- error: {_inline(each)}" for each in preview.errors]
    if preview.errors:
        lines.append("")
    lines += _findings(preview)
    return "\n".join(lines).rstrip("\n") + "\n"


def _findings(preview: Preview) -> list[str]:
    if preview.policy_pack is None:
        return ["No policies ran."]
    found = preview.plan.sorted_findings()
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
    resource = _inline(finding.resource or "stack")
    return f"| {finding.rule} | {level} | {resource} | {_inline(_description(finding))} |"


def _description(finding: Finding) -> str:
    """The finding without the rule and the resource, which have columns of their own."""
    message = finding.message
    if message is None:
        return finding.text
    others = ", ".join(rule.id for rule in message.rules[1:])
    statement = f"{message.verdict}: {message.statement}" + (f" (also {others})" if others else "")
    return ". ".join([statement, *(f"{label}: {field}" for label, field in message.sections.items())])


def _inline(text: str) -> str:
    """Text escaped so that Markdown shows it literally: names and messages come from programs."""
    escaped = "".join(f"\\{each}" if each in "\\`*_{}[]<>#|~!@" else each for each in text)
    return " ".join(escaped.split())
