from __future__ import annotations

import hashlib
import json

import pulumi
import pytest
from pydantic import ValidationError

from components.connections import (
    CertificateRole,
    certificate_database,
    connections_document,
    publish_connections,
)
from pgpasswordless.connections import Connections
from tests.components.examples import OPERATOR, published_connections
from tests.recording_monitor import record

OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"


def database() -> pulumi.Output[dict]:
    return certificate_database(
        host="postgres.db.internal",
        port=5432,
        database="app",
        server_ca_pem=pulumi.Output.from_input("authority\n"),
        minimum_protocol="TLSv1.3",
        region="eu-central-1",
        log_group="/log",
        roles={
            "app_user": CertificateRole(
                database="app",
                secret_arn=pulumi.Output.from_input("arn:secret"),
                certificate_not_after="2027-02-01T10:00:00Z",
                connection_limit=20,
            )
        },
    )


def test_the_document_is_that_of_the_model_and_only_its_address_leads_to_it() -> None:
    def program() -> None:
        document = database().apply(lambda entry: connections_document("test", {"self-managed": entry}))
        published = publish_connections("connections", document, writers=[OPERATOR], tags={})
        pulumi.export("document", document)
        pulumi.export("address", published.address)

    recording = record(program)
    text = recording.has_properties(OBJECT, key="connections.json").inputs["content"]
    document = Connections.model_validate_json(text)
    assert json.loads(text) == recording.exports["document"].value
    entry = document.databases["self-managed"]
    assert entry.server_ca.sha256 == hashlib.sha256(b"authority\n").hexdigest()
    assert entry.roles["app_user"].secret_arn == "arn:secret"
    assert entry.authentication == "certificate"
    assert recording.exports["address"].value == "s3://connections-id/connections.json"
    assert not recording.of_type("aws:ssm/parameter:Parameter")


def test_an_empty_document() -> None:
    recording = record(published_connections)
    text = recording.one(OBJECT).inputs["content"]
    assert Connections.model_validate_json(text) == Connections(stack="test")


def test_what_is_no_entry_is_refused() -> None:
    with pytest.raises(ValidationError, match="host"):
        connections_document("test", {"self-managed": {"port": 5432}})
