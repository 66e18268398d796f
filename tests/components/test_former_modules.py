"""States hold pickled references to dynamic providers by the modules and names they had."""

from __future__ import annotations

import importlib

import pytest
from pulumi import dynamic


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("components.function_run", "FunctionRunProvider"),
        ("components.gateway.reports", "GatewayReportsProvider"),
        ("components.kept_image", "KeptImageProvider"),
        ("components.node_report", "NodeReportProvider"),
        ("components.revocation_list", "RevocationListProvider"),
        ("components.serial", "SerialProvider"),
    ],
)
def test_a_provider_is_found_where_a_state_remembers_it(module: str, name: str) -> None:
    provider = getattr(importlib.import_module(module), name)
    assert issubclass(provider, dynamic.ResourceProvider)
    assert isinstance(provider(), dynamic.ResourceProvider)
