"""An identity is checked before it is stored, stored privately, and replaced as a whole."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)

from pgpasswordless import identity, identity_files
from pgpasswordless.aws import Aws
from pgpasswordless.connections import CertificateBundle
from pgpasswordless.errors import IdentityError

PEM = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"
TRUSTED = CertificateBundle(pem=PEM, sha256=hashlib.sha256(PEM.encode()).hexdigest())


def files_in(directory: Path) -> dict[str, bytes]:
    return {name: (directory / name).read_bytes() for name in identity_files.NAMES}


def test_the_forms_that_drivers_read(authority: Any, tmp_path: Path) -> None:
    checked = identity.check(authority.secret("app_user"), "app_user", where="secret x")
    files = identity_files.write(tmp_path / "role", checked, TRUSTED)
    pem = files.key.read_bytes()
    assert pem.startswith(b"-----BEGIN PRIVATE KEY-----")
    key = load_pem_private_key(pem, None)
    other = load_der_private_key(files.key_der.read_bytes(), None)
    assert key.private_numbers() == other.private_numbers()  # type: ignore[union-attr]
    assert files.root_certificate.read_text() == PEM
    assert files.not_after == checked.not_after


def test_a_key_in_another_form_becomes_pkcs8(authority: Any) -> None:
    text = authority.secret("app_user", key_format=PrivateFormat.TraditionalOpenSSL)
    assert "BEGIN EC PRIVATE KEY" in text
    checked = identity.check(text, "app_user", where="secret x")
    assert checked.key_pem.startswith(b"-----BEGIN PRIVATE KEY-----")


def mismatched(authority: Any) -> str:
    parts = json.loads(authority.secret("app_user"))
    return json.dumps(parts | {"privateKey": authority.issue("app_user")[1]})


def with_broken_key(authority: Any) -> str:
    parts = json.loads(authority.secret("app_user"))
    return json.dumps(parts | {"privateKey": parts["privateKey"].replace("MIG", "MIX", 1)})


def swapped(authority: Any) -> str:
    parts = json.loads(authority.secret("app_user"))
    return json.dumps({"certificate": parts["privateKey"], "privateKey": parts["certificate"]})


def key_first(authority: Any) -> str:
    parts = json.loads(authority.secret("app_user"))
    return json.dumps(parts | {"certificate": parts["privateKey"] + parts["certificate"]})


def authority_first(authority: Any) -> str:
    parts = json.loads(authority.secret("app_user"))
    return json.dumps(parts | {"certificate": authority.pem + parts["certificate"]})


def encrypted(authority: Any) -> str:
    parts = json.loads(authority.secret("app_user"))
    key = load_pem_private_key(parts["privateKey"].encode(), None)
    form = (Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    return json.dumps(parts | {"privateKey": key.private_bytes(*form).decode()})


WRONG: dict[str, tuple[Callable[[Any], str], str]] = {
    "not JSON": (lambda a: a.issue("app_user")[1], "it is not a JSON object"),
    "list": (lambda a: json.dumps([a.issue("app_user")[1]]), "it is not a JSON object"),
    "no key": (
        lambda a: json.dumps({"certificate": a.pem}),
        "must have the strings certificate and privateKey",
    ),
    "no certificate": (
        lambda a: json.dumps({"certificate": "x", "privateKey": a.issue("app_user")[1]}),
        "certificate is not a PEM chain",
    ),
    "broken key": (with_broken_key, "privateKey is not an unencrypted PEM private key"),
    "swapped": (swapped, "it holds a private key;"),
    "key before certificate": (key_first, "certificates alone: it holds a private key, then a certificate"),
    "authority before leaf": (authority_first, "is number 2 of the chain; it must be the first"),
    "encrypted key": (encrypted, "PEM private key: it holds an encrypted private key"),
    "another key": (mismatched, "certificate and privateKey do not belong together"),
    "another role": (lambda a: a.secret("reporting"), "must be this very name, and it is 'reporting'"),
    "expired": (lambda a: a.secret("app_user", start=-9, days=-1), "the certificate expired at 20"),
    "not yet": (lambda a: a.secret("app_user", start=2), "the certificate is not valid before 20"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_identity_is_refused_without_its_key(name: str, authority: Any) -> None:
    make, message = WRONG[name]
    text = make(authority)
    with pytest.raises(IdentityError) as error:
        identity.check(text, "app_user", where="secret x")
    assert message in str(error.value)
    assert "identity of 'app_user' in secret x" in str(error.value)
    assert error.value.__cause__ is None
    for word in re.findall(r"[A-Za-z0-9+/]{20,}", text):
        assert word not in repr(error.value)


def test_no_representation_holds_the_key(authority: Any) -> None:
    checked = identity.check(authority.secret("app_user"), "app_user", where="secret x")
    body = checked.key_pem.splitlines()[1].decode()
    assert body not in repr(checked)
    assert "key" not in repr(checked)


def test_a_secret_that_may_not_be_read(environment: dict[str, str]) -> None:
    arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:absent"
    with pytest.raises(IdentityError, match=r"ResourceNotFoundException: .*; its secretReaders"):
        identity.fetch(Aws(environment), arn, "app_user")


def test_an_endpoint_that_does_not_answer() -> None:
    environment = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
    }
    arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:x"
    with pytest.raises(IdentityError, match="Could not connect to the endpoint URL"):
        identity.fetch(Aws(environment), arn, "app_user")


def test_files_are_private_whatever_the_umask(authority: Any, tmp_path: Path) -> None:
    checked = identity.check(authority.secret("app_user"), "app_user", where="secret x")
    before = os.umask(0)
    try:
        identity_files.write(tmp_path / ".pgpasswordless" / "s" / "role", checked, TRUSTED)
    finally:
        os.umask(before)
    for folder in ("", "s", "s/role"):
        assert stat.S_IMODE((tmp_path / ".pgpasswordless" / folder).stat().st_mode) == 0o700
    found = [path for path in (tmp_path / ".pgpasswordless").rglob("*") if path.is_file()]
    assert found
    assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o600}


def test_an_unchanged_identity_is_left_alone(authority: Any, tmp_path: Path) -> None:
    checked = identity.check(authority.secret("app_user"), "app_user", where="secret x")
    files = identity_files.write(tmp_path / "role", checked, TRUSTED)
    before = files.key.resolve(), files.key.stat().st_mtime_ns
    identity_files.write(tmp_path / "role", checked, TRUSTED)
    assert (files.key.resolve(), files.key.stat().st_mtime_ns) == before


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b""), lambda path: path.chmod(0o644)])
def test_a_damaged_file_is_replaced(authority: Any, tmp_path: Path, damage: Callable[[Path], Any]) -> None:
    checked = identity.check(authority.secret("app_user"), "app_user", where="secret x")
    files = identity_files.write(tmp_path / "role", checked, TRUSTED)
    good = files_in(tmp_path / "role")
    damage(files.key)
    identity_files.write(tmp_path / "role", checked, TRUSTED)
    assert files_in(tmp_path / "role") == good
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600


def test_a_crash_leaves_the_old_files_and_the_next_run_repairs(
    authority: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "role"
    first, second, third = (
        identity.check(authority.secret("app_user"), "app_user", where="secret x") for _ in range(3)
    )
    identity_files.write(place, first, TRUSTED)
    old = files_in(place)

    class Crash(BaseException):
        pass

    def crash(*_: object) -> None:
        raise Crash

    for function in ("fsync", "rename", "symlink"):
        with monkeypatch.context() as patch:
            patch.setattr(os, function, crash)
            with pytest.raises(Crash):
                identity_files.write(place, second, TRUSTED)
        assert files_in(place) == old
    identity_files.write(place, second, TRUSTED)
    assert files_in(place)["client.key"] == second.key_pem
    identity_files.write(place, third, TRUSTED)
    assert files_in(place)["client.key"] == third.key_pem
    generations = [path for path in place.iterdir() if path.is_dir() and not path.is_symlink()]
    assert len(generations) == 2
    assert not list(place.glob(".new-*"))


@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_a_directory_that_others_may_write_is_refused(authority: Any, tmp_path: Path, mode: int) -> None:
    place = tmp_path / "role"
    place.mkdir()
    place.chmod(mode)
    checked = identity.check(authority.secret("app_user"), "app_user", where="secret x")
    with pytest.raises(IdentityError, match=rf"with mode {mode:04o}.*chmod 0700"):
        identity_files.write(place, checked, TRUSTED)
    assert list(place.iterdir()) == []


def test_a_place_that_cannot_be_written(authority: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    checked = identity.check(authority.secret("app_user"), "app_user", where="secret x")
    with pytest.raises(IdentityError, match=r"cannot store the identity in .*: Not a directory"):
        identity_files.write(tmp_path / "file" / "role", checked, TRUSTED)
