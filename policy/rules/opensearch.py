"""OpenSearch and Elasticsearch domains: TLS and encryption at rest."""

from __future__ import annotations

from policy.property_checks import must_be, must_be_true
from policy.rule import Area, Rule, Severity

OPENSEARCH = "aws:opensearch/domain:Domain"
ELASTICSEARCH = "aws:elasticsearch/domain:Domain"
_SEARCH = "https://docs.aws.amazon.com/opensearch-service/latest/developerguide"
_PLAIN = "Unencrypted traffic can be read and changed on its way."
_DISK = "Whoever gets at a disk or a snapshot reads it, and it cannot be encrypted later."


RULES = (
    Rule(
        id="PGTLS-P230",
        title="Search domains require HTTPS",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(OPENSEARCH, ELASTICSEARCH),
        checks=(must_be_true("domainEndpointOptions.enforceHttps"),),
        why=_PLAIN,
        fix="set domainEndpointOptions.enforceHttps to true",
        link=f"{_SEARCH}/infrastructure-security.html",
        references=("SH:Opensearch.8", "CKV_AWS_83"),
    ),
    Rule(
        id="PGTLS-P231",
        title="Search domains require TLS 1.2",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(OPENSEARCH, ELASTICSEARCH),
        checks=(
            must_be(
                "domainEndpointOptions.tlsSecurityPolicy",
                "Policy-Min-TLS-1-2-PFS-2023-10",
                "Policy-Min-TLS-1-2-RFC9151-FIPS-2024-08",
                "Policy-Min-TLS-1-2-2019-07",
            ),
        ),
        why="By default TLS 1.0 is allowed.",
        fix="set domainEndpointOptions.tlsSecurityPolicy to Policy-Min-TLS-1-2-PFS-2023-10",
        link=f"{_SEARCH}/infrastructure-security.html",
        references=("SH:Opensearch.8", "CKV_AWS_228"),
    ),
    Rule(
        id="PGTLS-P232",
        title="Nodes of search domains use TLS with each other",
        area=Area.TLS,
        severity=Severity.MEDIUM,
        types=(OPENSEARCH, ELASTICSEARCH),
        checks=(must_be_true("nodeToNodeEncryption.enabled"),),
        why=_PLAIN,
        fix="set nodeToNodeEncryption.enabled to true",
        link=f"{_SEARCH}/ntn.html",
        references=("SH:Opensearch.3", "CKV_AWS_6"),
    ),
    Rule(
        id="PGTLS-P233",
        title="Search domains are encrypted at rest",
        area=Area.ENCRYPTION,
        severity=Severity.HIGH,
        types=(OPENSEARCH, ELASTICSEARCH),
        checks=(must_be_true("encryptAtRest.enabled"),),
        why=_DISK,
        fix="set encryptAtRest.enabled to true",
        link=f"{_SEARCH}/encryption-at-rest.html",
        references=("SH:Opensearch.1", "CKV_AWS_5"),
    ),
)
