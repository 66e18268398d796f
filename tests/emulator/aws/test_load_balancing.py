"""Load balancers at the level of the protocol: what ELB and ACM refuse, and what then listens."""

from __future__ import annotations

import http.client
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest

from emulator.acm.service import HOST
from emulator.core.properties import UNKNOWN
from tests.emulator.aws.gateway_parts import (
    CERTIFICATE,
    LISTENER,
    LOAD_BALANCER,
    POLICY,
    PREFIX,
    REVOCATION,
    TARGET_GROUP,
    TRUST_STORE,
    VALIDATION,
    ClientAuthority,
    Parts,
    pem,
)
from tests.emulator.rds.conftest import free_port

LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
ARN = "arn:aws:elasticloadbalancing:eu-central-1:123456789012"
ACTION = [{"type": "forward", "targetGroupArn": f"{ARN}:targetgroup/gateway/0123456789abcdef"}]
LISTENS = {
    "loadBalancerArn": f"{ARN}:loadbalancer/app/front/0123456789abcdef",
    "port": 443,
    "protocol": "HTTPS",
    "sslPolicy": POLICY,
    "certificateArn": "arn:aws:acm:eu-central-1:123456789012:certificate/1",
    "defaultActions": ACTION,
}
VERIFIES = {"mode": "verify", "trustStoreArn": f"{ARN}:truststore/clients/0123456789abcdef"}


@pytest.fixture
def parts(engine) -> Parts:
    return Parts(engine)


def status(folder: Path, port: int, identity: str | None) -> int:
    """What a client gets; an SSLError when it is refused in the handshake."""
    context = ssl.create_default_context(cafile=folder / "public-ca-bundle.pem")
    if identity is not None:
        (folder / "client.pem").write_text(identity)
        context.load_cert_chain(folder / "client.pem")
    connection = http.client.HTTPSConnection(HOST, port, timeout=10, context=context)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("token", "inputs", "prop", "words"),
    [
        (LISTENER, {**LISTENS, "certificateArn": None}, "certificateArn", "required when protocol"),
        (LISTENER, {**LISTENS, "sslPolicy": "ELBSecurityPolicy-Best"}, "sslPolicy", "SSLPolicyNotFound"),
        (LISTENER, {**LISTENS, "protocol": "HTTP"}, "protocol", "no stand-in"),
        (
            LISTENER,
            {**LISTENS, "mutualAuthentication": {"mode": "verify"}},
            "mutualAuthentication",
            "trust_store_arn is required",
        ),
        (
            LISTENER,
            {**LISTENS, "mutualAuthentication": {**VERIFIES, "mode": "passthrough"}},
            "mutualAuthentication",
            "in mode verify only",
        ),
        (LISTENER, {**LISTENS, f"{PREFIX}LeafHeaderName": "x" * 41}, f"{PREFIX}LeafHeaderName", "1 to 40"),
        *(
            (LISTENER, {**LISTENS, f"{PREFIX}LeafHeaderName": name}, f"{PREFIX}LeafHeaderName", "1 to 40")
            for name in ("", "x:y", "x y", "x\r\ny")
        ),
        (
            LISTENER,
            {**LISTENS, f"{PREFIX}IssuerHeaderName": "X-A", f"{PREFIX}LeafHeaderName": "x-a"},
            f"{PREFIX}LeafHeaderName",
            "the same header name",
        ),
        (LISTENER, {**LISTENS, "defaultActions": ACTION * 2}, "defaultActions", "exactly one"),
        (LISTENER, {**LISTENS, "defaultActions": [{"type": "redirect"}]}, "defaultActions", "has forward"),
        (
            LISTENER,
            {**LISTENS, "defaultActions": [{"type": "forward", "forward": {"targetGroups": [{}, {}]}}]},
            "defaultActions",
            "2 target groups",
        ),
        (LOAD_BALANCER, {"name": "x" * 33, "subnets": ["subnet-1"]}, "name", "longer than 32"),
        (LOAD_BALANCER, {"name": "internal-x", "subnets": ["subnet-1"]}, "name", "cannot begin with"),
        (LOAD_BALANCER, {"name": "a-", "subnets": ["subnet-1"]}, "name", "end with a hyphen"),
        (LOAD_BALANCER, {"subnets": ["s"], "desyncMitigationMode": "off"}, "desyncMitigationMode", "one of"),
        (LOAD_BALANCER, {"subnets": ["s"], "loadBalancerType": "network"}, "loadBalancerType", "no stand-in"),
        (LOAD_BALANCER, {}, "subnets", "exactly one of"),
        (TRUST_STORE, {"name": "-a", "caCertificatesBundleS3Bucket": "b", "caCertificatesBundleS3Key": "k"},
         "name", "begin with a hyphen"),
        (TARGET_GROUP, {"port": 8443, "protocol": "HTTPS", "vpcId": "v",
                        "healthCheck": {"interval": 5, "timeout": 5}}, "healthCheck", "must be smaller"),
        (TARGET_GROUP, {"port": 8443, "protocol": "HTTPS", "vpcId": "v", "healthCheck": {"matcher": "200-"}},
         "healthCheck", "matcher"),
        (TARGET_GROUP, {"port": 8443, "protocol": "HTTPS"}, "vpcId", "should be set"),
        (LIFECYCLE, {"bucket": "b", "rules": [{"id": "end", "status": "Enabled"}]}, "rules", "At least one"),
        (LIFECYCLE, {"bucket": "b", "rules": [{"status": "On", "expiration": {"days": 1}}]}, "rules",
         "to be one of"),
        (LIFECYCLE, {"bucket": "b", "rules": [{"status": "Enabled", "expiration": {"days": 0}}]}, "rules",
         "at least (1)"),
        (CERTIFICATE, {"domainName": "a b", "validationMethod": "DNS"}, "domainName", "not a domain name"),
        (CERTIFICATE, {"domainName": "localhost"}, "validationMethod", "required"),
    ],
)  # fmt: skip
def test_a_preview_refuses_what_does_not_fit(engine, token, inputs, prop, words):
    _, failures = engine.check(token, "thing", inputs)
    assert words in failures[prop]


