r"""The text in which the engine carries a finding, and how it is read back.

The engine shows rule, level, severity and resource above the text, so the text has the rest, each once:

    parameters[rds.force_ssl].value is '0': expected 1. Fix: set rds.force_ssl to 1. See: https://...
    Undecided: 9 rules wait for the value of `policy`

It is always one line. Places that could be mistaken for the text around them are quoted as in JSON, and a
label inside a field is broken by a backslash (`Fix\:`), so that no program can forge another verdict.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from policy.finding import Finding, Verdict
from policy.rule import Severity

# What a text begins with where nothing is violated. An exempt one has the reason at its end.
_PREFIXES: Final = {Verdict.UNDECIDED: "Undecided: ", Verdict.CRASHED: "Crashed: "}
_SECTIONS: Final = re.compile(
    r"(?P<main>.*?)(?:\. Exempt: (?P<exemption>.*?))?(?:\. Rules: (?P<rules>.*?))?(?:\. Fix: (?P<fix>.*?))?"
    r"(?:\. See: (?P<link>.*))?"
)
_RULE: Final = re.compile(rf"(\S+) \[({'|'.join(Severity)})\]")
# What `Value.shown` says of a value.
_SHOWN: Final = re.compile(
    r"""(?P<value>not set|a secret|not known yet|a list|a map|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"): """
)
# The labels, and the engine's colour marks, which are taken out of every text.
_RESERVED: Final = re.compile(r"(Undecided|Crashed|Exempt|Rules|Fix|See|<\{)(\\*)([:%])")
_PLACE: Final = re.compile(r".*?(?= is |: )")
_DECODER: Final = json.JSONDecoder()


class RuleReference(NamedTuple):
    """A rule as a message names it."""

    id: str
    severity: Severity


@dataclass(frozen=True, kw_only=True)
class Message:
    """What is said of a finding. Every field is one line of printable text.

    Attributes:
        verdict: What was found.
        place: Property, and the place in its text; empty where nothing was found in a property.
        value: The property's value as it may be shown; empty where the place is in a text.
        explanation: What is expected; what nothing can be decided without; where the rule crashed.
        exemption: Reason, owner and last day of the exemption; empty without one.
        rules: The rules that are undecided, the most severe first; empty unless they are asked for.
        fix: What to do; empty where nothing is to be done.
        link: Documentation; may be empty.
    """

    verdict: Verdict
    place: str = ""
    value: str = ""
    explanation: str
    exemption: str = ""
    rules: tuple[RuleReference, ...] = ()
    fix: str = ""
    link: str = ""

    @classmethod
    def of(cls, finding: Finding, *, with_rules: bool = False) -> Message:
        """The message of a finding; `with_rules` names every rule that is undecided."""
        rule, verdict = finding.rule, finding.verdict
        is_undecided = verdict is Verdict.UNDECIDED
        references = [RuleReference(each.id, each.severity) for each in (rule, *finding.others)]
        return cls(
            verdict=verdict,
            place=_one_line(finding.place),
            value=_one_line(finding.value),
            explanation=_one_line(_waiting(finding) if is_undecided else finding.explanation),
            exemption="" if finding.exemption is None else _one_line(str(finding.exemption)),
            rules=tuple(references) if is_undecided and with_rules else (),
            fix=_one_line(rule.fix) if verdict is Verdict.VIOLATED else "",
            link=_one_line(rule.link) if verdict is Verdict.VIOLATED else "",
        )

    @property
    def statement(self) -> str:
        """What was found where."""
        if not self.place:
            return self.explanation
        value = f" is {self.value}" if self.value else ""
        return f"{_delimited(self.place)}{value}: {self.explanation}"

    def format(self) -> str:
        """The text; `parse` gives the message back."""
        rules = ", ".join(f"{rule.id} [{rule.severity}]" for rule in self.rules)
        sections = {"Exempt": self.exemption, "Rules": rules, "Fix": self.fix, "See": self.link}
        return (
            _PREFIXES.get(self.verdict, "")
            + _escaped(self.statement)
            + "".join(f". {label}: {_escaped(field)}" for label, field in sections.items() if field)
        )


def parse(text: str) -> Message:
    """The message in a text of this pack. What has no place is a violation with an explanation alone."""
    sections = _SECTIONS.fullmatch(text.strip().replace("\n", " "))
    if sections is None:
        raise AssertionError("the pattern matches every line")
    main = sections["main"]
    verdict = Verdict.EXEMPT if sections["exemption"] else Verdict.VIOLATED
    for each, prefix in _PREFIXES.items():
        if main.startswith(prefix):
            verdict, main = each, main.removeprefix(prefix)
    place, value, explanation = "", "", _unescaped(main)
    if verdict not in _PREFIXES:
        place, value, explanation = _divided(explanation)
    rules = _RULE.findall(sections["rules"] or "")
    return Message(
        verdict=verdict,
        place=place,
        value=value,
        explanation=explanation,
        rules=tuple(RuleReference(rule, Severity(severity)) for rule, severity in rules),
        **{field: _unescaped(sections[field] or "") for field in ("exemption", "fix", "link")},
    )


def _waiting(finding: Finding) -> str:
    """How many rules are undecided, and without what; a rule that is alone is named."""
    count = 1 + len(finding.others)
    rules = finding.rule.id if count == 1 else f"{count} rules"
    if finding.waits_for:
        return f"{rules} {'waits' if count == 1 else 'wait'} for the value of `{finding.waits_for}`"
    return f"{rules}: {finding.explanation}"


def _divided(statement: str) -> tuple[str, str, str]:
    """Place, value and explanation of a violation."""
    place, rest = _taken(statement)
    if not place:
        return "", "", statement
    if rest.startswith(": "):
        return place, "", rest.removeprefix(": ")
    rest = rest.removeprefix(" is ")
    shown = _SHOWN.match(rest)
    return (place, shown["value"], rest[shown.end() :]) if shown else (place, "", rest)


def _delimited(place: str) -> str:
    odd = place.startswith('"') or any(each in f"{place} " for each in (" is ", ": "))
    return json.dumps(place) if odd else place


def _taken(text: str) -> tuple[str, str]:
    """The place that a text begins with, quoted or not, and the rest."""
    if text.startswith('"'):
        try:
            quoted, end = _DECODER.raw_decode(text)
        except ValueError:
            return "", text
        return quoted, text[end:]
    match = _PLACE.match(text)
    return (match[0], text[match.end() :]) if match else ("", text)


def _one_line(text: str) -> str:
    """Printable text on one line: what is not printable is written as in Python."""
    if text.isprintable():
        return text.strip()
    escaped = "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text
    )
    return escaped.strip()


def _escaped(text: str) -> str:
    return _RESERVED.sub(r"\1\2\\\3", text)


def _unescaped(text: str) -> str:
    return _RESERVED.sub(lambda match: f"{match[1]}{match[2][1:]}{match[3]}", text)
