"""pulumi-tls on the real engine with the stand-in: state, renewal and refusals as a user meets them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from emulator.core.provider import Provider
from emulator.core.servicer import ProviderServer
from emulator.tls.provider import TlsProvider

PROGRAM = """
    import pulumi, pulumi_tls as tls

    key = tls.PrivateKey("authority-key", algorithm="ECDSA", ecdsa_curve="P256")
    authority = tls.SelfSignedCert("authority", private_key_pem=key.private_key_pem_pkcs8,
        subject={{"common_name": "{subject}"}}, is_ca_certificate=True, set_authority_key_id=True,
        validity_period_hours=240, allowed_uses=["cert_signing", "crl_signing"])
    leaf_key = tls.PrivateKey("leaf-key", algorithm="ECDSA", ecdsa_curve="P256")
    request = tls.CertRequest("request", private_key_pem=leaf_key.private_key_pem_pkcs8,
        subject=tls.CertRequestSubjectArgs(common_name="app_user"), dns_names=["localhost"])
    leaf = tls.LocallySignedCert("leaf", cert_request_pem=request.cert_request_pem,
        ca_cert_pem=authority.cert_pem, ca_private_key_pem=key.private_key_pem_pkcs8,
        validity_period_hours=100, early_renewal_hours={early}, set_subject_key_id=True,
        allowed_uses=["digital_signature", "client_auth"])
    pulumi.export("leaf", leaf.cert_pem)
    pulumi.export("key", leaf_key.private_key_pem_pkcs8)
"""


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock(serve: Callable[[Provider], ProviderServer], stack: Any) -> Clock:
    clock = Clock()
    stack.providers["tls"] = serve(TlsProvider(clock)).port
    return clock


@pytest.mark.long
def test_certificates_from_creation_to_renewal(stack: Any, clock: Clock) -> None:
    stack.program(PROGRAM.format(subject="one", early=10))
    up = stack.up()
    assert up.status == 0, up.output
    assert up.changes == {"created": 6}
    assert "warning" not in up.output
    state = (stack.folder / "backend").rglob("*.json*")
    assert all("PRIVATE KEY" not in file.read_text() for file in state)
    assert stack.outputs()["key"].startswith("-----BEGIN PRIVATE KEY-----")
    first = stack.outputs()["leaf"]

    assert stack.up("--expect-no-changes").changes == {"unchanged": 6}

    clock.now += timedelta(hours=91)
    preview = stack.run("preview", "--diff", "--expect-no-changes")
    assert preview.status != 0
    assert "replace" in preview.output
    renewed = stack.up()
    assert renewed.changes == {"replaced": 1, "unchanged": 5}, renewed.output
    assert stack.outputs()["leaf"] != first

    stack.program(PROGRAM.format(subject="two", early=100))
    replaced = stack.up()
    assert replaced.changes == {"replaced": 2, "unchanged": 4}, replaced.output
    assert stack.up().changes == {"replaced": 1, "unchanged": 5}

    gone = stack.run("destroy", "--yes", "--skip-preview")
    assert gone.status == 0, gone.output


@pytest.mark.long
def test_refusals_name_resource_and_reason(stack: Any, clock: Clock) -> None:
    del clock
    stack.program("""
    import pulumi_tls as tls

    key = tls.PrivateKey("key", algorithm="ECDSA", ecdsa_curve="P256")
    pem = key.private_key_pem_pkcs8
    tls.SelfSignedCert("use", private_key_pem=pem, validity_period_hours=1, allowed_uses=["sign_all"])
    """)
    refused = stack.run("preview")
    assert refused.status != 0
    assert "SelfSignedCert use" in refused.output
    assert "allowedUses[0]" in refused.output
    assert "got: 'sign_all'" in refused.output