def test_a_preview_does_not_tell_a_header_name_that_it_refuses(engine):
    _, failures = engine.check(LISTENER, "thing", {**LISTENS, f"{PREFIX}LeafHeaderName": "secret:name"})
    assert "secret" not in failures[f"{PREFIX}LeafHeaderName"]


def test_a_header_name_of_40_characters_is_taken(engine):
    _, failures = engine.check(LISTENER, "thing", {**LISTENS, f"{PREFIX}LeafHeaderName": "x" * 40})
    assert not failures


@pytest.mark.parametrize("name", ["a", "A-1", "x" * 32])
def test_names_that_elb_takes_are_taken(engine, name):
    _, failures = engine.check(LOAD_BALANCER, "thing", {"name": name, "subnets": ["subnet-1"]})
    assert not failures


def test_a_preview_knows_arns_and_the_records_that_validate(engine):
    inputs = {"domainName": "localhost", "validationMethod": "DNS"}
    previewed, before, _ = engine.create(CERTIFICATE, "server", inputs, preview=True)
    made, after, _ = engine.create(CERTIFICATE, "server", inputs)
    assert previewed == made
    assert before["domainValidationOptions"] == after["domainValidationOptions"]
    balancer, outputs, _ = engine.create(
        LOAD_BALANCER, "front", {"subnets": [UNKNOWN, UNKNOWN]}, preview=True
    )
    assert balancer.startswith(f"{ARN}:loadbalancer/app/front-")
    assert outputs["dnsName"] == "localhost"
    assert outputs["arnSuffix"].startswith("app/front-")


def test_a_wildcard_is_validated_by_the_record_of_its_domain(engine):
    inputs = {"domainName": "a.test", "subjectAlternativeNames": ["*.a.test"], "validationMethod": "DNS"}
    _, outputs, _ = engine.create(CERTIFICATE, "server", inputs)
    one, other = outputs["domainValidationOptions"]
    assert one["resourceRecordName"] == other["resourceRecordName"]
    assert one["resourceRecordValue"] == other["resourceRecordValue"]


def test_a_certificate_is_issued_only_once_its_record_is_in_the_zone(engine, parts):
    arn, outputs = parts.requested()
    refusal = engine.refused(lambda: engine.create(VALIDATION, "server", {"certificateArn": arn}))
    assert "PENDING_VALIDATION" in refusal
    assert outputs["domainValidationOptions"][0]["resourceRecordValue"] in refusal
    parts.certificate()
    assert HOST in engine.certificates.issued(arn).leaf.subject.rfc4514_string()


