"""The catalogue of policies is up to date."""

from __future__ import annotations

from pathlib import Path

import pytest

from policy import catalogue
from policy.rules import RULES


def test_the_document_is_up_to_date() -> None:
    text = catalogue.FILE.read_text(encoding="utf-8")
    assert text == catalogue.catalogue(), "run: python -m policy.catalogue"


def test_the_check_says_so_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert catalogue.main(["--check"]) == 0
    assert capsys.readouterr().out == ""


def test_a_stale_document_is_named_and_rewritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = tmp_path / "policies.md"
    stale.write_text("stale")
    monkeypatch.setattr(catalogue, "FILE", stale)
    monkeypatch.setattr(catalogue, "REPOSITORY", tmp_path)
    assert catalogue.main(["--check"]) == 1
    assert "policies.md is out of date" in capsys.readouterr().out
    assert stale.read_text() == "stale"
    assert catalogue.main([]) == 0
    assert stale.read_text() == catalogue.catalogue()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_rule_says_what_why_and_how(rule) -> None:
    section = catalogue.catalogue().split(f"### {rule.id}\n")[1].split("\n### ")[0]
    for text in (rule.title, rule.why, rule.fix, rule.link, *rule.types, rule.severity):
        assert text in section
