"""The section `gateway`: what it may hold, and each refused value with the place and the words of the message."""

# ruff: noqa: E501 - one case is one line

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import settings
from gateway.machine import APPLICATION
from settings import certificates as certificates_section
from settings import gateway as gateway_section
from settings.gateway import BUILT_IN_APPLICATION

REMOVED: Any = object()
BILLING = "gateway.clients.billing"
AUTHORITY = "gateway.clientAuthority"
READER = "arn:aws:iam::123456789012:role/billing"
CERTIFICATE = "arn:aws:acm:eu-central-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"


def good() -> dict[str, Any]:
    return {
        "network": {"create": {"zones": 2}},
        "certificates": {"administrators": ["arn:aws:iam::123456789012:user/operator"]},
        "rds": {
            "databases": {"app": {}},
            "roles": {"app_user": {"database": "app"}, "reporting": {"database": "app"}},
        },
        "gateway": {
            "domainName": "gateway.example.org",
            "hostedZoneId": "Z0123456789ABC",
            "allowedClients": {"networks": ["10.30.0.0/16"]},
            "clients": {
                "billing": {
                    "uri": "spiffe://example.org/billing",
                    "role": "app_user",
                    "secretReaders": [READER],
                }
            },
        },
    }


def external() -> dict[str, Any]:
    config = good()
    config["gateway"]["clientAuthority"] = {"source": "external", "bundle": "stacks/authorities/clients.pem"}
    del config["gateway"]["clients"]["billing"]["secretReaders"]
    return config


def changed(config: dict[str, Any], dotted: str, value: Any) -> dict[str, Any]:
    *way, last = dotted.split(".")
    where = config
    for step in way:
        where = where.setdefault(step, {})
    if value is REMOVED:
        del where[last]
    else:
        where[last] = value
    return config


def findings(config: dict[str, Any]) -> list[str]:
    with pytest.raises(settings.SettingsError) as caught:
        settings.load(config)
    return str(caught.value).splitlines()


def test_a_good_one_and_its_defaults() -> None:
    gateway = settings.load(good()).gateway
    assert gateway is not None
    assert (gateway.port, gateway.internal, gateway.deletion_protection) == (443, True, True)
    assert gateway.ssl_policy == "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"
    assert gateway.client_authority.source == "generated"
    assert gateway.clients["billing"].identities == (("uri", "spiffe://example.org/billing"),)
    assert (gateway.minimum_size, gateway.maximum_size) == (2, 4)


def test_an_external_authority_may_be_all_there_is() -> None:
    gateway = settings.load(external()).gateway
    assert gateway is not None
    assert gateway.client_authority.bundle == "stacks/authorities/clients.pem"


def test_the_built_in_application_is_the_gateways_own() -> None:
    assert BUILT_IN_APPLICATION == APPLICATION


