"""How errors are said: all together, one line each, no consequences, no secrets, no traceback."""

from __future__ import annotations

import pytest

import settings
from settings.problems import Problem, SettingsError, written

KEY = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----\n"


def places(lines: list[str]) -> list[str]:
    return [line.removeprefix("passwordless-postgres:").split(": ")[0] for line in lines]


def test_everything_wrong_is_reported_together(spoilt, findings):
    lines = findings(
        spoilt(
            **{
                "network.create.zones": 9,
                "certificates.renewBeforeDays": 90,
                "selfManaged.port": 80,
                "selfManaged.privateDns.zone": "x.",
                "selfManaged.instanceType": "m7g",
                "selfManaged.serverSettings.fsync": "off",
                "selfManaged.roles.app_user.networks": ["10.30.1.0/24", "10.77.0.0/24"],
                "selfManaged.roles.other": {"database": "nowhere", "networks": ["10.30.0.0/33"]},
                "tags.team": True,
                "oops": 1,
            }
        )
    )
    assert sorted(places(lines)) == sorted(
        [
            "network.create.zones",
            "certificates.renewBeforeDays",
            "selfManaged.port",
            "selfManaged.privateDns.zone",
            "selfManaged.instanceType",
            "selfManaged.serverSettings.fsync",
            "selfManaged.roles.app_user.networks[1]",
            "selfManaged.roles.other.database",
            "selfManaged.roles.other.networks[0]",
            "tags.team",
            "oops",
        ]
    )


def test_cross_field_problems_are_found_beside_missing_keys(spoilt, findings, good):
    del good["selfManaged"]["privateDns"]
    lines = findings(spoilt(**{"selfManaged.volume.throughputMiBps": 1000}))
    assert places(lines) == ["selfManaged.privateDns", "selfManaged.volume.throughputMiBps"]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("selfManaged.databases", {"App": {}}),
        ("selfManaged.major", 14),
        ("selfManaged.instanceType", "huge"),
        ("selfManaged.allowedClients.networks", ["10.30.0.1/16"]),
        ("selfManaged.serverSettings", {"max_connections": "many"}),
        ("certificates.leafValidityDays", "short"),
        ("network", {"create": {"zones": 7}}),
    ],
)
def test_what_follows_from_a_wrong_value_is_not_reported(spoilt, findings, place, value):
    assert len(findings(spoilt(**{place: value}))) == 1


def test_keys_that_are_no_text_are_named_with_their_type(good, findings):
    role = good["selfManaged"]["roles"].pop("app_user")
    good["selfManaged"]["roles"] = {8: role, True: role, None: role}
    assert [line.split(": ", 1)[1] for line in findings(good)] == [
        "the key is read by YAML as a number, not as text; write it in quotes",
        "the key is read by YAML as a boolean, not as text; write it in quotes",
        "the key is read by YAML as nothing, not as text; write it in quotes",
    ]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("selfManaged.privateDns.zone", KEY),
        ("selfManaged.instanceType", "v1:c2FsdA==:Y2lwaGVy"),
        ("certificates.administrators", ["AKIAIOSFODNN7EXAMPLE"]),
        ("selfManaged.roles.app_user.database", ["postgresql://me:swordfish@db/app"]),
        ("selfManaged.roles.app_user.password", "swordfish"),
        ("selfManaged.serverSettings.primary_conninfo", "host=a password=swordfish"),
        ("selfManaged.serverSettings.ssl_passphrase_command", "echo swordfish"),
        ("tags.apiToken", 12345),
        ("swordfishes", {"password": "swordfish"}),
    ],
)
def test_what_may_be_a_secret_is_not_shown(spoilt, findings, place, value):
    text = "\n".join(findings(spoilt(**{place: value})))
    for secret in ("MIGH", "Y2lwaGVy", "AKIA", "12345", "swordfish@", "=swordfish", '"swordfish"', "echo"):
        assert secret not in text


def test_an_encrypted_section_is_refused_unread(good):
    good["tags"]["aws:secret"] = "swordfish"
    with pytest.raises(SettingsError) as caught:
        settings.load(good, encrypted=["tags"])
    assert str(caught.value) == (
        "passwordless-postgres:tags: is encrypted; settings hold no secrets: "
        "store it with pulumi config set --plaintext"
    )


def test_the_error_holds_the_problems_and_no_chain(good):
    good["selfManaged"]["port"] = 1
    with pytest.raises(SettingsError) as caught:
        settings.load(good)
    assert [problem.path for problem in caught.value.problems] == [("selfManaged", "port")]
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("tags",), "passwordless-postgres:tags"),
        (
            ("selfManaged", "roles", "App", "networks", 0),
            "passwordless-postgres:selfManaged.roles.App.networks[0]",
        ),
        (("tags", "cost.center"), 'passwordless-postgres:tags["cost.center"]'),
        (("tags", 'a"b'), 'passwordless-postgres:tags["a\\"b"]'),
        (("tags", ""), 'passwordless-postgres:tags[""]'),
    ],
)
def test_paths_are_written_as_pulumi_takes_them(path, text):
    assert written(path) == text


@pytest.mark.parametrize("character", ["\n", "\r", "\x1b", "\x85", "\u2028", "\u2029", "\u202e"])
def test_control_characters_are_escaped_wherever_they_stand(spoilt, findings, good, character):
    """One problem stays one line, and no terminal obeys what somebody wrote into a stack file."""
    name = f"a{character}b"
    good[name] = {}
    good["gateway"] = {
        "domainName": "gateway.example.org",
        "clients": {name: {"commonName": name, "role": name}, "x": {"commonName": name, "role": "x"}},
    }
    lines = findings(spoilt(**{"selfManaged.instanceType": name, "tags.team": name, f"tags.{name}": "x"}))
    assert len(lines) > 5
    assert all(line.startswith("passwordless-postgres:") and line.isprintable() for line in lines)
    assert any('selfManaged.instanceType: "a\\' in line for line in lines)


def test_a_problem_is_one_line_and_a_long_value_is_cut():
    text = str(SettingsError([Problem(("tags",), "two\nlines", "x" * 500)]))
    assert "\n" not in text
    assert len(text) < 160
