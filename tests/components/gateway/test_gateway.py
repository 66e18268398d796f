"""The gateway: one way in, with a certificate, and one way out, to RDS as a named role."""

from __future__ import annotations

import functools
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pulumi
import pytest
from cryptography import x509

from components.gateway.client_authority import ClientTrust
from components.gateway.document import document_json
from components.gateway.gateway import gateway_url
from components.gateway.header_suffixes import header_suffix
from gateway.document import GatewayDocument
from gateway.header_names import header_names
from settings import GatewayClient, Generation
from tests.components import examples
from tests.gateway.certificates import Authority
from tests.gateway.certificates import pem as certificate_pem
from tests.recording_monitor import ABSENT, Recording, is_secret, pem, plain, record, texts_outside_secrets
from tests.signed_certificates import authority_pem, revocation_list_pem

MARKER = "PRIVATE-KEY-MARKER"
LISTENER = "aws:lb/listener:Listener"
HEADER = "routingHttpRequestXAmznMtlsClientcert{}HeaderName"
RESOURCE = "arn:aws:rds-db:eu-central-1:123456789012:dbuser:db-ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def suffix_of(key: str) -> str:
    """What the recorded key of a generation leads to."""
    return header_suffix(f"{MARKER} sec1 {key}")


def recorded(**changes: Any) -> Recording:
    return record(lambda: examples.gateway(**changes), marker=MARKER) if changes else usual()


@functools.cache
def usual() -> Recording:
    return record(examples.gateway, marker=MARKER)


def test_the_only_listener_wants_a_certificate_and_never_forgives_its_end() -> None:
    recording = recorded()
    recording.has_properties(
        LISTENER,
        protocol="HTTPS",
        port=443,
        sslPolicy="ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09",
        mutualAuthentication={
            "mode": "verify",
            "trustStoreArn": "arn:aws:lb:eu-central-1:123456789012:gateway-clients",
            "ignoreClientCertificateExpiry": False,
            "advertiseTrustStoreCaNames": "on",
        },
        defaultActions=[
            {
                "type": "forward",
                "targetGroupArn": "arn:aws:lb:eu-central-1:123456789012:gateway-lb-gateway",
            }
        ],
    )
    assert len(recording.of_type("aws:lb/targetGroup:TargetGroup")) == 1
    assert not [each for each in recording.registrations if "ListenerRule" in each.type]


def test_the_headers_are_renamed_with_a_suffix_that_is_nowhere_to_be_read() -> None:
    recording = recorded()
    suffix = suffix_of("gateway-headers-1")
    listener = recording.one(LISTENER)
    names = header_names(suffix)
    for which, name in (
        ("Leaf", names.leaf),
        ("SerialNumber", names.serial_number),
        ("Issuer", names.issuer),
        ("Subject", names.subject),
        ("Validity", names.validity),
    ):
        value = listener.inputs[HEADER.format(which)]
        assert is_secret(value)
        assert plain(value) == name
    for each in recording.registrations:
        assert not [text for text in texts_outside_secrets(each.inputs) if suffix in text], each.urn
    for urn, outputs in recording.outputs.items():
        assert not [text for text in texts_outside_secrets(outputs) if suffix in text], urn


def test_gateways_accept_the_next_suffix_before_the_listener_uses_it() -> None:
    generations = [Generation(name="1", state="issuing"), Generation(name="2", state="trusted")]
    recording = recorded(header_suffixes=generations)
    first, second = suffix_of("gateway-headers-1"), suffix_of("gateway-headers-2")
    document = published(recording)
    assert document.header_suffixes == (first, second)
    assert plain(recording.one(LISTENER).inputs[HEADER.format("Leaf")]) == header_names(first).leaf
    needed = recording.one(LISTENER).request.dependencies
    assert [urn for urn in needed if urn.endswith("::gateway-document-document")]


def published(recording: Recording) -> GatewayDocument:
    item = recording.one("aws:s3/bucketObjectv2:BucketObjectv2", "gateway-document-document")
    assert is_secret(item.inputs["content"])
    return GatewayDocument.model_validate_json(plain(item.inputs["content"]))


