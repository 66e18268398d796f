"""A client authority that revokes, on the real engine: stable between runs, its key never in plain text."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from emulator.core.provider import Provider
from emulator.core.servicer import ProviderServer
from emulator.tls.provider import TlsProvider
from tests.gateway.certificates import Authority, pem

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import sys

sys.path.insert(0, {root!r})

import pulumi
import settings
from components.gateway.client_authority import (
    ClientAuthority, ClientAuthorityArgs, ClientRevocation, ClientRevocationArgs
)

made = ClientAuthority(
    "clients",
    ClientAuthorityArgs(
        trust_domain="test",
        settings=settings.ClientAuthority(),
        leaves=settings.Certificates(),
    ),
)
trust = ClientRevocation(
    "clients",
    ClientRevocationArgs(
        authority=made, settings=settings.ClientAuthority(), revoked={revoked!r}, issued={issued!r}
    ),
).trust
pulumi.export("list", trust.revocation_lists["1"])
pulumi.export("authority", trust.bundle_pem)
pulumi.export("key", made.resources.authority.issuer.private_key_pem)
"""


@pytest.mark.sandbox
@pytest.mark.long
def test_a_list_changes_with_what_is_revoked_and_with_nothing_else(
    stack: Any, serve: Callable[[Provider], ProviderServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.providers["tls"] = serve(TlsProvider()).port
    # The engine runs dynamic providers in a process of their own.
    usual = stack.environment()
    monkeypatch.setattr(stack, "environment", lambda: {**usual, "PYTHONPATH": str(ROOT)})
    client = Authority.root().client(ends=datetime.now(UTC) + timedelta(days=9))
    issued = {"billing, uri spiffe://test/billing": pem(client)}
    stack.program(PROGRAM.format(root=str(ROOT), revoked=[], issued=issued))
    up = stack.up()
    assert up.status == 0, up.output
    first = stack.outputs()
    assert len(x509.load_pem_x509_crl(first["list"].encode())) == 0
    assert stack.up("--expect-no-changes").status == 0

    stack.program(PROGRAM.format(root=str(ROOT), revoked=["0A:0B"], issued=issued))
    revoked = stack.up()
    assert revoked.changes.get("updated") == 1, revoked.output
    second = stack.outputs()
    made = x509.load_pem_x509_crl(second["list"].encode())
    assert [each.serial_number for each in made] == [0xA0B]
    authority = x509.load_pem_x509_certificate(second["authority"].encode())
    assert made.is_signature_valid(authority.public_key())  # pyright: ignore[reportArgumentType]
    assert second["authority"] == first["authority"]

    stack.program(PROGRAM.format(root=str(ROOT), revoked=["0A:0B"], issued={}))
    removed = stack.up()
    assert removed.changes.get("updated") == 1, removed.output
    made = x509.load_pem_x509_crl(stack.outputs()["list"].encode())
    assert {each.serial_number for each in made} == {0xA0B, client.serial_number}
    assert stack.up("--expect-no-changes").status == 0

    written = [path.read_text() for path in (stack.folder / "backend").rglob("*.json*") if path.is_file()]
    secret_line = second["key"].splitlines()[1]
    assert written
    assert not any(secret_line in text for text in written)
