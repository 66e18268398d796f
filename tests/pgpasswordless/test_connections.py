"""The connections document: what it accepts, and its published schema."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from pgpasswordless.connections import Connections, json_schema

PEM = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"
DOCUMENT: dict[str, Any] = {
    "schemaVersion": 1,
    "stack": "prod",
    "databases": {
        "self-managed": {
            "host": "postgres.db.internal",
            "port": 5432,
            "database": "app",
            "serverCa": {"pem": PEM, "sha256": hashlib.sha256(PEM.encode()).hexdigest()},
            "minimumProtocol": "TLSv1.3",
            "authentication": "certificate",
            "region": None,
            "resourceId": None,
            "logGroup": None,
            "roles": {
                "app_user": {
                    "database": "app",
                    "secretArn": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:x",
                    "certificateNotAfter": "2027-01-31T12:00:00Z",
                    "connectArn": None,
                    "connectionLimit": 20,
                    "maxLifetimeSeconds": 3600,
                }
            },
        }
    },
    "gateway": None,
}


def test_a_document_survives_its_json_and_fits_its_schema() -> None:
    connections = Connections.model_validate(DOCUMENT)
    assert json.loads(connections.to_json()) == DOCUMENT
    validator = jsonschema.Draft202012Validator(json_schema())
    validator.check_schema(json_schema())
    validator.validate(DOCUMENT)


def _database(document: dict[str, Any]) -> dict[str, Any]:
    return document["databases"]["self-managed"]


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "bundle": (lambda d: _database(d)["serverCa"].update(pem=PEM + "\n"), "the bundle was changed"),
    "key in the bundle": (
        lambda d: _database(d)["serverCa"].update(pem="-----BEGIN PRIVATE KEY-----"),
        "holds a private key",
    ),
    "list of hosts": (lambda d: _database(d).update(host="a,b"), "is not one host"),
    "socket": (lambda d: _database(d).update(host="/run"), "is not one host"),
    "port": (lambda d: _database(d).update(port=0), "greater than or equal to 1"),
    "protocol": (lambda d: _database(d).update(minimumProtocol="TLSv1.1"), "'TLSv1.2' or 'TLSv1.3'"),
    "no secret": (
        lambda d: _database(d)["roles"]["app_user"].update(secretArn=None),
        "needs secretArn for every role; it is missing for: app_user",
    ),
    "no connect ARN": (
        lambda d: _database(d).update(authentication="iam"),
        "needs connectArn for every role; it is missing for: app_user",
    ),
    "time without offset": (
        lambda d: _database(d)["roles"]["app_user"].update(certificateNotAfter="2027-01-31T12:00:00"),
        "is not an RFC 3339 time",
    ),
    "lifetime": (
        lambda d: _database(d)["roles"]["app_user"].update(maxLifetimeSeconds=0),
        "greater than 0",
    ),
    "unknown key": (lambda d: d.update(password="x"), "Extra inputs are not permitted"),
    "newer document": (lambda d: d.update(schemaVersion=2), "Input should be 1"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_document_that_cannot_be_right_is_refused(name: str) -> None:
    change, message = CHANGES[name]
    document = copy.deepcopy(DOCUMENT)
    change(document)
    with pytest.raises(ValidationError) as error:
        Connections.model_validate(document)
    assert message in str(error.value)