def test_the_document_holds_the_allow_list_and_only_the_roles_in_it() -> None:
    document = published(recorded())
    assert [(each.kind, each.value, each.role) for each in document.identities] == [
        ("uri", "spiffe://test/billing", "app_user"),
        ("dns", "reports.example.org", "reporting"),
        ("commonName", "legacy", "reporting"),
    ]
    assert document.database.authentication == "iam"
    assert document.database.resource_id == "db-ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    assert document.client_authorities.count("BEGIN CERTIFICATE") == 2
    assert len(document.revocation_lists) == 2
    one = GatewayClient(uri="spiffe://test/billing", role="app_user")
    assert set(published(recorded(clients={"billing": one})).database.roles) == {"app_user"}


def test_nothing_but_the_document_s_own_writers_decides_what_machines_read() -> None:
    recording = recorded()
    item = recording.one("aws:s3/bucketObjectv2:BucketObjectv2", "gateway-document-document")
    assert (item.inputs["bucket"], item.inputs["key"]) == ("gateway-document-id", "gateway.json")
    assert not recording.of_type("aws:ssm/parameter:Parameter")
    policy = json.loads(
        plain(recording.one("aws:s3/bucketPolicy:BucketPolicy", "gateway-document-policy").inputs)["policy"]
    )
    (guard,) = (each for each in policy["Statement"] if "s3:PutObject" in each["Action"])
    assert (guard["Effect"], guard["Resource"]) == ("Deny", ["arn:aws:s3:::gateway-document-id/gateway.json"])
    assert guard["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": [examples.OPERATOR]}}


def test_the_document_carries_the_serial_of_its_content() -> None:
    recording = recorded()
    document = published(recording)
    assert document.serial == 1_796_058_502
    content = document.model_copy(update={"serial": 1}).to_json()
    asked = recording.one("pulumi-python:dynamic/passwordless-postgres:Serial", "gateway-document-serial")
    # Not secret, and the same whatever serial the document has.
    assert asked.inputs["contentSha256"] == hashlib.sha256(content.encode()).hexdigest()
    reverted = recorded(clients={"x": GatewayClient(uri="spiffe://test/x", role="app_user")})
    again = reverted.one("pulumi-python:dynamic/passwordless-postgres:Serial", "gateway-document-serial")
    assert again.inputs["contentSha256"] != asked.inputs["contentSha256"]


def test_a_document_that_contradicts_itself_is_not_made() -> None:
    recording = recorded()
    database = published(recording).database.model_dump(mode="json", by_alias=True)
    with pytest.raises(ValueError, match="identities name roles that the database does not have: nobody"):
        document_json(
            database=database,
            client_authorities=pem("CERTIFICATE", "x"),
            revocation_lists=[],
            header_suffixes=[examples.SUFFIX],
            clients=[GatewayClient(uri="spiffe://test/x", role="nobody")],
        )


def made(**changes: Any) -> GatewayDocument:
    """The document with one client, an authority and its list, and some of them changed."""
    arguments: dict[str, Any] = {
        "database": published(usual()).database.model_dump(mode="json", by_alias=True),
        "client_authorities": examples.CERTIFICATE_PEM,
        "revocation_lists": [examples.REVOCATION_PEM],
        "header_suffixes": [examples.SUFFIX],
        "clients": [GatewayClient(uri="spiffe://test/x", role="app_user")],
    }
    return GatewayDocument.model_validate_json(document_json(**{**arguments, **changes}))


STRANGER = authority_pem("stranger")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"revocation_lists": [revocation_list_pem(STRANGER)]},
            "no authority of clientAuthorities signed it",
        ),
        ({"revocation_lists": [revocation_list_pem(authority_pem("ended"))]}, "signed it"),
        ({"revocation_lists": [pem("X509 CRL", "x")]}, "cannot be read as a PEM revocation list"),
        ({"client_authorities": pem("CERTIFICATE", "x")}, "cannot be read as PEM certificates"),
    ],
)
def test_a_document_that_the_gateway_would_refuse_is_not_made(changes: dict[str, Any], said: str) -> None:
    assert made().revocation_lists
    with pytest.raises(pulumi.RunError, match="the gateway would refuse its document") as refused:
        made(**changes)
    assert said in str(refused.value)
    assert examples.SUFFIX not in str(refused.value)


def test_a_list_that_has_ended_or_is_partial_is_not_published() -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    authority = Authority.root("lists", now=now)
    trusted = {"client_authorities": certificate_pem(authority.certificate)}
    ended = authority.revocation_list(begins=now - timedelta(days=9), ends=now - timedelta(days=1))
    partial = authority.revocation_list(begins=now, ends=now + timedelta(days=9), extensions=[PARTIAL])
    for each, said in ((ended, "ended at"), (partial, "OmitExtension=true")):
        with pytest.raises(pulumi.RunError, match=said):
            made(**trusted, revocation_lists=[each])
    made(**trusted, revocation_lists=[authority.revocation_list(begins=now, ends=now + timedelta(days=9))])


