"""The private names of Pulumi's SDK on which the pack's own analyzer depends.

An update of pulumi that changes one of them fails here with the name. This module imports nothing of the
pack, so it runs even where the pack cannot be imported.
"""

from __future__ import annotations

from importlib import metadata

import pytest
from pulumi.runtime import proto, rpc
from pulumi_policy import proxy

VERSION = f"pulumi {metadata.version('pulumi')}"
# Fixed by the engine: sdk/go/common/resource/sig.
SIGNATURES = {
    "_special_sig_key": "4dabf18193072939515e22adb298388d",
    "_special_asset_sig": "c44067f5952c0a294b673a41bacd8c17",
    "_special_archive_sig": "0def7320c3a5731c473e5ecbe6d01bc7",
    "_special_secret_sig": "1b47061264138c4ac30d75fd1eb44270",
    "_special_output_value_sig": "d0e6a833031e9bbcd3f4e8bde6ca49a4",
}
UNKNOWNS = {
    "UNKNOWN_BOOLEAN_VALUE": "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
    "UNKNOWN_NUMBER_VALUE": "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
    "UNKNOWN_STRING_VALUE": "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
    "UNKNOWN_ARRAY_VALUE": "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
    "UNKNOWN_ASSET_VALUE": "030794c1-ac77-496b-92df-f27374a8bd58",
    "UNKNOWN_ARCHIVE_VALUE": "e48ece36-62e2-4504-bad9-02848725956a",
    "UNKNOWN_OBJECT_VALUE": "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
}


@pytest.mark.parametrize(("name", "expected"), SIGNATURES.items())
def test_a_signature_has_the_engines_value(name: str, expected: str) -> None:
    found = getattr(rpc, name, None)
    assert found == expected, f"the pack reads pulumi.runtime.rpc.{name}; in {VERSION} it is {found!r}"


@pytest.mark.parametrize(("name", "expected"), UNKNOWNS.items())
def test_a_mark_of_unknown_values_has_the_engines_value(name: str, expected: str) -> None:
    found = getattr(proxy, name, None)
    assert found == expected, (
        f"policy/values.py reads pulumi_policy.proxy.{name}; in {VERSION} it is {found!r}"
    )


CALLS = (
    "Analyze", "AnalyzeStack", "Remediate", "GetAnalyzerInfo", "GetPluginInfo", "Configure", "ConfigureStack",
)  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_the_protocol_has_every_call_that_the_analyzer_answers(name: str) -> None:
    assert hasattr(proto.AnalyzerServicer, name), f"policy/analyzer.py answers {name}, unknown to {VERSION}"
