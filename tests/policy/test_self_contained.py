"""The published copy of the pack does not need the checkout."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from policy import self_contained


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
