"""The gateway of a running sandbox: who gets in, who is refused and by whom, and what a change does."""

from __future__ import annotations

import datetime
import http.client
import json
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from gateway.document import AllowedIdentity
from pgpasswordless.identity_files import IdentityFiles
from pgpasswordless.verify.tls import ALERT_PROTOCOL_VERSION, TLS_1_1, Alert, offer
from tests.behaviour.conftest import RunningSandbox
from tests.behaviour.gateway_clients import SERVER_ONLY, GatewayClients
from tests.behaviour.gateway_sandbox import RunningGateway

pytestmark = pytest.mark.sandbox

DAY = datetime.timedelta(days=1)
BILLING = "spiffe://sandbox.passwordless/billing"


@pytest.fixture(scope="module")
def gateway(whole_sandbox: RunningSandbox) -> RunningGateway:
    """The gateway, in front of the RDS server and beside the self-managed one."""
    return RunningGateway(sandbox=whole_sandbox)


@pytest.fixture(scope="module")
def clients(gateway: RunningGateway, tmp_path_factory: pytest.TempPathFactory) -> GatewayClients:
    """Makes certificates by the gateway's own client authority, and by strangers."""
    return GatewayClients(gateway.authority(), tmp_path_factory.mktemp("clients"))


@pytest.fixture(autouse=True)
def control(request: pytest.FixtureRequest, gateway: RunningGateway) -> None:
    """A client of the stack gets in, all the way to the database."""
    if "clients" in request.fixturenames:
        assert gateway.whoami("billing")["database"]["currentUser"] == "app_user"


def refused_in_handshake(gateway: RunningGateway, files: IdentityFiles | None, status: str) -> None:
    before = len(gateway.connection_log())
    with pytest.raises((OSError, http.client.HTTPException)) as failure:
        gateway.call_with_anything(files)
    assert isinstance(failure.value, (ssl.SSLError, ConnectionError, http.client.RemoteDisconnected))
    gateway.logged(status, before)


def test_verify_is_green_for_the_whole_drawing(gateway: RunningGateway) -> None:
    completed = gateway.sandbox.run("status")
    assert completed.returncode == 0, completed.stdout
    said = gateway.whoami("billing")
    assert (said["role"], said["identity"]) == ("app_user", {"kind": "uri", "value": BILLING})
    assert said["database"]["applicationName"] == f"pgpasswordless-{said['serial']}"[:63]
    assert said["database"]["serverVersion"].startswith("17")


