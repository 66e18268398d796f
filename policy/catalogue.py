"""`python -m policy.catalogue` writes docs/policies.md; with `--check` it only reports an outdated file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from policy.enforcement import DEFAULT
from policy.exemptions import ANNOUNCED_DAYS, LONGEST_DAYS, SHORTEST_REASON
from policy.finding import Finding, Verdict
from policy.left_out import LEFT_OUT
from policy.message import Message
from policy.pack import CONFIGURATION, COVERAGE, UNDECIDED
from policy.profiles import ABOUT, profiles_of
from policy.resources import Resource
from policy.rule import Rule, Severity
from policy.rules import RULES
from policy.serving import VERBOSE

REPOSITORY = Path(__file__).resolve().parent.parent
FILE = REPOSITORY / "docs" / "policies.md"

_INTRODUCTION = f"""\
# Policies

Generated from `policy/rules/` by `python -m policy.catalogue`; change it there.

`pulumi preview --policy-pack policy` and `pulumi up --policy-pack policy` check what the program registers
against {{count}} rules. Pass the pack to both. Stack rules see resources after they are created, so the
preview is where they protect.

What is known only once resources exist is **undecided** in the preview, which stops nothing, and is checked
again in the update, before the resource is created. `{UNDECIDED}` says once per resource how many rules wait
for a value, without a severity; with `{VERBOSE}=1` in the environment it names them, as `make preview` does
in its JSON and SARIF.

Resources of `aws-native` are read as those of `aws`, by the table in `policy/aws_native.py`; a property that
the table lacks is undecided. Resources of a cloud whose type no rule reads are counted in one advisory line,
`{COVERAGE}`. The engine's keys can make it and `{UNDECIDED}` mandatory.

`make policy-pack` writes the pack to `dist/policy-pack`, a folder that does not need the checkout, and prints
how to use it. `python -m policy.self_contained --profile NAME` writes a part of it, with this document about
its rules: {{profiles}}.

`make preview` runs the pack without an AWS account; `--sarif FILE` and
`--markdown FILE` write its findings for a pull request. `python -m policy.bench` measures the pack.

The engine shows rule, level, severity and resource of a finding, and below them one line: the property with
its value or the place in a text, what is expected, what to do, and a link:

```
{{finding}}
```

## Configuration

`--policy-pack-config FILE` takes JSON; `stacks/policy.<stack>.json` is that file for a stack, which `make
preview` and the workflows pass on. `{CONFIGURATION}` has the pack's own configuration:

```json
{{example}}
```

`accounts` and `organisations` list one's own, such as `"accounts": ["123456789012"]`. A condition on another
one keeps no stranger out; without the lists, a condition on one is undecided.

`exemptions` is the only way to weaken the pack. Each names

- `rule`, or `severity` for all rules of it;
- `scope`: a URN, `type::name`, a type token for all resources of that type, or `*` for every resource;
- `level`: `advisory`, the default, lists what is found and stops nothing; `disabled` does not list it either,
  nor what is undecided;
- `reason`, of at least {SHORTEST_REASON} characters, and `owner`;
- `expires`, the last day on which it holds (UTC), at most {LONGEST_DAYS} days ahead.

Its end is announced {ANNOUNCED_DAYS} days before. After that day the violation counts again, and the
exemption itself is a violation. So is one that matches no resource or that nothing needs. Runs of the
whole stack say that (not those with `--target` or `--exclude`), on Linux, where the pack sees the engine's
options.

`enforcement` raises levels by severity, or by rule, which has precedence. The defaults are: {{levels}}.
The engine's own keys (a rule's id, `all`) raise levels, too. A level below the default is refused wherever it
stands.

## Rules
"""
_EXAMPLE = """\
{
  "PGTLS-configuration": {
    "exemptions": [
      {
        "rule": "PGTLS-N45",
        "scope": "aws:rds/instance:Instance::rds-instance",
        "reason": "The upgrade to 18 takes two updates, see the change",
        "owner": "platform team",
        "expires": "2027-01-31"
      }
    ],
    "enforcement": {"medium": "mandatory"}
  }
}"""


def catalogue(rules: tuple[Rule, ...] = RULES) -> str:
    """The document."""
    levels = ", ".join(f"{severity} {DEFAULT[severity]}" for severity in Severity)
    lines = [
        _INTRODUCTION.format(
            count=len(rules), example=_EXAMPLE, levels=levels, finding=_finding(), profiles=_profiles()
        )
    ]
    lines += ["| Rule | Severity | Requirement |", "| --- | --- | --- |"]
    lines += [f"| [{rule.id}](#{rule.id.lower()}) | {rule.severity} | {rule.title} |" for rule in rules]
    for rule in rules:
        lines += ["", *_section(rule)]
    lines += [
        "",
        "## Left out",
        "",
        "Requirements of other rule sets that this pack leaves out:",
        "",
    ]
    lines += [f"- {name}. {reason}" for name, reason in LEFT_OUT.items()]
    return "\n".join(lines) + "\n"


def _profiles() -> str:
    return "; ".join(f"`{profile}`, {about}" for profile, about in ABOUT.items())


def _finding() -> str:
    """An example of a finding as the engine carries it."""
    rule = next(each for each in RULES if each.id == "PGTLS-N41")
    group = Resource(urn="", type=rule.types[0], name="rds-parameters", properties={})
    found = Finding(
        rule=rule,
        resource=group,
        verdict=Verdict.VIOLATED,
        place="parameters[rds.force_ssl].value",
        value="'0'",
        explanation="expected 1",
    )
    return Message.of(found).format()


def _section(rule: Rule) -> Iterator[str]:
    kinds = {"one resource (inputs)": rule.checks, "the stack (outputs)": rule.stack_checks}
    seen = " and ".join(kind for kind, checks in kinds.items() if checks)
    yield f"### {rule.id}"
    yield ""
    yield f"**{rule.title}.** {rule.why}"
    yield ""
    yield f"- Severity: {rule.severity} ({DEFAULT[rule.severity]} by default); area: {rule.area}"
    yield f"- Profiles: {', '.join(profiles_of(rule))}"
    yield f"- Checks {seen}: {', '.join(f'`{token}`' for token in rule.types)}"
    yield f"- Fix: {rule.fix}"
    yield f"- Documentation: <{rule.link}>"
    if rule.references:
        yield f"- Also known as: {', '.join(rule.references)}"


def main(arguments: list[str]) -> int:
    """Write the document, or with `--check` return 1 where it is out of date."""
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