def test_a_load_balancer_needs_two_zones_and_a_log_bucket_that_it_may_write_to(engine, parts):
    _, subnets = parts.network()
    assert "At least two subnets" in engine.refused(lambda: parts.load_balancer(subnets[:1]))
    assert "multiple subnets in the same" in engine.refused(lambda: parts.load_balancer([subnets[0]] * 2))
    bucket = parts.bucket("mute")
    logs = {"accessLogs": {"enabled": True, "bucket": bucket}}
    assert "Access Denied for bucket" in engine.refused(lambda: parts.load_balancer(subnets, **logs))
    assert parts.load_balancer(subnets, connectionLogs={"enabled": True, "bucket": parts.log_bucket()})


def test_a_client_of_the_trust_store_comes_in_and_nobody_else_does(engine, parts):
    port = free_port()
    engine.create(LISTENER, "https", parts.listener(port))
    # 503: there is no target yet; the handshake is what counts.
    assert status(engine.folder, port, parts.authority.client()) == 503
    with pytest.raises((ssl.SSLError, ConnectionError)):
        status(engine.folder, port, None)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        status(engine.folder, port, ClientAuthority("others").client())


def test_a_listener_comes_back_after_a_restart(engine, parts):
    port = free_port()
    engine.create(LISTENER, "https", parts.listener(port))
    engine.restart()
    assert status(engine.folder, port, parts.authority.client()) == 503


def test_a_revoked_certificate_is_refused_and_the_others_are_not(engine, parts):
    port = free_port()
    inputs = parts.listener(port)
    engine.create(LISTENER, "https", inputs)
    revoked, other = parts.authority.client(serial=7), parts.authority.client(serial=8)
    assert status(engine.folder, port, revoked) == 503
    engine.create(REVOCATION, "crl", revocation(parts, inputs, parts.authority.revocations(7)))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        status(engine.folder, port, revoked)
    assert status(engine.folder, port, other) == 503


def revocation(parts: Parts, listens: dict[str, Any], content: str, name: str = "crl.pem") -> dict[str, Any]:
    bucket = next(record.id for record in parts.engine.provider.registry.of_type("aws:s3/bucket:Bucket"))
    return {
        "revocationsS3Bucket": bucket,
        "revocationsS3Key": name,
        "revocationsS3ObjectVersion": parts.object(bucket, name, content),
        "trustStoreArn": listens["mutualAuthentication"]["trustStoreArn"],
    }


def test_ids_of_revocation_lists_increase_and_are_never_used_again(engine, parts):
    inputs = parts.listener(free_port())
    arn = inputs["mutualAuthentication"]["trustStoreArn"]
    found = []
    for name in ("one", "two"):
        given = revocation(parts, inputs, parts.authority.revocations(), f"{name}.pem")
        made, outputs, checked = engine.create(REVOCATION, name, given)
        found.append(outputs["revocationId"])
        assert made == f"{arn},{outputs['revocationId']}"
        engine.diff(REVOCATION, name, made, checked, checked)
        engine.delete(REVOCATION, name, made, checked, outputs)
    assert found == [1, 2]


def test_a_revocation_list_that_is_no_pem_or_of_another_authority_is_refused(engine, parts):
    inputs = parts.listener(free_port())
    for name, content in (("text.pem", "no list"), ("other.pem", ClientAuthority().revocations(1))):
        given = revocation(parts, inputs, content, name)
        refusal = engine.refused(lambda given=given: engine.create(REVOCATION, "crl", given))
        assert "InvalidRevocationContent" in refusal


def test_a_bundle_with_blank_lines_is_refused_and_leaves_no_trust_store(engine, parts):
    content = f"{pem(parts.authority.certificate)}\n\n{pem(ClientAuthority().certificate)}"
    assert "InvalidCaCertificatesBundle" in engine.refused(lambda: parts.trust_store(content))
    assert not engine.provider.registry.of_type(TRUST_STORE)


def test_another_bundle_holds_for_new_connections(engine, parts):
    port = free_port()
    inputs = parts.listener(port)
    engine.create(LISTENER, "https", inputs)
    arn = inputs["mutualAuthentication"]["trustStoreArn"]
    record = engine.provider.registry.get(TRUST_STORE, arn)
    successor = ClientAuthority("successor")
    bucket = record.inputs["caCertificatesBundleS3Bucket"]
    version = parts.object(bucket, "both.pem", pem(parts.authority.certificate) + pem(successor.certificate))
    changed = {
        **record.inputs,
        "caCertificatesBundleS3Key": "both.pem",
        "caCertificatesBundleS3ObjectVersion": version,
    }
    assert not engine.diff(TRUST_STORE, "clients", arn, dict(record.inputs), changed).replaces
    engine.update(TRUST_STORE, "clients", arn, record.inputs, record.outputs, changed)
    assert status(engine.folder, port, successor.client()) == 503
    assert status(engine.folder, port, parts.authority.client()) == 503