PARTIAL = x509.IssuingDistributionPoint(
    full_name=[x509.UniformResourceIdentifier("http://example.org/1.crl")],
    relative_name=None,
    only_contains_user_certs=False,
    only_contains_ca_certs=False,
    only_some_reasons=None,
    indirect_crl=False,
    only_contains_attribute_certs=False,
)


def test_new_authorities_and_new_lists_are_changes_by_their_versions() -> None:
    recording = recorded()
    recording.has_properties(
        "aws:lb/trustStore:TrustStore",
        caCertificatesBundleS3Bucket="gateway-clients-id",
        caCertificatesBundleS3Key="client-authorities.pem",
        caCertificatesBundleS3ObjectVersion="version-gateway-clients-authorities",
    )
    for generation in ("1", "2"):
        recording.has_properties(
            "aws:lb/trustStoreRevocation:TrustStoreRevocation",
            f"gateway-clients-revoked-{generation}",
            revocationsS3Bucket="gateway-clients-id",
            revocationsS3Key=f"revoked/{generation}.pem",
            revocationsS3ObjectVersion=f"version-gateway-clients-revoked-{generation}",
        )
    needed = recording.one(LISTENER).request.dependencies
    assert len([urn for urn in needed if "TrustStoreRevocation::" in urn]) == 2


def test_a_trust_store_is_given_no_blank_line() -> None:
    recording = record(examples.trust_store)
    item = recording.one("aws:s3/bucketObjectv2:BucketObjectv2", "gateway-clients-authorities")
    assert item.inputs["content"] == examples.CERTIFICATE_PEM


def test_a_bundle_that_is_none_is_an_error_of_the_program() -> None:
    with pytest.raises(pulumi.RunError, match="client authorities: the PEM block 1 is 'EC PRIVATE KEY'"):
        record(lambda: examples.trust_store(bundle_pem=pem("EC PRIVATE KEY", "x")))


def test_clients_of_our_own_authority_get_a_secret_each() -> None:
    recording = recorded()
    requests = {
        each.name: plain(each.inputs)
        for each in recording.of_type("tls:index/certRequest:CertRequest")
        if each.name.startswith("gateway-client-")
    }
    assert requests["gateway-client-billing-request"]["uris"] == ["spiffe://test/billing"]
    assert "dnsNames" not in requests["gateway-client-billing-request"]
    assert requests["gateway-client-reports-2-request"]["dnsNames"] == ["reports.example.org"]
    assert "uris" not in requests["gateway-client-reports-2-request"]
    old = next(inputs for name, inputs in requests.items() if name.startswith("gateway-client-old_one"))
    assert old["subject"]["commonName"] == "legacy"
    secrets = [
        each.name
        for each in recording.of_type("aws:secretsmanager/secret:Secret")
        if each.name.startswith("gateway-client-")
    ]
    assert len(secrets) == 3
    assert "gateway-client-reports" in secrets, "a revision is a new version of the same secret"
    leaf = recording.has_properties(
        "tls:index/locallySignedCert:LocallySignedCert",
        "gateway-client-billing-certificate",
        allowedUses=["digital_signature", "client_auth"],
    )
    assert MARKER in plain(leaf.inputs)["caPrivateKeyPem"]


def test_the_lists_know_every_clients_certificate_by_name_and_identity() -> None:
    recording = recorded()
    lists = recording.of_type("pulumi-python:dynamic/passwordless-postgres:RevocationList")
    assert len(lists) == 2
    for each in lists:
        assert set(plain(each.inputs)["issued"]) == {
            "billing, uri spiffe://test/billing",
            "reports, dns reports.example.org",
            "old_one, commonName legacy",
        }
    leaf = "leaf gateway-client-billing-certificate\n"
    assert plain(lists[0].inputs)["issued"]["billing, uri spiffe://test/billing"] == leaf


def test_clients_of_an_external_authority_get_nothing_from_us() -> None:
    recording = record(examples.external_gateway, marker=MARKER)
    names = [each.name for each in recording.registrations]
    assert not [name for name in names if name.startswith("gateway-client-")]
    assert not recording.of_type("aws:acm/certificate:Certificate")
    recording.has_properties("aws:lb/loadBalancer:LoadBalancer", internal=False)
    subnets = plain(recording.one("aws:lb/loadBalancer:LoadBalancer").inputs)["subnets"]
    assert subnets == ["net-public-1-id", "net-public-2-id"]


