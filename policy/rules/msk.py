"""Kafka clusters of MSK: TLS, authentication of clients, reachability."""

from __future__ import annotations

from collections.abc import Iterator

from policy.property_checks import must_not_be_false
from policy.resources import Resource
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.values import Value

KAFKA = "aws:msk/cluster:Cluster"
_MSK = "https://docs.aws.amazon.com/msk/latest/developerguide"
_PLAIN = "Unencrypted traffic can be read and changed on its way."


def _unauthenticated(cluster: Resource) -> Iterator[Outcome]:
    given = cluster["clientAuthentication"]
    value = given.at("unauthenticated")
    if value.truth() is True:
        yield Problem(at=value, reason="expected false")
    elif not given.given:
        yield Problem(at=given, reason="expected sasl or tls; without it anybody on the network may connect")


def _public_brokers(cluster: Resource) -> Iterator[Outcome]:
    value = cluster["brokerNodeGroupInfo"].at("connectivityInfo").at("publicAccess").at("type")
    if value.text() not in ("", "DISABLED"):
        yield Problem(at=value, reason="expected DISABLED")


def _kafka_in_transit(cluster: Resource) -> Value:
    return cluster["encryptionInfo"].at("encryptionInTransit")


RULES = (
    Rule(
        id="PGTLS-P260",
        title="Kafka clusters accept clients by TLS only",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(KAFKA,),
        checks=(
            # TLS is the default.
            lambda cluster: (
                Problem(at=value, reason="expected TLS")
                for value in (_kafka_in_transit(cluster).at("clientBroker"),)
                if value.text().upper() not in ("", "TLS")
            ),
        ),
        why=_PLAIN,
        fix="set encryptionInfo.encryptionInTransit.clientBroker to TLS",
        link=f"{_MSK}/msk-encryption.html",
        references=("SH:MSK.1", "CKV_AWS_81"),
    ),
    Rule(
        id="PGTLS-P261",
        title="Kafka brokers use TLS with each other",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(KAFKA,),
        checks=(must_not_be_false("encryptionInfo.encryptionInTransit.inCluster"),),
        why=_PLAIN,
        fix="remove encryptionInfo.encryptionInTransit.inCluster; true is the default",
        link=f"{_MSK}/msk-encryption.html",
        references=("SH:MSK.1", "CKV_AWS_81"),
    ),
    Rule(
        id="PGTLS-P262",
        title="Kafka clusters authenticate their clients",
        area=Area.IDENTITY,
        severity=Severity.MEDIUM,
        types=(KAFKA,),
        checks=(_unauthenticated,),
        why="Otherwise everything on the network reads and writes every topic.",
        fix="set clientAuthentication to sasl.iam or tls, without unauthenticated",
        link=f"{_MSK}/kafka_apis_iam.html",
        references=("SH:MSK.6",),
    ),
    Rule(
        id="PGTLS-P263",
        title="Kafka brokers have no public addresses",
        area=Area.NETWORK,
        severity=Severity.HIGH,
        types=(KAFKA,),
        checks=(_public_brokers,),
        why="What does not need to be reached from the internet should not be reachable.",
        fix="set brokerNodeGroupInfo.connectivityInfo.publicAccess.type to DISABLED",
        link=f"{_MSK}/public-access.html",
        references=("SH:MSK.4",),
    ),
)
