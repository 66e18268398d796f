"""Stack files: all of ours load, and what YAML does to a file is explained with its line."""

# ruff: noqa: E501 - one case is one line

from __future__ import annotations

from pathlib import Path

import pytest

import settings

STACKS = Path(__file__).resolve().parents[2] / "stacks"

GOOD = """\
config:
  aws:region: eu-central-1
  passwordless-postgres:network:
    create: {zones: 2}
  passwordless-postgres:selfManaged:
    privateDns: {zone: db.internal}
    allowedClients:
      networks: [10.30.0.0/16]
    databases: {app: {}}
    roles:
      app_user:
        database: app
        networks:
          - 10.30.0.0/24
    serverSettings:
      jit: off
  passwordless-postgres:certificates:
    administrators: [arn:aws:iam::123456789012:role/platform]
"""


@pytest.fixture
def error_of(tmp_path):
    def error(text: str) -> list[str]:
        path = tmp_path / "Pulumi.test.yaml"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(settings.SettingsError) as caught:
            settings.load_stack_file(path)
        return [line.removeprefix(f"{path}:") for line in str(caught.value).splitlines()]

    return error


@pytest.mark.parametrize("path", sorted(STACKS.glob("Pulumi.*.yaml")), ids=lambda path: path.name)
def test_every_stack_file_loads(path):
    assert settings.load_stack_file(path).network


def test_the_sandbox_has_what_the_rest_relies_on():
    server = settings.load_stack_file(STACKS / "Pulumi.sandbox.yaml").self_managed
    assert server is not None
    assert server.private_dns.fqdn == "localhost"
    assert set(server.roles) == {"app_user", "app_readonly", "reporting"}
    assert len({role.secret_readers for role in server.roles.values()}) == 3


def test_a_good_file_loads_and_words_stay_words(tmp_path):
    path = tmp_path / "Pulumi.test.yaml"
    path.write_text(GOOD + "encryptionsalt: v1:abc=:v1:x\n", encoding="utf-8")
    server = settings.load_stack_file(path).self_managed
    assert server is not None
    assert server.server_settings == {"jit": "off"}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("zones: 2", "zones: 7", "4: passwordless-postgres:network.create.zones: 7 is not allowed"),
        ("10.30.0.0/24", "10.31.0.0/24", "14: passwordless-postgres:selfManaged.roles.app_user.networks[0]: "),
        ("    privateDns: {zone: db.internal}\n", "", "5: passwordless-postgres:selfManaged.privateDns: is required"),
        ("jit: off", "jit: off\n      jit: on", "16: passwordless-postgres:selfManaged.serverSettings.jit: is there twice, again on line 17"),
        ("app_user:", "010:", '11: passwordless-postgres:selfManaged.roles["010"]: the key is read by YAML as a number, and the engine rewrites it'),
        ("app_user:", "true:", "11: passwordless-postgres:selfManaged.roles.true: the key is read by YAML as a boolean"),
        ("app_user:", "on:", "11: passwordless-postgres:selfManaged.roles.on: 'on' looks like a number, a boolean or nothing"),
        ("database: app", "database: 010", "12: passwordless-postgres:selfManaged.roles.app_user.database: 8 is read by YAML as a number"),
        ("database: app", "database: {secure: v1:aaaa:bbbb}", "12: passwordless-postgres:selfManaged.roles.app_user.database: is encrypted"),
        ("selfManaged:", "selfmanaged:", "5: passwordless-postgres:selfmanaged: unknown key; did you mean selfManaged?"),
        ("config:", "configuration:", " the key configuration on line 1 means nothing to Pulumi; allowed: config"),
        ("create: {zones: 2}", "create: {zones: 2", " is not YAML: "),
        (GOOD, "- config", " is not a mapping; a stack file begins with config:"),
    ],
)  # fmt: skip
def test_errors_name_file_and_line(error_of, old, new, expected):
    (line,) = error_of(GOOD.replace(old, new, 1))
    assert line.startswith(expected) or (expected[0] == " " and expected in line)


def test_ciphertext_is_not_shown(error_of):
    assert "bbbb" not in "".join(error_of(GOOD.replace("database: app", "database: {secure: v1:aaaa:bbbb}")))


def test_an_empty_file_is_an_empty_configuration(tmp_path):
    path = tmp_path / "Pulumi.test.yaml"
    path.write_text("", encoding="utf-8")
    assert settings.load_stack_file(path) == settings.load({})