def test_what_a_listener_uses_cannot_be_deleted(engine, parts):
    inputs = parts.listener(free_port())
    engine.create(LISTENER, "https", inputs)
    for token, resource_id, words in (
        (TRUST_STORE, inputs["mutualAuthentication"]["trustStoreArn"], "TrustStoreInUse"),
        (TARGET_GROUP, inputs["defaultActions"][0]["targetGroupArn"], "ResourceInUse"),
        (CERTIFICATE, inputs["certificateArn"], "ResourceInUseException"),
    ):
        assert words in engine.refused(
            lambda token=token, resource_id=resource_id: engine.delete(token, "x", resource_id, {}, {})
        )


def test_a_protected_load_balancer_stays_and_another_one_goes_with_its_listeners(engine, parts):
    port = free_port()
    inputs = parts.listener(port)
    engine.create(LISTENER, "https", inputs)
    arn = inputs["loadBalancerArn"]
    record = engine.provider.registry.get(LOAD_BALANCER, arn)
    protected = {**record.inputs, "enableDeletionProtection": True}
    outputs = engine.update(LOAD_BALANCER, "front", arn, record.inputs, record.outputs, protected)
    refusal = engine.refused(lambda: engine.delete(LOAD_BALANCER, "front", arn, protected, outputs))
    assert "OperationNotPermitted" in refusal
    outputs = engine.update(LOAD_BALANCER, "front", arn, protected, outputs, record.inputs)
    engine.delete(LOAD_BALANCER, "front", arn, record.inputs, outputs)
    with pytest.raises(ConnectionRefusedError):
        status(engine.folder, port, None)


def test_a_load_balancer_has_two_listeners_that_verify_and_no_third(engine, parts):
    first = parts.listener(free_port())
    engine.create(LISTENER, "one", first)
    engine.create(LISTENER, "two", {**first, "port": free_port()})
    third = {**first, "port": free_port()}
    assert "TooManyListeners" in engine.refused(lambda: engine.create(LISTENER, "three", third))
    assert engine.create(LISTENER, "three", {**third, "mutualAuthentication": {"mode": "passthrough"}})


def test_a_port_that_is_taken_is_refused_by_name(engine, parts):
    port = free_port()
    inputs = parts.listener(port)
    engine.create(LISTENER, "one", inputs)
    assert "DuplicateListener" in engine.refused(lambda: engine.create(LISTENER, "two", inputs))
    other = {**inputs, "port": engine.server.port}
    assert str(engine.server.port) in engine.refused(lambda: engine.create(LISTENER, "three", other))


def test_a_certificate_that_was_never_issued_is_refused(engine, parts):
    vpc, subnets = parts.network()
    inputs = {
        **LISTENS,
        "port": free_port(),
        "loadBalancerArn": parts.load_balancer(subnets),
        "certificateArn": parts.requested()[0],
        "defaultActions": [{"type": "forward", "targetGroupArn": parts.target_group(vpc)}],
    }
    assert "UnsupportedCertificate" in engine.refused(lambda: engine.create(LISTENER, "https", inputs))


def test_header_names_are_in_no_record_of_the_registry(engine, parts):
    made, *_ = engine.create(LISTENER, "https", parts.listener(free_port()))
    record = engine.provider.registry.get(LISTENER, made)
    assert "0123456789abcdef01234567" not in f"{record.inputs}{record.outputs}"
    (kept,) = (engine.folder / "load-balancing" / "listeners").glob("*.json")
    assert kept.stat().st_mode & 0o777 == 0o600


def test_the_connection_log_says_why_a_client_was_refused(engine, parts):
    port = free_port()
    engine.create(LISTENER, "https", parts.listener(port))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        status(engine.folder, port, ClientAuthority("others").client())
    # The client may have its alert before the line is written.
    written: list[str] = []
    for _ in range(200):
        written = [log.read_text() for log in engine.folder.glob("load-balancing/logs/*/connection.log")]
        if any("ClientCertUntrusted" in text for text in written):
            return
        threading.Event().wait(0.05)
    pytest.fail(f"the reason was not logged within 10 s: {written}")
