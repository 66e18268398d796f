r"""The text in which the engine carries a finding, and how it is read back.

The engine has one text per finding, so what other programs need to know of it is parsed from that text:

    PGTLS-N41 [critical] violated by group (aws:rds/parameterGroup:ParameterGroup):
    parameters[rds.force_ssl].value is '0': expected 1. Fix: set rds.force_ssl to 1. See: https://...

It is always one line. Names and places that could be mistaken for the text around them are quoted as in JSON,
and a label inside a field is broken by a backslash (`Fix\:`), so that no program can forge another verdict.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from policy.finding import Finding, Verdict
from policy.rule import Severity

_PHRASES: Final = {
    Verdict.VIOLATED: "violated by",
    Verdict.UNDECIDED: "undecided for",
    Verdict.CRASHED: "crashed on",
    Verdict.EXEMPT: "exempted for",
}
_VERDICTS: Final = {phrase: verdict for verdict, phrase in _PHRASES.items()}
_RULE: Final = rf"PGTLS-[NP][0-9]{{2,3}} \[(?:{'|'.join(Severity)})\]"
_HEAD: Final = re.compile(rf"(?P<rules>{_RULE}(?:, {_RULE})*) (?P<phrase>{'|'.join(_VERDICTS)}) (?P<rest>.*)")
_SECTIONS: Final = re.compile(
    r"(?P<main>.*?)(?:\. Exempt: (?P<exemption>.*?))?(?:\. Rule: (?P<title>.*?))?(?:\. Fix: (?P<fix>.*?))?"
    r"(?:\. See: (?P<link>.*))?"
)
# What `Value.shown` says of a value.
_SHOWN: Final = re.compile(
    r"""(?P<value>not set|a secret|not known yet|a list|a map|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"): """
)
_ORDINARY_NAME: Final = re.compile(r"[\w.:/$*@+-]+")
# The labels, and the engine's colour marks, which are taken out of every text.
_RESERVED: Final = re.compile(r"(Exempt|Rule|Fix|See|<\{)(\\*)([:%])")
_DECODER: Final = json.JSONDecoder()


class RuleReference(NamedTuple):
    """A rule as a message names it."""

    id: str
    severity: Severity


@dataclass(frozen=True, kw_only=True)
class Message:
    """A finding without the objects that it was made of. Every field is one line of printable text.

    Attributes:
        rules: The rule; several where one unknown value leaves them undecided, the most severe first.
        verdict: What was found.
        name: The resource's name in the program.
        type: The resource's type token.
        place: Property, and the place in its text; empty where nothing was found in a property.
        value: The property's value as it may be shown; empty where the place is in a text.
        explanation: What is expected; why nothing can be decided; where the rule crashed.
        exemption: Reason, owner and last day of the exemption; empty without one.
        title: What an undecided rule requires; empty for other verdicts.
        fix: What to do; empty where nothing is to be done.
        link: Documentation; may be empty.
    """

    rules: tuple[RuleReference, ...]
    verdict: Verdict
    name: str
    type: str
    place: str = ""
    value: str = ""
    explanation: str
    exemption: str = ""
    title: str = ""
    fix: str = ""
    link: str = ""

    @classmethod
    def of(cls, finding: Finding) -> Message:
        """The message of a finding."""
        rule, verdict = finding.rule, finding.verdict
        title = rule.title if verdict is Verdict.UNDECIDED and not finding.others else ""
        fix = rule.fix if verdict is Verdict.VIOLATED else ""
        link = rule.link if verdict in (Verdict.VIOLATED, Verdict.UNDECIDED) else ""
        return cls(
            rules=(
                RuleReference(rule.id, finding.severity),
                *(RuleReference(each.id, each.severity) for each in finding.others),
            ),
            verdict=verdict,
            name=_one_line(finding.resource.name),
            type=_one_line(finding.resource.declared),
            place=_one_line(finding.place),
            value=_one_line(finding.value),
            explanation=_one_line(finding.explanation),
            exemption="" if finding.exemption is None else _one_line(str(finding.exemption)),
            title=_one_line(title),
            fix=_one_line(fix),
            link=_one_line(link),
        )

    @property
    def statement(self) -> str:
        """What was found where, without rules and resource."""
        if not self.place:
            return self.explanation
        value = f" is {self.value}" if self.value else ""
        return f"{_delimited(self.place)}{value}: {self.explanation}"

    @property
    def sections(self) -> dict[str, str]:
        """What follows the statement, by label."""
        given = {"Exempt": self.exemption, "Rule": self.title, "Fix": self.fix, "See": self.link}
        return {label: field for label, field in given.items() if field}

    def format(self) -> str:
        """The text; `parse` gives the message back."""
        rules = ", ".join(f"{rule.id} [{rule.severity}]" for rule in self.rules)
        resource = f"{_word(self.name)} ({_word(self.type)})"
        text = _escaped(f"{rules} {_PHRASES[self.verdict]} {resource}: {self.statement}")
        return text + "".join(f". {label}: {_escaped(field)}" for label, field in self.sections.items())