def test_a_load_balancer_that_faces_the_internet_waits_for_the_way_in() -> None:
    def waits(recording: Recording) -> bool:
        gateway = recording.one("aws:ec2/internetGateway:InternetGateway")
        return gateway.urn in recording.one("aws:lb/loadBalancer:LoadBalancer").request.dependencies

    assert waits(record(examples.external_gateway, marker=MARKER))
    assert not waits(recorded())


def test_an_internal_load_balancer_is_in_private_subnets() -> None:
    recording = recorded()
    recording.has_properties(
        "aws:lb/loadBalancer:LoadBalancer",
        internal=True,
        subnets=["net-private-1-id", "net-private-2-id"],
        dropInvalidHeaderFields=True,
        desyncMitigationMode="strictest",
        enableDeletionProtection=True,
        accessLogs={"bucket": "gateway-lb-logs-id", "enabled": True, "prefix": "access"},
        connectionLogs={"bucket": "gateway-lb-logs-id", "enabled": True, "prefix": "connection"},
        idleTimeout=60,
        name=ABSENT,
    )


def test_logs_are_delivered_by_the_load_balancers_of_this_account_alone_and_end() -> None:
    recording = recorded()
    policy = json.loads(
        plain(recording.one("aws:s3/bucketPolicy:BucketPolicy", "gateway-lb-logs-policy").inputs)["policy"]
    )
    deliveries = [each for each in policy["Statement"] if each["Effect"] == "Allow"]
    assert [each["Resource"] for each in deliveries] == [
        f"arn:aws:s3:::gateway-lb-logs-id/{kind}/AWSLogs/123456789012/*" for kind in ("access", "connection")
    ]
    for each in deliveries:
        assert each["Principal"] == {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"}
        assert each["Action"] == "s3:PutObject"
        assert each["Condition"] == {
            "ArnLike": {
                "aws:SourceArn": "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/*"
            }
        }
    encryption = recording.one(
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        "gateway-lb-logs-encryption",
    )
    assert "AES256" in json.dumps(encryption.inputs)
    recording.has_properties("aws:s3/bucket:Bucket", "gateway-lb-logs", forceDestroy=False)
    lifecycle = recording.one("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")
    assert plain(lifecycle.inputs)["rules"][0]["expiration"] == {"days": 90}


def test_targets_are_reached_from_the_load_balancer_and_reach_the_database() -> None:
    recording = recorded()
    rules = {
        each.name.removeprefix("gateway-firewall-"): plain(each.inputs)
        for each in recording.registrations
        if "aws:vpc/securityGroup" in each.type and each.name.startswith("gateway-")
    }
    load_balancer, targets = "gateway-firewall-load-balancer-id", "gateway-firewall-targets-id"
    into_targets = [
        name
        for name, rule in rules.items()
        if rule["securityGroupId"] == targets and not name.startswith("to-")
    ]
    assert into_targets == ["from-load-balancer"]
    assert rules["from-load-balancer"]["referencedSecurityGroupId"] == load_balancer
    assert rules["from-load-balancer"]["fromPort"] == 8443
    out_of_load_balancer = [
        name
        for name, rule in rules.items()
        if rule["securityGroupId"] == load_balancer and name.startswith("to-")
    ]
    assert out_of_load_balancer == ["to-targets"]
    assert rules["to-targets"]["referencedSecurityGroupId"] == targets
    assert rules["to-database"]["referencedSecurityGroupId"] == "main-server-id"
    assert rules["database-from-targets"]["securityGroupId"] == "main-server-id"
    assert rules["database-from-targets"]["referencedSecurityGroupId"] == targets
    assert (rules["to-aws"]["fromPort"], rules["to-aws"]["toPort"]) == (443, 443)
    assert {rule["fromPort"] for name, rule in rules.items() if name.startswith("from-10-30")} == {443}


def test_the_name_leads_to_the_load_balancer_and_its_certificate_is_validated_first() -> None:
    recording = recorded()
    record_ = recording.one("aws:route53/record:Record", "gateway-host")
    assert plain(record_.inputs)["aliases"][0]["zoneId"] == "Z215JYRZR1TBD5"
    recording.has_properties(
        "aws:acm/certificate:Certificate",
        domainName="gateway.example.org",
        validationMethod="DNS",
        keyAlgorithm="EC_prime256v1",
    )
    validation = recording.one("aws:acm/certificateValidation:CertificateValidation")
    assert plain(recording.one(LISTENER).inputs)["certificateArn"] == validation.inputs["certificateArn"]
    assert any("CertificateValidation::" in urn for urn in recording.one(LISTENER).request.dependencies)


@pytest.mark.parametrize(
    ("states", "message"),
    [
        (["trusted"], "exactly one generation must be"),
        (["issuing", "trusted", "trusted"], "generations: 3; must be 1 to 2"),
    ],
)
def test_generations_of_header_suffixes_that_cannot_be_are_refused(states: list[str], message: str) -> None:
    generations = [{"name": str(number), "state": state} for number, state in enumerate(states)]
    with pytest.raises(ValueError, match=message):
        examples.header_suffixes(generations=[Generation.model_validate(each) for each in generations])


def test_an_authority_that_is_somebody_elses_may_have_no_list_yet() -> None:
    trust = ClientTrust(bundle_pem=examples.CERTIFICATE_PEM, revocation_lists={})
    recording = recorded(authority=trust)
    assert not recording.of_type("aws:lb/trustStoreRevocation:TrustStoreRevocation")
    assert published(recording).revocation_lists == ()


def test_the_port_is_in_the_address_unless_everybody_knows_it() -> None:
    assert gateway_url("gateway.example.org", 443) == "https://gateway.example.org"
    assert gateway_url("localhost", 8443) == "https://localhost:8443"


def test_alarms_watch_machines_errors_and_handshakes() -> None:
    recording = recorded(alarm_topics=["arn:aws:sns:eu-central-1:123456789012:gateways"])
    alarms = {
        plain(each.inputs)["metricName"]: plain(each.inputs)
        for each in recording.of_type("aws:cloudwatch/metricAlarm:MetricAlarm")
        if each.name.startswith("gateway-")
    }
    assert set(alarms) == {
        "ClientAuthorityLifeLeft",
        "ClientCertificateLifeLeft",
        "DocumentRefused",
        "DocumentSerial",
        "RevocationListLifeLeft",
        "ClientTLSNegotiationErrorCount",
        "HTTPCode_ELB_5XX_Count",
        "HTTPCode_Target_5XX_Count",
        "UnHealthyHostCount",
    }
    for name, each in alarms.items():
        if each["namespace"] == "AWS/ApplicationELB":
            assert each["dimensions"]["LoadBalancer"] == "app/gatewaylb/1"
        else:
            assert each["dimensions"] == {"Gateway": "/passwordless-postgres/test/gateway"}
            assert each["treatMissingData"] == "ignore", name
        assert each["alarmActions"] == ["arn:aws:sns:eu-central-1:123456789012:gateways"]
    foreign = alarms["DocumentSerial"]
    assert (foreign["comparisonOperator"], foreign["threshold"]) == ("GreaterThanThreshold", 1_796_058_502)
    ending = alarms["RevocationListLifeLeft"]
    assert (ending["comparisonOperator"], ending["threshold"]) == ("LessThanThreshold", 25)
    assert alarms["UnHealthyHostCount"]["dimensions"]["TargetGroup"] == "targetgroup/gatewaylbgateway/1"


def test_machines_may_log_in_as_the_roles_of_the_clients_and_nothing_else() -> None:
    one = GatewayClient(uri="spiffe://test/billing", role="app_user")
    policy = json.loads(
        plain(
            recorded(clients={"billing": one}).one("aws:iam/rolePolicy:RolePolicy", "gateway-machines").inputs
        )["policy"]
    )
    connects = [each for each in policy["Statement"] if each["Action"] == "rds-db:connect"]
    assert [each["Resource"] for each in connects] == [[f"{RESOURCE}/app_user"]]
    assert {each["Sid"]: each["Resource"] for each in policy["Statement"]} == {
        "ReadDocument": "arn:aws:s3:::gateway-document-id/gateway.json",
        "ReadArtifact": "arn:aws:s3:::gateway-machines-program-id/gateway.zip",
        "WriteOwnReport": "arn:aws:s3:::gateway-machines-program-id/reports/${ec2:SourceInstanceARN}",
        "Connect": [f"{RESOURCE}/app_user"],
        "WriteLog": (
            "arn:aws:logs:eu-central-1:123456789012:log-group:/passwordless-postgres/test/gateway/gateway:*"
        ),
    }
