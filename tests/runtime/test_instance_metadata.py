"""The instance metadata service: a session's token first, then values."""

from __future__ import annotations

import pytest

from runtime.errors import FailedError
from runtime.instance_metadata import InstanceMetadata
from runtime.signed_requests import Credentials
from tests.runtime.instance import ACCOUNT, INSTANCE, _Metadata


def test_values_are_read_in_one_session(environment: None) -> None:
    metadata = InstanceMetadata()
    assert metadata.instance_id() == INSTANCE
    assert metadata.get("local-ipv4") == "127.0.0.1"
    assert metadata.account_id() == ACCOUNT


@pytest.mark.parametrize("document", ["", "[]", "{}", "null"])
def test_an_identity_document_without_an_account_is_told(
    document: str, environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_Metadata.values, "/latest/dynamic/instance-identity/document", document)
    with pytest.raises(FailedError, match="names no account"):
        InstanceMetadata().account_id()


def test_a_value_that_is_not_there_is_named(environment: None) -> None:
    with pytest.raises(FailedError, match="/latest/meta-data/no-such-value answers 401"):
        InstanceMetadata().get("no-such-value")


def test_a_service_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9/")
    with pytest.raises(FailedError, match=r"metadata service: http://127\.0\.0\.1:9/latest/api/token: "):
        InstanceMetadata().instance_id()


def test_credentials_of_the_role_come_from_it(environment: None) -> None:
    found = Credentials.find()
    assert (found.access_key, found.token) == ("ASIAMACHINE", "machine-session-token")
    assert "machine-secret-key" not in repr(found)
