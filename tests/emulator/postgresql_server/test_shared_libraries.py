"""Missing shared libraries are named with their packages, all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.postgresql_server import shared_libraries

LOADER = """\
\tlinux-vdso.so.1 (0x00007fff)
\tlibxml2.so.2 => not found
\tlibssl.so.3 => /lib/x86_64-linux-gnu/libssl.so.3 (0x00007f)
\tlibgssapi_krb5.so.2 => not found
"""


def test_the_loaders_answer_is_read() -> None:
    assert shared_libraries.missing_in(LOADER) == ["libxml2.so.2", "libgssapi_krb5.so.2"]


def test_a_c_library_that_is_too_old_is_noticed() -> None:
    answer = "postgres: /lib/libc.so.6: version `GLIBC_2.17' not found (required by postgres)"
    assert shared_libraries.missing_in(answer) == ["GLIBC_2.17"]


def test_one_message_names_every_library_its_package_and_the_line_that_installs_them() -> None:
    text = shared_libraries.explain(
        ["libxml2.so.2", "liblz4.so.1", "libodd.so.9", "libxml2.so.2"], Path("/pg/bin")
    )
    assert text.count("libxml2.so.2: package libxml2") == 1
    assert "libodd.so.9: package unknown" in text
    assert "apt-get install liblz4-1 libxml2\n" in text


@pytest.mark.parametrize(
    ("library", "package"),
    [
        ("libxml2.so.2", "libxml2"),
        ("libgssapi_krb5.so.2", "libgssapi-krb5-2"),
        ("liblz4.so.1", "liblz4-1"),
        ("libzstd.so.1", "libzstd1"),
        ("libssl.so.3", "libssl3"),
        ("libicuuc.so.72", "libicu72"),
        ("libreadline.so.8", "libreadline8"),
    ],
)
def test_the_libraries_that_the_wheels_need_are_known(library: str, package: str) -> None:
    assert shared_libraries.PACKAGES[library] == package


def test_programs_that_find_their_libraries_pass(postgresql_binaries) -> None:
    for major in (15, 16, 17, 18):
        shared_libraries.check(postgresql_binaries(major))


def test_a_program_without_its_library_is_an_error(tmp_path: Path, monkeypatch) -> None:
    loader = tmp_path / "ldd"
    loader.write_text("#!/bin/sh\nprintf '\\tlibzstd.so.1 => not found\\n'\n")
    loader.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(shared_libraries.MissingLibraryError, match="libzstd1"):
        shared_libraries.check(tmp_path)