def parse(text: str) -> Message | None:
    """The message in a text, which may have other lines around it; None when there is none."""
    return next((found for line in text.splitlines() if (found := _parsed(line.strip()))), None)


def _parsed(line: str) -> Message | None:
    sections = _SECTIONS.fullmatch(line)
    head = _HEAD.fullmatch(_unescaped(sections["main"])) if sections else None
    if sections is None or head is None:
        return None
    rest = head["rest"]
    name, rest = _taken(rest, _ORDINARY_NAME)
    token, rest = _taken(rest.removeprefix(" ("), _ORDINARY_NAME)
    if not rest.startswith("): "):
        return None
    verdict = _VERDICTS[head["phrase"]]
    place, value, explanation = "", "", rest.removeprefix("): ")
    if verdict in (Verdict.VIOLATED, Verdict.EXEMPT):
        place, value, explanation = _divided(explanation)
    return Message(
        rules=tuple(
            RuleReference(rule, Severity(severity))
            for rule, severity in re.findall(r"(\S+) \[(\w+)\]", head["rules"])
        ),
        verdict=verdict,
        name=name,
        type=token,
        place=place,
        value=value,
        explanation=explanation,
        **{field: _unescaped(sections[field] or "") for field in ("exemption", "title", "fix", "link")},
    )


def _divided(statement: str) -> tuple[str, str, str]:
    """Place, value and explanation of a violation."""
    place, rest = _taken(statement, re.compile(r".*?(?= is |: )"))
    if rest.startswith(": "):
        return place, "", rest.removeprefix(": ")
    rest = rest.removeprefix(" is ")
    shown = _SHOWN.match(rest)
    return (place, shown["value"], rest[shown.end() :]) if shown else (place, "", rest)


def _word(name: str) -> str:
    return name if _ORDINARY_NAME.fullmatch(name) else json.dumps(name)


def _delimited(place: str) -> str:
    odd = place.startswith('"') or any(each in f"{place} " for each in (" is ", ": "))
    return json.dumps(place) if odd else place


def _taken(text: str, ordinary: re.Pattern[str]) -> tuple[str, str]:
    """What a text begins with, quoted or not, and the rest."""
    if text.startswith('"'):
        try:
            quoted, end = _DECODER.raw_decode(text)
        except ValueError:
            return "", text
        return quoted, text[end:]
    match = ordinary.match(text)
    return (match[0], text[match.end() :]) if match else ("", text)


def _one_line(text: str) -> str:
    """Printable text on one line: what is not printable is written as in Python."""
    escaped = "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text
    )
    return escaped.strip()


def _escaped(text: str) -> str:
    return _RESERVED.sub(r"\1\2\\\3", text)


def _unescaped(text: str) -> str:
    return _RESERVED.sub(lambda match: f"{match[1]}{match[2][1:]}{match[3]}", text)
