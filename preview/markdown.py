"""A preview as Markdown, for a workflow's summary and for a comment on a pull request."""

from __future__ import annotations

from policy.engine_event import Found
from preview.preview import Preview

_MOST = 100
"""Most findings that are listed; GitHub truncates a summary at 1 MiB."""


def markdown(preview: Preview) -> str:
    """The preview's verdict, findings and counts."""
    verdict = "passed" if preview.passed else "**failed**"
    policies = "No policies ran" if preview.policy_pack is None else f"Policies: {preview.plan.judgement()}"
    lines = [f"### Preview of `{preview.stack}`: {verdict}", "", f"{policies}.", ""]
    lines += [f"- error: {_inline(each)}" for each in preview.errors]
    lines += [""] if preview.errors else []
    found = preview.plan.sorted_findings()
    if found:
        lines += ["| Rule | Level | Resource | Finding | Fix |", "| --- | --- | --- | --- | --- |"]
        lines += [_row(each) for each in found[:_MOST]]
        lines += ["", f"{len(found) - _MOST} more are in the report.", ""] if len(found) > _MOST else [""]
    return "\n".join([*lines, f"Resources: {preview.plan.operations()}."]) + "\n"


def _row(finding: Found) -> str:
    message = finding.message
    rule = "" if finding.is_undecided else finding.rule
    exempt = f" (exempt: {_inline(message.exemption)})" if message.exemption else ""
    cells = (
        f"[{rule}]({message.link})" if message.link else rule,
        f"**{finding.level}**" if finding.stops else finding.standing,
        _inline(finding.resource or "stack"),
        _inline(message.statement) + exempt,
        _inline(message.fix),
    )
    return f"| {' | '.join(cells)} |"


def _inline(text: str) -> str:
    """Text escaped so that Markdown shows it literally: names and messages come from programs."""
    escaped = "".join(f"\\{each}" if each in "\\`*_{}[]<>#|~!@" else each for each in text)
    return " ".join(escaped.split())
