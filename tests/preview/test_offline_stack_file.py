"""The copy of a stack file: values as they are written, secrets replaced, nothing that asks a key service."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from engine.errors import CommandError
from preview.offline_stack_file import OfflineStackFile, offline

FILE = """\
# a comment
secretsprovider: awskms://alias/pulumi?region=eu-central-1
encryptedkey: AQICAHh
encryptionsalt: v1:old:v1:x:y
environment: [shared/prod]
config:
  aws:secretKey:
    secure: AAABAOne
  passwordless-postgres:rds:
    major: 17
    quoted: "17"
    window: 01:00
    yes: on
    users: [{name: a, password: {secure: AAABATwo}}, {name: b}]
    base: &base {token: {secure: AAABAThree}}
    again: *base
"""


def copied(tmp_path: Path, text: str) -> OfflineStackFile:
    file = tmp_path / "Pulumi.prod.yaml"
    file.write_text(text)
    return offline(file, "v1:own:v1:a:b", lambda plain: f"sealed {plain}")


def test_each_secret_is_named_as_pulumi_names_it_wherever_it_stands(tmp_path: Path) -> None:
    copy = copied(tmp_path, FILE)
    assert copy.placeholders == (
        "aws:secretKey",
        "passwordless-postgres:rds.users[0].password",
        "passwordless-postgres:rds.base.token",
        "passwordless-postgres:rds.again.token",
    )
    config = yaml.safe_load(copy.text)["config"]
    assert config["aws:secretKey"] == {"secure": "sealed placeholder of aws:secretKey"}
    for secret in ("AAABAOne", "AAABATwo", "AAABAThree"):
        assert secret not in copy.text


def test_nothing_is_left_that_needs_a_key_service_or_pulumi_cloud(tmp_path: Path) -> None:
    copy = copied(tmp_path, FILE)
    document = yaml.safe_load(copy.text)
    assert list(document) == ["config", "encryptionsalt"]
    assert document["encryptionsalt"] == "v1:own:v1:a:b"
    assert copy.left_out == ("environment",)


def test_values_stay_as_they_are_written(tmp_path: Path) -> None:
    lines = [line.strip() for line in copied(tmp_path, FILE).text.splitlines()]
    for line in ("major: 17", 'quoted: "17"', "window: 01:00", "yes: on"):
        assert line in lines


@pytest.mark.parametrize(
    ("written", "copy"),
    [
        ("{port: 443}", {"port": 443, "platform": "deploying"}),
        ("{platform: debian-13}", {"platform": "deploying"}),
        ("{platform: amiga}", {"platform": "amiga"}),
        ("nonsense", "nonsense"),
    ],
)
def test_the_gateways_program_is_made_for_this_machine_so_that_nothing_is_downloaded(
    tmp_path: Path, written: str, copy: object
) -> None:
    text = copied(tmp_path, f"config:\n  passwordless-postgres:gateway: {written}\n").text
    assert yaml.safe_load(text)["config"]["passwordless-postgres:gateway"] == copy


def test_a_file_without_secrets_has_no_placeholders(tmp_path: Path) -> None:
    copy = copied(tmp_path, "config:\n  aws:region: eu-central-1\n  p:secure: {secure: {not: a secret}}\n")
    assert (copy.placeholders, copy.left_out) == ((), ())


@pytest.mark.parametrize("text", ["config: [", "- a list\n", "config:\n", "\x00"])
def test_what_is_no_stack_file_is_refused_in_words(tmp_path: Path, text: str) -> None:
    with pytest.raises(CommandError, match=r"The stack file .*Pulumi\.prod\.yaml"):
        copied(tmp_path, text)
