"""The servicer under the real engine: previews, secrets, refusals and partly created resources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from emulator.core.provider import Provider
from emulator.core.request import Request
from emulator.core.resource_type import PartlyCreated, Refused, ResourceType
from emulator.core.servicer import ProviderServer

PROGRAM = """
    import pulumi

    class Thing(pulumi.CustomResource):
        arn: pulumi.Output[str]
        token: pulumi.Output[str]

        def __init__(self, name, type="demo:index/thing:Thing", opts=None, **inputs):
            super().__init__(type, name, {"arn": None, "token": None, "region": None, **inputs}, opts)

    class Provider(pulumi.ProviderResource):
        def __init__(self, name, **arguments):
            super().__init__("demo", name, arguments)

"""


class Thing(ResourceType):
    token = "demo:index/thing:Thing"
    replace_on = frozenset({"zone"})

    def __init__(self) -> None:
        self.fail_after_creation = True

    def create(self, request: Request) -> tuple[str, Mapping[str, Any]]:
        outputs = {
            **request.inputs,
            "arn": f"arn:{request.name}",
            "region": request.configuration.get("region", "default"),
        }
        if "refuse" in request.inputs and not request.preview:
            raise Refused(f"thing {request.name!r} is refused: {request.inputs['refuse']}")
        if "half" in request.inputs and not request.preview and self.fail_after_creation:
            raise PartlyCreated("made, but not finished", f"id-{request.name}", outputs)
        return f"id-{request.name}", outputs


def start(serve: Callable[[Provider], ProviderServer], stack: Any) -> Thing:
    thing = Thing()
    stack.providers["demo"] = serve(Provider("tls", [thing])).port
    return thing


def test_previews_know_ids_and_explicit_instances_their_arguments(
    serve: Callable[[Provider], ProviderServer], stack: Any
) -> None:
    start(serve, stack)
    stack.program(
        PROGRAM
        + """
    one = Thing("one", token=pulumi.Output.secret("hunter2"))
    explicit = pulumi.ResourceOptions(provider=Provider("explicit", region="mars"))
    two = Thing("two", token=one.arn, opts=explicit)
    pulumi.export("id", one.id)
    pulumi.export("arn", two.token)
    pulumi.export("token", one.token)
    pulumi.export("regions", [one.region, two.region])
    one.arn.apply(lambda arn: pulumi.log.info(f"seen in preview: {arn}"))
    """
    )
    preview = stack.run("preview")
    assert preview.status == 0, preview.output
    assert "seen in preview: arn:one" in preview.output
    up = stack.up()
    assert up.status == 0, up.output
    assert up.changes == {"created": 4}
    assert stack.outputs() == {
        "id": "id-one",
        "arn": "arn:one",
        "token": "hunter2",
        "regions": ["default", "mars"],
    }
    assert "hunter2" not in str(stack.state())
    again = stack.up("--expect-no-changes")
    assert again.changes == {"unchanged": 4}, again.output


def test_a_refusal_is_shown_without_noise(serve: Callable[[Provider], ProviderServer], stack: Any) -> None:
    start(serve, stack)
    stack.program(PROGRAM + '    Thing("no", refuse="too large")\n')
    refused = stack.up()
    assert refused.status != 0
    assert "thing 'no' is refused: too large" in refused.output
    assert "rpc error" not in refused.output


def test_what_was_partly_created_is_kept_and_finished_later(
    serve: Callable[[Provider], ProviderServer], stack: Any
) -> None:
    thing = start(serve, stack)
    stack.program(PROGRAM + '    Thing("half", half=True)\n')
    failed = stack.up()
    assert failed.status != 0
    assert "made, but not finished" in failed.output
    assert stack.state()["half"]["id"] == "id-half"
    thing.fail_after_creation = False
    finished = stack.up()
    assert finished.status == 0, finished.output
    assert "initErrors" not in stack.state()["half"]
