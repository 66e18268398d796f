"""The published copy of the pack does not need the checkout."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from policy import profiles, self_contained
from policy.profiles import Profile
from policy.rules import RULES


def test_the_copy_is_the_same_whenever_it_is_made(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    files = self_contained.write(first)
    assert self_contained.write(second) == files
    assert self_contained.write(first) == files, "over an older copy"
    assert [(first / each).read_bytes() for each in files] == [(second / each).read_bytes() for each in files]
    assert {Path("__main__.py"), Path("PulumiPolicy.yaml"), Path("requirements.txt")} < set(files)


def test_the_copy_has_an_environment_of_its_own(tmp_path: Path) -> None:
    self_contained.write(tmp_path / "pack")
    description = yaml.safe_load((tmp_path / "pack" / "PulumiPolicy.yaml").read_text())
    assert description["runtime"] == {"name": "python", "options": {"toolchain": "pip", "virtualenv": "venv"}}
    pins = (tmp_path / "pack" / "requirements.txt").read_text().splitlines()
    assert [each.partition("==")[0] for each in pins] == list(self_contained.NEEDS)


def test_what_is_not_locked_is_named() -> None:
    with pytest.raises(ValueError, match="does not lock pulumi-policy"):
        self_contained.requirements(
            "cryptography==1 \\\ngrpcio==1\nprotobuf==1\npulumi==1\npyyaml==1 ; python_version > '3'\n"
        )


def test_a_folder_with_something_else_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert self_contained.main([str(tmp_path)]) == 1
    assert "holds no policy pack" in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_profile_has_its_own_rules_and_a_document_about_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert self_contained.main([str(tmp_path / "pack"), "--profile", "tls"]) == 0
    assert (tmp_path / "pack" / "PROFILE").read_text() == "tls\n"
    rules = profiles.rules_of(Profile.TLS, RULES)
    document = (tmp_path / "pack" / "policies.md").read_text()
    assert f"against {len(rules)} rules" in document
    assert document.count("\n### PGTLS-") == len(rules)
    printed = capsys.readouterr().out
    assert [line.split()[:2] for line in printed.splitlines() if line.startswith("  ")] == [
        ["(cd", str(tmp_path / "pack")],
        ["pulumi", "preview"],
        ["pulumi", "up"],
    ]


def test_the_built_pack_reads_its_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "FILE", tmp_path / "PROFILE")
    assert profiles.built() is Profile.EVERYTHING
    (tmp_path / "PROFILE").write_text("postgres\n")
    assert profiles.built() is Profile.POSTGRES
    (tmp_path / "PROFILE").write_text("all\n")
    with pytest.raises(ValueError, match="'all' is not a valid Profile"):
        profiles.built()


def test_profiles_follow_from_what_rules_are_about() -> None:
    of = {profile: {rule.id for rule in profiles.rules_of(profile, RULES)} for profile in Profile}
    assert of[Profile.EVERYTHING] == {rule.id for rule in RULES}
    assert {"PGTLS-N01", "PGTLS-N41", "PGTLS-N46", "PGTLS-P001"} <= of[Profile.POSTGRES]
    assert {"PGTLS-N41", "PGTLS-P097", "PGTLS-P099"} <= of[Profile.TLS]
    assert {"PGTLS-P001", "PGTLS-P033"} <= of[Profile.BASELINE]
    assert "PGTLS-P033" not in of[Profile.TLS] | of[Profile.POSTGRES], "the metadata service"
    assert "PGTLS-N01" not in of[Profile.BASELINE], "no public benchmark has it"
