"""Each environment against the public and novel controls that name a property of the gateway.

Numbers are those of the rule catalogue. What is not asserted here: P054 (a customer-managed key for disks
that hold a program and no data) and P094 (a WAF, which only a load balancer that faces the internet
wants, and none of these does).
"""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest
from cryptography import x509

from tests.recording_monitor import Recording, plain
from tests.test_program import PROJECT, ROOT, sections_of

ENVIRONMENTS = ("dev", "staging", "prod")
LOAD_BALANCER = "aws:lb/loadBalancer:LoadBalancer"
LISTENER = "aws:lb/listener:Listener"
TARGET_GROUP = "aws:lb/targetGroup:TargetGroup"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
GROUP = "aws:autoscaling/group:Group"


ALWAYS: dict[str, tuple[str, str, Any]] = {
    "P034 P051": (
        TEMPLATE,
        "metadataOptions",
        {
            "httpEndpoint": "enabled",
            "httpTokens": "required",
            "httpPutResponseHopLimit": 1,
            "instanceMetadataTags": "disabled",
        },
    ),
    "P084": (GROUP, "healthCheckType", "ELB"),
    "P089": (
        LOAD_BALANCER,
        "accessLogs",
        {"enabled": True, "bucket": "gateway-lb-logs-id", "prefix": "access"},
    ),
    "connection log": (
        LOAD_BALANCER,
        "connectionLogs",
        {"enabled": True, "bucket": "gateway-lb-logs-id", "prefix": "connection"},
    ),
    "P090": (LOAD_BALANCER, "dropInvalidHeaderFields", True),
    "P092": (LOAD_BALANCER, "desyncMitigationMode", "strictest"),
    "P095": (LOAD_BALANCER, "internal", True),
    "P097": (LISTENER, "protocol", "HTTPS"),
    "P104": (TARGET_GROUP, "protocol", "HTTPS"),
}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("control", ALWAYS)
def test_a_property_that_a_control_names(
    environment: str, control: str, programs: dict[str, Recording]
) -> None:
    token, name, value = ALWAYS[control]
    assert plain(programs[environment].one(token).inputs)[name] == value


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_load_balancer_is_kept_where_it_matters(environment: str, programs: dict[str, Recording]) -> None:
    """P091."""
    found = plain(programs[environment].one(LOAD_BALANCER).inputs)
    assert found["enableDeletionProtection"] is (environment != "dev")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_load_balancer_and_machines_are_in_several_zones(
    environment: str, programs: dict[str, Recording]
) -> None:
    """P085, P086, P093."""
    group = plain(programs[environment].one(GROUP).inputs)
    for subnets in (
        plain(programs[environment].one(LOAD_BALANCER).inputs)["subnets"],
        group["vpcZoneIdentifiers"],
    ):
        assert len(set(subnets)) >= 2
    assert group["launchTemplate"]["id"]
    assert "launchConfiguration" not in group


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_machines_have_no_public_address_and_encrypted_disks(
    environment: str, programs: dict[str, Recording]
) -> None:
    """P052, P053."""
    template = plain(programs[environment].one(TEMPLATE).inputs)
    assert [each["associatePublicIpAddress"] for each in template["networkInterfaces"]] == ["false"]
    assert [each["ebs"]["encrypted"] for each in template["blockDeviceMappings"]] == ["true"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_user_data_holds_no_secret(environment: str, programs: dict[str, Recording]) -> None:
    """P043, P044."""
    data = base64.b64decode(plain(programs[environment].one(TEMPLATE).inputs)["userData"])
    text = gzip.decompress(data).decode()
    assert "PRIVATE" not in text
    assert "x-mtls" not in text


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_what_the_listener_negotiates(environment: str, programs: dict[str, Recording]) -> None:
    """P099 to P102, and mutual TLS that forgives nothing."""
    listener = plain(programs[environment].one(LISTENER).inputs)
    assert listener["sslPolicy"] in (
        "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09",
        "ELBSecurityPolicy-TLS13-1-3-PQ-2025-09",
    )
    assert ":acm:" in listener["certificateArn"]
    assert listener["mutualAuthentication"]["mode"] == "verify"
    assert listener["mutualAuthentication"]["ignoreClientCertificateExpiry"] is False
    assert [each["type"] for each in listener["defaultActions"]] == ["forward"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_health_is_asked_by_https(environment: str, programs: dict[str, Recording]) -> None:
    """P105."""
    check = plain(programs[environment].one(TARGET_GROUP).inputs)["healthCheck"]
    assert (check["protocol"], check["path"], check["port"]) == ("HTTPS", "/healthz", "traffic-port")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_nobody_but_the_load_balancer_reaches_the_machines(
    environment: str, programs: dict[str, Recording]
) -> None:
    """N65."""
    recording = programs[environment]
    (security_group,) = plain(recording.one(TEMPLATE).inputs)["networkInterfaces"][0]["securityGroups"]
    ways_in = [
        plain(each.inputs)
        for each in recording.of_type("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
        if plain(each.inputs)["securityGroupId"] == security_group
    ]
    assert [way["referencedSecurityGroupId"] for way in ways_in] == [
        plain(recording.one(LOAD_BALANCER).inputs)["securityGroups"][0]
    ]
    assert not [key for way in ways_in for key in way if key.startswith("cidr")]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_machines_log_in_as_exactly_the_roles_of_the_clients(
    environment: str, programs: dict[str, Recording]
) -> None:
    """N46 to N48."""
    policy = json.loads(
        plain(programs[environment].one("aws:iam/rolePolicy:RolePolicy", "gateway-machines").inputs)["policy"]
    )
    connects = {
        resource.rsplit("/", 1)[1]
        for each in policy["Statement"]
        if each["Action"] == "rds-db:connect"
        for resource in each["Resource"]
    }
    clients = sections_of(environment)[f"{PROJECT}:gateway"]["clients"]
    assert connects == {client["role"] for client in clients.values()}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_alarms_reach_somebody_where_it_matters(environment: str, programs: dict[str, Recording]) -> None:
    for alarm in programs[environment].of_type("aws:cloudwatch/metricAlarm:MetricAlarm"):
        if alarm.name.startswith("gateway-"):
            assert bool(plain(alarm.inputs)["alarmActions"]) is (environment != "dev")


@pytest.mark.parametrize("environment", ["staging", "prod"])
def test_the_keys_of_client_authorities_are_not_ours_where_it_matters(
    environment: str, programs: dict[str, Recording]
) -> None:
    for each in programs[environment].registrations:
        assert not each.name.startswith(("gateway-authority", "gateway-client-")), each.urn


@pytest.mark.parametrize("environment", ["staging", "prod"])
def test_the_example_of_an_external_authority_is_one_that_gateways_take(environment: str) -> None:
    authority = sections_of(environment)[f"{PROJECT}:gateway"]["clientAuthority"]
    certificate = x509.load_pem_x509_certificate((ROOT / authority["bundle"]).read_bytes())
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign
    assert usage.crl_sign
    (file,) = authority["revocationLists"]
    revoked = x509.load_pem_x509_crl((ROOT / file).read_bytes())
    assert revoked.issuer == certificate.subject
    assert revoked.is_signature_valid(certificate.public_key())  # pyright: ignore[reportArgumentType]
    assert revoked.next_update_utc == certificate.not_valid_after_utc