def test_the_listener_accepts_what_aws_does(gateway: RunningGateway, clients: GatewayClients) -> None:
    for key in ("P-256", "P-384", "RSA-2048"):
        assert gateway.call_with_anything(clients.issue(uri=BILLING, key=key)) == 200


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "untrusted": ({"stranger": True}, "Failed:ClientCertUntrusted"),
    "expired": ({"begins": -2 * DAY, "ends": -DAY}, "Failed:ClientCertExpired"),
    "not yet valid": ({"begins": DAY, "ends": 2 * DAY}, "Failed:ClientCertNotYetValid"),
    "for servers only": ({"usages": SERVER_ONLY}, "Failed:ClientCertPurposeInvalid"),
    "RSA-1024": ({"key": "RSA-1024"}, "Failed:ClientCertTypeUnsupported"),
    "Ed25519": ({"key": "Ed25519"}, "Failed:ClientCertTypeUnsupported"),
    "chain too deep": ({"intermediates": 4}, "Failed:ClientCertMaxChainDepthExceeded"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_listener_refuses(gateway: RunningGateway, clients: GatewayClients, name: str) -> None:
    how, status = REFUSED[name]
    refused_in_handshake(gateway, clients.issue(uri=BILLING, **how), status)


def test_no_certificate_is_refused(gateway: RunningGateway, clients: GatewayClients) -> None:
    refused_in_handshake(gateway, None, "Failed:UnmappedConnectionError")


def test_tls_1_1_is_refused(gateway: RunningGateway) -> None:
    answer = offer("localhost", gateway.port, TLS_1_1, through_postgresql=False)
    assert answer == Alert(level=2, description=ALERT_PROTOCOL_VERSION)


def test_a_certificate_of_the_databases_trust_domain_is_refused(
    gateway: RunningGateway, clients: GatewayClients
) -> None:
    database = gateway.sandbox.client_files("app_user")
    files = IdentityFiles(
        root_certificate=Path(),
        certificate=database.sslcert,
        key=database.sslkey,
        key_der=Path(),
    )
    refused_in_handshake(gateway, files, "Failed:ClientCertUntrusted")


@pytest.mark.parametrize(
    "identity",
    [
        {"uri": "spiffe://sandbox.passwordless/nobody"},
        {"uri": f"{BILLING}/admin"},
        {"uri": f"https://evil.example/?x={BILLING}"},
        {"uri": BILLING.upper()},
        {"dns": "billing"},
        {"common_name": BILLING},
        {"common_name": "app_user"},
    ],
    ids=["unmapped", "longer", "contained", "upper case", "another kind", "common name", "role name"],
)
def test_an_identity_that_is_not_on_the_list_is_refused(
    gateway: RunningGateway, clients: GatewayClients, identity: dict[str, Any]
) -> None:
    answer = gateway.call(clients.issue(**identity))
    assert (answer.status, json.loads(answer.body)) == (403, {"error": "forbidden"})


def own_leaf(gateway: RunningGateway, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(gateway.files(name).certificate.read_bytes())


@pytest.mark.parametrize("original", [True, False], ids=["original names", "the secret names"])
def test_spoofed_headers_are_refused(
    gateway: RunningGateway, clients: GatewayClients, original: bool
) -> None:
    """The load balancer passes them on beside its own; nobody may be taken for somebody else."""
    victim = own_leaf(gateway, "reporting")
    secret = dict(gateway.renamed_headers(victim))
    spoofed = {"X-Amzn-Mtls-Clientcert-Leaf": next(iter(secret.values()))} if original else secret
    answer = gateway.call(gateway.files("billing"), headers=spoofed)
    assert answer.status == 401


def test_a_direct_call_without_the_suffix_is_refused(
    gateway: RunningGateway, clients: GatewayClients
) -> None:
    headers = gateway.renamed_headers(own_leaf(gateway, "billing"))
    status, _ = gateway.call_directly(headers)
    assert status == 200, "the control: who knows the suffix and reaches the instance is believed"
    for name in ("x-mtls-{}-000000000000000000000000", "x-mtls-{}", "X-Amzn-Mtls-Clientcert-{}"):
        renamed = [(name.format(header.split("-")[2]), value) for header, value in headers]
        assert gateway.call_directly(renamed)[0] == 401
    assert gateway.call_directly([])[0] == 401
    assert gateway.call_directly([], "/healthz")[0] == 200


@pytest.mark.parametrize("change", ["missing", "twice", "oversized", "re-encoded", "mismatched"])
def test_the_application_refuses_headers_that_no_load_balancer_writes(
    gateway: RunningGateway, clients: GatewayClients, change: str
) -> None:
    headers = gateway.renamed_headers(own_leaf(gateway, "billing"))
    (leaf_name, leaf), *others = headers
    wrong = {
        "missing": others,
        "twice": [*headers, headers[1]],
        "oversized": [(leaf_name, leaf + "%20" * 6000), *others],
        "re-encoded": [(leaf_name, leaf.replace("+", "%2B").replace("%0A", "%250A")), *others],
        "mismatched": [(leaf_name, gateway.renamed_headers(own_leaf(gateway, "reporting"))[0][1]), *others],
    }
    assert gateway.call_directly(headers)[0] == 200
    assert gateway.call_directly(wrong[change])[0] in (401, 431)


def test_callers_of_different_roles_never_share_a_connection(gateway: RunningGateway) -> None:
    def once(name: str) -> tuple[str, str]:
        said = gateway.whoami(name)
        return said["role"], said["database"]["currentUser"]

    names = ["billing", "reporting"] * 20
    for name in set(names):
        gateway.files(name)
    with ThreadPoolExecutor(8) as threads:
        seen = list(threads.map(once, names))
    assert set(seen) == {("app_user", "app_user"), ("reporting", "reporting")}


def test_a_revoked_certificate_and_a_removed_client_lose_access_and_nobody_else_notices(
    gateway: RunningGateway,
) -> None:
    operator = "arn:aws:iam::123456789012:user/operator"
    ledger = {"uri": "spiffe://example.org/ledger", "role": "app_user", "secretReaders": [operator]}
    victim = own_leaf(gateway, "billing")
    headers = gateway.renamed_headers(victim)
    assert gateway.call_directly(headers)[0] == 200

    def change(section: dict[str, Any]) -> None:
        section["revoked"] = [f"{victim.serial_number:x}"]
        section["clients"]["ledger"] = ledger

    def change_back(section: dict[str, Any]) -> None:
        del section["revoked"], section["clients"]["ledger"]

    with gateway.under_load("reporting") as others:
        gateway.sandbox.edit(change, section="gateway")
        gateway.sandbox.deployed()
        removed = gateway.files("ledger")
        assert gateway.call(removed).status == 200
        refused_in_handshake(gateway, gateway.files("billing"), "Failed:ClientCertCrlHit")
        # Every instance has the same list when `up` ends, should the listener's be circumvented.
        assert gateway.answers_of_all(headers) == {401}
        gateway.sandbox.edit(change_back, section="gateway")
        gateway.sandbox.deployed()
        others.wait_for_success()
    assert others.bad == []
    refused_in_handshake(gateway, removed, "Failed:ClientCertCrlHit")
    assert gateway.whoami("billing")["role"] == "app_user"


@pytest.mark.long
def test_a_document_that_was_written_past_the_stack_is_seen_and_an_older_one_refused(
    gateway: RunningGateway,
) -> None:
    def role_of_billing(role: str) -> None:
        gateway.sandbox.edit(
            lambda section: section["clients"]["billing"].update(role=role), section="gateway"
        )

    own = r"serves document \d+, as deployed"
    gateway.until_served(own)
    deployed = gateway.document
    stranger = AllowedIdentity(kind="uri", value="spiffe://sandbox.passwordless/stranger", role="app_user")

    older = gateway.write_document(deployed.model_copy(update={"serial": deployed.serial - 1}))
    gateway.until_served(f"{own}: document {deployed.serial - 1} is older than {deployed.serial}, .*")
    gateway.delete_document(older)
    gateway.until_served(own)
    opened = {"serial": 10**10, "identities": (*deployed.identities, stranger)}
    gateway.write_document(deployed.model_copy(update=opened))
    gateway.until_served(rf"i-\w+ serves document 10000000000 .*; NOT the deployed {deployed.serial}")
    assert gateway.failed_checks() == {("deployed-document", name) for name in ("billing", "reporting")}
    role_of_billing("reporting")
    refused = gateway.sandbox.up()
    assert refused.returncode == 1
    assert "gateway: somebody else wrote a newer document than" in refused.stdout
    assert "serves document 10000000000" in refused.stdout

    # What they compare with is in their memory alone.
    gateway.start_again()
    role_of_billing("app_user")
    gateway.sandbox.deployed()
    gateway.until_served(own)


def test_a_second_generation_of_the_client_authority_loses_no_request(gateway: RunningGateway) -> None:
    def generations(first: str, second: str) -> None:
        gateway.sandbox.edit(
            lambda section: section["clientAuthority"].update(
                generations=[{"name": "1", "state": first}, {"name": "2", "state": second}]
            ),
            section="gateway",
        )
        gateway.sandbox.deployed()

    before = own_leaf(gateway, "billing")
    with gateway.under_load("billing") as old:
        generations("issuing", "trusted")
        generations("retiring", "issuing")
        old.wait_for_success()
    assert old.bad == []
    gateway.forget()
    after = own_leaf(gateway, "billing")
    assert (before.issuer != after.issuer, gateway.whoami("billing")["role"]) == (True, "app_user")


@pytest.mark.parametrize("seconds", [3, pytest.param(20, marks=pytest.mark.long)])
def test_when_the_database_is_killed_callers_learn_it_and_recovery_needs_no_restart(
    gateway: RunningGateway, seconds: float
) -> None:
    instances = gateway.targets()
    with gateway.under_load("billing", clients=4) as load:
        load.wait_for_success()
        gateway.kill_database(seconds)
        load.wait_for_success()
    assert gateway.targets() == instances
    assert load.bad
    assert {problem[:3] for problem in load.bad} == {"503"}
