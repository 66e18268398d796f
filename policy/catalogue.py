"""`python -m policy.catalogue` writes docs/policies.md; `--check` only says whether it is out of date."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from policy.enforcement import DEFAULT
from policy.left_out import LEFT_OUT
from policy.pack import CONFIGURATION
from policy.rule import Rule, Severity
from policy.rules import RULES

REPOSITORY = Path(__file__).resolve().parent.parent
FILE = REPOSITORY / "docs" / "policies.md"

_INTRODUCTION = f"""\
# Policies

Generated from `policy/rules/` by `python -m policy.catalogue`; change it there.

`pulumi preview --policy-pack policy` and `pulumi up --policy-pack policy` check what the program registers
against {{count}} rules. Pass the pack to both: a value that is known only once resources exist is reported as
**undecided** in the preview, which stops nothing, and is checked again in the update, before the resource is
made. One unknown that several rules need is said once, with all of them. Rules about the stack see resources
after they are made, so what they say in the preview counts.

`make policy-pack` writes the pack to `dist/policy-pack`, a folder that needs nothing of the checkout, as
`pulumi policy publish` takes it. `make preview` runs the pack without an account; with `--sarif FILE` and
`--markdown FILE` its findings reach a pull request. `python -m policy.bench` says what the pack costs.

## Configuration

`--policy-pack-config FILE` takes JSON. Its key `{CONFIGURATION}` holds what concerns all rules. The engine's
own keys work too: the id of a rule sets its level, and `all` that of every rule; but a level that is a rule's
default says nothing there, since the engine sends the default for every rule.

```json
{{example}}
```

`enforcement` says what a violation of each severity does, and what one of a single rule does, which goes
before its severity and the engine's keys. Without it: {{levels}}.

An exemption names a rule, a resource (its URN, or type and name as above), a reason, an owner and the last
day on which it holds. What it covers is still listed, as advisory. Once that day is over the violation
counts again, and the exemption is a violation itself; so is one that names no rule or no resource of the
stack, and one that is not needed, since the rule finds nothing there.

## Rules
"""
_EXAMPLE = """\
{
  "PGTLS-configuration": {
    "enforcement": {"medium": "mandatory", "PGTLS-N48": "advisory"},
    "exemptions": [
      {
        "rule": "PGTLS-N45",
        "resource": "aws:rds/instance:Instance::rds-instance",
        "reason": "The upgrade to 18 takes two updates, see the change",
        "owner": "platform team",
        "expires": "2027-01-31"
      }
    ]
  },
  "PGTLS-N44": "disabled"
}"""


def catalogue(rules: tuple[Rule, ...] = RULES) -> str:
    """The document."""
    levels = ", ".join(f"{severity} {DEFAULT[severity]}" for severity in Severity)
    lines = [_INTRODUCTION.format(count=len(rules), example=_EXAMPLE, levels=levels)]
    lines += ["| Rule | Severity | Requirement |", "| --- | --- | --- |"]
    lines += [f"| [{rule.id}](#{rule.id.lower()}) | {rule.severity} | {rule.title} |" for rule in rules]
    for rule in rules:
        lines += ["", *_section(rule)]
    lines += ["", "## Left out", "", "Requirements of other rule sets that are no rules here, and why:", ""]
    lines += [f"- {name}. {reason}" for name, reason in LEFT_OUT.items()]
    return "\n".join(lines) + "\n"


def _section(rule: Rule) -> Iterator[str]:
    seen = "the stack, by outputs" if rule.is_about_the_stack else "one resource, by inputs"
    yield f"### {rule.id}"
    yield ""
    yield f"**{rule.title}.** {rule.why}"
    yield ""
    yield f"- Severity: {rule.severity} ({DEFAULT[rule.severity]} by default); area: {rule.area}"
    yield f"- Looks at {seen}: {', '.join(f'`{token}`' for token in rule.types)}"
    yield f"- Fix: {rule.fix}"
    yield f"- Documentation: <{rule.link}>"
    if rule.references:
        yield f"- Also known as: {', '.join(rule.references)}"


def main(arguments: list[str]) -> int:
    """Write the document, or compare it; the exit status is 1 when the comparison fails."""
    text = catalogue()
    current = FILE.read_text(encoding="utf-8") if FILE.exists() else ""
    name = FILE.relative_to(REPOSITORY)
    if current == text:
        return 0
    if "--check" in arguments:
        print(f"{name} is out of date; run: python -m policy.catalogue")
        return 1
    FILE.write_text(text, encoding="utf-8")
    print(f"{name} written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