REFUSED: list[tuple[str, Any, str, str]] = [
    ("gateway.domainName", REMOVED, "", "is required and missing"),
    ("gateway.domainName", "Gateway.example.org", "", "has upper-case letters"),
    ("gateway.hostedZoneId", REMOVED, "gateway", "has neither certificateArn nor hostedZoneId"),
    ("gateway.hostedZoneId", "/hostedzone/Z1", "", "is not the id of a hosted zone"),
    ("gateway.certificateArn", "arn:aws:iam::123456789012:server-certificate/x", "", "is not of the form arn:aws:acm:"),
    ("gateway.caBundle", "bundle.der", "", "its name must end in .pem or .crt"),
    ("gateway.port", 0, "", "allowed: a whole number from 1 to 65535"),
    ("gateway.internal", "no", "", "is not a boolean"),
    ("gateway.sslPolicy", "ELBSecurityPolicy-2016-08", "", "allowed: ELBSecurityPolicy-TLS13-1-3-2021-06"),
    ("gateway.sslPolicy", "ELBSecurityPolicy-TLS13-1-0-2021-06", "", "is not allowed"),
    ("gateway.allowedClients", {}, "", "lets nobody reach the gateway"),
    ("gateway.allowedClients.networks", ["0.0.0.0/0"], "gateway.allowedClients.networks[0]", "is the whole internet"),
    ("gateway.clients", {}, "", "is empty; give at least 1"),
    ("gateway.clients.Billing", {"uri": "spiffe://a/b", "role": "app_user"}, "", "is not a name for a client"),
    (f"{BILLING}.role", "nobody", "", "is not one of rds.roles (app_user, reporting)"),
    (f"{BILLING}.role", REMOVED, "", "is required and missing"),
    (f"{BILLING}.dns", "billing.example.org", BILLING, "has uri and dns; give exactly one of uri, dns and commonName"),
    (f"{BILLING}.uri", REMOVED, BILLING, "has no identity; give exactly one"),
    (f"{BILLING}.uri", "billing", "", "is not a URI such as spiffe://"),
    (f"{BILLING}.uri", "spiffe://user:word@example.org/x", "", "is not allowed"),
    (f"{BILLING}.revision", 0, "", "allowed: a whole number from 1"),
    ("gateway.clients.other", {"uri": "spiffe://example.org/billing", "role": "reporting"}, "gateway.clients.other.uri", "is also that of billing"),
    ("gateway.clients.ledger", {"commonName": "billing", "role": "reporting"}, "gateway.clients.ledger.commonName", "is also the common name in the certificate of billing"),
    ("gateway.clients", {"b": {"dns": "b.example.org", "role": "app_user"}, "a": {"commonName": "b", "role": "reporting"}}, "gateway.clients.a.commonName", "is also the common name in the certificate of b"),
    ("gateway.clients", {"b": {"commonName": "x y", "role": "app_user"}, "a": {"uri": "spiffe://prod-gateway/role/x%20y", "role": "reporting"}}, "gateway.clients.a.uri", "may also be the URI in the certificate of b"),
    ("gateway.clients.other", {"dns": "*.example.org", "role": "reporting"}, "gateway.clients.other.dns", "holds a wildcard"),
    ("gateway.clients.other", {"commonName": "x" * 65, "role": "reporting"}, "gateway.clients.other.commonName", "has 65 characters; a common name has 1 to 64"),
    ("gateway.revoked", [1234], "gateway.revoked[0]", "write it in quotes"),
    ("gateway.revoked", ["0x12"], "gateway.revoked[0]", "is not hexadecimal"),
    ("gateway.revoked", ["00"], "gateway.revoked[0]", "is not a serial number"),
    ("gateway.revoked", ["0a", "0a"], "gateway.revoked", "more than once"),
    ("gateway.headerSuffixes", [], "", "is empty"),
    ("gateway.headerSuffixes", [{"name": "1", "state": "trusted"}], "", "has none issuing"),
    ("gateway.headerSuffixes", [{"name": name, "state": "issuing"} for name in "ab"], "", "has 2 generations that are issuing (a, b)"),
    ("gateway.headerSuffixes", [{"name": name, "state": "trusted"} for name in "abc"], "", "has 3 entries; allowed: at most 2"),
    (f"{AUTHORITY}.generations", [{"name": "1", "state": "retiring"}], "", "has none issuing"),
    (AUTHORITY, {"crlValidityDays": 100, "crlRenewBeforeDays": 100}, f"{AUTHORITY}.crlRenewBeforeDays", "100 is not shorter than crlValidityDays (100)"),
    (AUTHORITY, {"crlValidityDays": 89, "crlRenewBeforeDays": 30}, f"{AUTHORITY}.crlValidityDays", "89 is shorter than certificates.leafValidityDays (90)"),
    (f"{AUTHORITY}.crlValidityDays", 398, "", "allowed: a whole number from 2 to 397"),
    (f"{AUTHORITY}.validityDays", 60, "", "60 is not longer than certificates.leafValidityDays (90)"),
    (f"{AUTHORITY}.bundle", "clients.pem", "", "is of an external authority, and this one is generated"),
    (f"{AUTHORITY}.revocationLists", ["revoked.pem"], "", "is of an external authority, and this one is generated"),
    (f"{AUTHORITY}.source", "elsewhere", "", "allowed: generated, external"),
    ("gateway.minimumSize", 5, "", "5 is more than maximumSize (4)"),
    ("gateway.instanceType", "db.t4g.small", "", "is not an EC2 instance type"),
    ("gateway.image", {"id": "ami-0123456789abcdef0", "revision": 2}, "", "has an id beside release or revision"),
    ("gateway.application", "shop", "", "is not of the form module:attribute"),
    ("gateway.application", "shop.web:app", "", "no applicationSource says where its modules are"),
    ("gateway.applicationSource", "../shop", "", "the built-in application runs"),
    ("gateway.applicationSource", "..", "", "is not the path of a folder"),
    (f"{BILLING}.secretReaders", ["arn:aws:iam::999999999999:role/billing"], f"{BILLING}.secretReaders[0]", "is of another account"),
    ("gateway.logRetentionDays", 8, "", "is not allowed"),
    ("gateway.alarmTopics", ["x"], "gateway.alarmTopics[0]", "is not of the form arn:aws:sns:"),
    ("gateway.healthPath", "/", "", "unknown key"),
    ("rds", REMOVED, "gateway", "has no database behind it"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("place", "value", "where", "said"), REFUSED, ids=[f"{case[0]}-{case[3][:40]}" for case in REFUSED]
)
def test_a_wrong_value_is_refused_with_its_place(place: str, value: Any, where: str, said: str) -> None:
    lines = findings(changed(good(), place, value))
    section, *rest = (where or place).split(".")
    written = ".".join([f"passwordless-postgres:{section}", *rest])
    assert any(line.startswith(f"{written}: ") and said in line for line in lines), lines


OF_OUR_OWN: list[tuple[str, Any, str]] = [
    (f"{AUTHORITY}.bundle", REMOVED, "is missing, and an external authority is known by it"),
    (f"{AUTHORITY}.generations", [{"name": "1", "state": "issuing"}], "is of a generated authority"),
    (f"{AUTHORITY}.validityDays", 100, "is of a generated authority"),
    (f"{AUTHORITY}.crlValidityDays", 100, "is of a generated authority"),
    ("gateway.revoked", ["0a0b"], "revokes what somebody else has signed"),
    (f"{BILLING}.secretReaders", [READER], "is about a certificate that we sign"),
    (f"{BILLING}.revision", 2, "is about a certificate that we sign"),
]


@pytest.mark.parametrize(("place", "value", "said"), OF_OUR_OWN, ids=[case[0] for case in OF_OUR_OWN])
def test_what_only_our_own_authority_has_is_refused_beside_an_external_one(
    place: str, value: Any, said: str
) -> None:
    lines = findings(changed(external(), place, value))
    assert len(lines) == 1
    assert said in lines[0]


def test_two_lists_with_one_name_are_refused() -> None:
    config = changed(external(), f"{AUTHORITY}.revocationLists", ["a/revoked.pem", "b/revoked.crt"])
    assert "revocationLists[1]" in findings(config)[0]


def test_a_gateway_that_faces_the_internet_needs_public_subnets() -> None:
    config = changed(good(), "gateway.internal", False)
    settings.load(config)
    config["network"] = {
        "existing": {
            "vpcId": "vpc-0123456789abcdef0",
            "privateSubnetIds": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
        }
    }
    assert "publicSubnetIds: has 0" in findings(config)[0]
    config["network"]["existing"]["publicSubnetIds"] = [
        "subnet-0123456789abcdef2",
        "subnet-0123456789abcdef3",
    ]
    settings.load(config)


def test_everything_wrong_is_told_at_once() -> None:
    config = good()
    config["gateway"] |= {"port": 0, "minimumSize": 9, "revoked": ["zz"]}
    config["gateway"]["clients"]["billing"]["role"] = "nobody"
    lines = findings(config)
    for key in ("port", "minimumSize", "revoked[0]", "clients.billing.role"):
        assert any(line.startswith(f"passwordless-postgres:gateway.{key}: ") for line in lines), key


def test_rds_needs_no_other_client_than_the_gateway() -> None:
    config = good()
    settings.load(config)
    del config["gateway"]
    assert "lets nobody reach the server" in findings(config)[0]


@given(st.integers(min_value=1, max_value=(1 << 159) - 1), st.booleans())
def test_every_serial_number_can_be_revoked_however_it_is_written(number: int, with_colons: bool) -> None:
    text = f"{number:x}"
    if with_colons:
        text = text.zfill(len(text) + len(text) % 2)
        text = ":".join(text[start : start + 2] for start in range(0, len(text), 2)).upper()
    assert gateway_section.serial_number_problems(text) == []


@given(st.text(max_size=30))
def test_checks_of_names_never_break_down(text: str) -> None:
    for check in (
        gateway_section.client_name_problems,
        gateway_section.uri_problems,
        gateway_section.dns_name_problems,
        certificates_section.common_name_problems,
        gateway_section.serial_number_problems,
    ):
        assert isinstance(check(text), list)
