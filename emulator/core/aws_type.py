"""How a type of the aws stand-in is written.

A type is a subclass of `AwsType` that sets `token` and declares what the provider and AWS demand: `required`,
`defaults`, `checks` and `exactly_one` and the like are refused in a preview; `references`, `name_taken` and
`blockers` when the resource is created or deleted. What cannot be declared goes into `problems` (preview) or
`refuse` (creation). Outputs are the inputs, `output_defaults`, `arn_format` and what `computed` adds.

- A *recorded* type ends there: it exists in the registry alone.
- A type that something reads at run time has a `ResourceModel` in its service's `model.py`, with a field
  for each input that is read. The model is parsed from the inputs, saved as JSON and used by what runs, so an
  input is declared, defaulted and bounded there alone. The type overrides `provision`, `observe` and
  `dispose` (and `renew`, or sets `provision_again`) to hand it to the running service, which is
  `self.service(<its class>)`.
- The type is registered by its module's entry in `emulator/aws.py`.

Immutable are `region` and the properties in `replace_on`, which have ForceNew or RequiresReplace in
terraform-provider-aws 6, the provider that pulumi-aws 7 bridges: internal/service/<service>/<resource>.go.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from emulator.core import checks
from emulator.core.autonaming import automatic_name
from emulator.core.checks import Check, known
from emulator.core.model import ResourceModel
from emulator.core.properties import UNKNOWN, Archive, Asset
from emulator.core.registry import Record, Registry
from emulator.core.request import Request
from emulator.core.resource_type import Diff, Failure, Properties, Refused, ResourceType, State
from emulator.endpoint.aws_endpoint import AwsEndpoint
from emulator.endpoint.credentials import ACCOUNT, REGION

DEFAULTS = "__defaults"
_Service = TypeVar("_Service")


@dataclass(frozen=True, kw_only=True)
class AwsRequest(Request):
    """A request about one AWS resource, with all that is made up for it: the same for one URN and generation.

    Attributes:
        generation: How many resources the URN had before it.
        resumed: Whether a kill interrupted its creation, so that parts of it may exist.
    """

    generation: int = 0
    region: str = REGION
    resumed: bool = False

    def digest(self, purpose: str = "") -> str:
        """64 hexadecimal digits."""
        return hashlib.sha256(f"{self.urn}\0{self.generation}\0{purpose}".encode()).hexdigest()

    def ec2_id(self, prefix: str, purpose: str = "") -> str:
        """An id in EC2's form, such as `vpc-0a1b2c3d4e5f60718`."""
        return f"{prefix}-0{self.digest(purpose or prefix)[:16]}"

    def uuid(self, purpose: str) -> str:
        """A UUID."""
        return str(UUID(self.digest(purpose)[:32], version=4))

    def number(self, purpose: str, below: int) -> int:
        """A number from 0."""
        return int(self.digest(purpose), 16) % below

    def arn(self, service: str, path: Any, *, region: str | None = None) -> Any:
        """An ARN; `region` is the resource's own unless given, and empty for global services."""
        return text(
            "arn:aws:", service, ":", self.region if region is None else region, ":", ACCOUNT, ":", path
        )


def text(*parts: Any) -> Any:
    """The parts as one text, or `UNKNOWN` when one of them is."""
    return UNKNOWN if any(part is UNKNOWN for part in parts) else "".join(str(part) for part in parts)


class AwsType(ResourceType):
    """One type. Subclasses set what applies.

    Args:
        services: What brings resources to life, such as `Machines` and `LoadBalancers`. A type whose service
            is absent can only be previewed.

    Attributes:
        model: What of the inputs something reads at run time; its checks belong to the type's.
        required: Inputs that must be given.
        defaults: Inputs that the provider fills in.
        checks: What each input must be; names of nested inputs have a dot.
        exactly_one: Inputs of which one must be given, and no other.
        at_least_one: Inputs of which one must be given.
        at_most_one: Inputs that contradict each other.
        references: Inputs that name other resources (an id or a list of ids; dots as in `checks`): their
            type or types, and AWS's words for one that does not exist, with `{id}`. Checked at creation.
        id_prefix: What an id in EC2's form begins with; empty where the id is not of that form.
        id_inputs: Inputs that the id is made of, with `id_separator` between them.
        arn_format: Service and path of the output `arn`, with `{id}` in the path.
        name_taken: AWS's words for an id that another resource has already, with `{id}` and `{name}`.
        output_defaults: Outputs that AWS chooses where the input of that name is absent.
        unknown_outputs: Outputs that only a real creation can know.
        provision_again: Whether an update does what the creation did.
        name_property: Input that is named automatically, or None.
        name_maximum: Length of such a name.
        form_name: Gives such a name the form that AWS takes for this type.
        hidden: Inputs whose value the registry must not hold.
        blockers: Types that hinder deletion while one of them holds this id.
        not_deletable: AWS's words for that; `{id}` is replaced.
        taggable: Whether there are `tags` and `tagsAll`.
    """

    model: ClassVar[type[ResourceModel]] = ResourceModel
    required: ClassVar[Sequence[str]] = ()
    defaults: ClassVar[Mapping[str, Any]] = {}
    checks: ClassVar[Mapping[str, Sequence[Check]]] = {}
    exactly_one: ClassVar[Sequence[Sequence[str]]] = ()
    at_least_one: ClassVar[Sequence[Sequence[str]]] = ()
    at_most_one: ClassVar[Sequence[Sequence[str]]] = ()
    references: ClassVar[Mapping[str, tuple[str | Sequence[str], str]]] = {}
    id_prefix: ClassVar[str] = ""
    id_inputs: ClassVar[Sequence[str]] = ()
    id_separator: ClassVar[str] = ""
    arn_format: ClassVar[tuple[str, str] | None] = None
    name_taken: ClassVar[str] = ""
    output_defaults: ClassVar[Mapping[str, Any]] = {}
    unknown_outputs: ClassVar[Sequence[str]] = ()
    provision_again: ClassVar[bool] = False
    name_property: ClassVar[str | None] = None
    name_maximum: ClassVar[int] = 255
    form_name: ClassVar[staticmethod[[str], str]] = staticmethod(str)
    hidden: ClassVar[frozenset[str]] = frozenset()
    blockers: ClassVar[Sequence[str]] = ()
    not_deletable: ClassVar[str] = "DependencyViolation: resource {id} has a dependent object"
    taggable: ClassVar[bool] = True

    def __init__(self, endpoint: AwsEndpoint, registry: Registry, services: Sequence[object] = ()) -> None:
        self.endpoint = endpoint
        self.registry = registry
        self._services = services

    # What subclasses say.

    def resource_id(self, request: AwsRequest) -> Any:
        """The physical id, `UNKNOWN` while an input that it is made of is; by default the name."""
        if self.id_prefix:
            return request.ec2_id(self.id_prefix)
        if self.id_inputs:
            head, *tail = (request.inputs[name] for name in self.id_inputs)
            return text(head, *(part for value in tail for part in (self.id_separator, value)))
        return self.physical_name(request)

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """What the provider refuses in a preview beyond `required` and `checks`. Values may be `UNKNOWN`."""
        return ()

    def refuse(self, request: AwsRequest) -> None:
        """Raises what AWS refuses beyond `references`. All values are known; the registry is locked."""

    def computed(self, request: AwsRequest) -> Properties:
        """Outputs that are no inputs. Values may be `UNKNOWN`."""
        return {}

    def provision(self, request: AwsRequest) -> Properties:
        """Brings the resource about, or finishes what a kill interrupted; returns outputs to add."""
        return {}

    def renew(self, request: AwsRequest) -> Properties:
        """Changes the resource; returns outputs to add."""
        return self.provision(request) if self.provision_again else {}

    def preview_renewal(self, request: AwsRequest) -> Iterable[str]:
        """Outputs that an update changes in a way that a preview cannot know."""
        return ()

    def observe(self, request: AwsRequest) -> Properties | None:
        """Outputs as the endpoint has them now, or None when it is gone. Inputs are the recorded ones."""
        return {}

    def dispose(self, request: AwsRequest) -> None:
        """Deletes; what is gone already is no error."""

    # What the protocol asks.

    def check(self, request: Request) -> tuple[Properties, Sequence[Failure]]:
        """Completes and validates, as the bridge does."""
        filled = {**self.defaults, **request.inputs}
        filled.pop(DEFAULTS, None)
        failures = [*checks.required(self.required, filled)]
        name = self.name_property
        if name is not None and filled.get(name) is None and filled.get(f"{name}Prefix") is None:
            filled[name] = self._automatic_name(request, name)
            filled[DEFAULTS] = [name]
        if not failures:
            failures += self._unfit_inputs(filled)
        return filled, failures

    def _unfit_inputs(self, inputs: Properties) -> Iterable[Failure]:
        for names in self.exactly_one:
            yield from checks.exactly_one(names, inputs)
        for names in self.at_least_one:
            yield from checks.at_least_one(names, inputs)
        for names in self.at_most_one:
            yield from checks.at_most_one(names, inputs)
        yield from checks.failures({**self.model.checks(), **self.checks}, inputs)
        yield from self.problems(inputs)

    def _automatic_name(self, request: Request, name: str) -> str:
        if name in request.old_inputs.get(DEFAULTS, ()):
            return request.old_inputs[name]
        # The engine's seed differs from run to run; after a kill the second run must find the first one's
        # resource.
        seed = f"{request.urn}\0{self.registry.next_generation(request.urn)}".encode()
        try:
            made = automatic_name(
                request.name, seed, autonaming=request.autonaming, maximum=self.name_maximum
            )
        except ValueError as error:
            raise Refused(str(error)) from error
        return self.form_name(made)

    def diff(self, request: Request) -> Diff:
        """Compares; a replacement deletes first where the user chose the name, as the bridge does."""
        self.registry.confirm(self.token, request.id, request.urn)
        found = super().diff(request)
        replaces = {*found.replaces, *self.further_replaces(request, found.changes)}
        if "region" in found.changes:
            replaces.add("region")
        name = self.name_property
        keeps_name = (
            name is not None
            and name not in request.inputs.get(DEFAULTS, ())
            and request.inputs.get(name) == request.old_inputs.get(name)
        )
        return Diff(
            changes=found.changes,
            replaces=sorted(replaces),
            delete_before_replace=bool(replaces) and (found.delete_before_replace or keeps_name),
        )

    def further_replaces(self, request: Request, changes: Sequence[str]) -> Iterable[str]:
        """Changes that replace the resource only sometimes, or only in a part of a property."""
        return ()

    def create(self, request: Request) -> tuple[str, Properties]:
        """Creates, or takes over what the same URN had begun before a kill."""
        pending = self.registry.unconfirmed(request.urn)
        generation = self.registry.next_generation(request.urn)
        asked = self.request(request, generation, resumed=pending is not None)
        asked = replace(asked, id=self.resource_id(asked))
        if request.preview:
            outputs = {**self.outputs(asked), **dict.fromkeys(self.unknown_outputs, UNKNOWN)}
            return "" if asked.id is UNKNOWN else asked.id, outputs
        self._drop_what_differs(asked)
        record = Record(
            type=self.token,
            id=asked.id,
            urn=request.urn,
            generation=generation,
            confirmed=False,
            inputs=self._storable(request.inputs),
            outputs={},
        )
        with self.registry.lock:
            self.refuse_unknown_references(asked)
            if self.name_taken and self.taken(asked):
                raise Refused(self.name_taken.format(id=asked.id, name=self.physical_name(asked)))
            self.refuse(asked)
            self.registry.put(record)
        try:
            added = self.provision(asked)
        except Refused:
            self.registry.remove(record)
            raise
        with self.registry.lock:
            outputs = {**self.outputs(asked), **added}
            self.registry.put(replace(record, outputs=self._storable(outputs)))
        return asked.id, outputs

    def refuse_unknown_references(self, request: AwsRequest) -> None:
        """Raises what AWS refuses of `references`; `create` does so by itself."""
        for name, (token, refusal) in self.references.items():
            for named in checks.values(request.inputs, name):
                for resource_id in named if isinstance(named, list) else [named]:
                    if resource_id is not None:
                        self.existing(token, resource_id, refusal)

    def _drop_what_differs(self, request: AwsRequest) -> None:
        pending = self.registry.unconfirmed(request.urn)
        if pending is None:
            return
        wanted = self._storable(request.inputs)
        immutable = (*self.replace_on, "region")
        if pending.id != request.id or any(
            wanted.get(name) != pending.inputs.get(name) for name in immutable
        ):
            self.dispose(replace(request, id=pending.id, inputs=pending.inputs, outputs=pending.outputs))
            self.registry.remove(pending)

    def read(self, request: Request) -> State | None:
        """What exists now."""
        self.registry.confirm(self.token, request.id, request.urn)
        record = self.registry.get(self.token, request.id)
        if record is None:
            return None
        recorded = replace(request, inputs=record.inputs, outputs=record.outputs)
        found = self.observe(self.request(recorded, record.generation))
        if found is None:
            return None
        known_to_us = request if request.inputs else recorded
        return State(id=request.id, inputs=known_to_us.inputs, outputs={**known_to_us.outputs, **found})

    def update(self, request: Request) -> Properties:
        """Changes in place."""
        record = self.registry.get(self.token, request.id)
        asked = self.request(request, record.generation if record is not None else 0)
        kept = {name: value for name, value in request.outputs.items() if name not in request.old_inputs}
        outputs = {**kept, **self.outputs(asked)}
        outputs |= {name: request.outputs[name] for name in self.unknown_outputs if name in request.outputs}
        if request.preview:
            return {**outputs, **dict.fromkeys(self.preview_renewal(asked), UNKNOWN)}
        if record is None:
            raise Refused(
                f"{self.token} {request.id} does not exist; run 'pulumi refresh' to see what is left"
            )
        self.registry.confirm(self.token, request.id, request.urn)
        outputs |= self.renew(asked)
        self.registry.put(
            replace(
                record,
                urn=request.urn,
                confirmed=True,
                inputs=self._storable(request.inputs),
                outputs=self._storable(outputs),
            )
        )
        return outputs

    def delete(self, request: Request) -> None:
        """Deletes."""
        record = self.registry.get(self.token, request.id)
        if record is None:
            self.dispose(self.request(request, 0))
            return
        if self.blockers and self.registry.holding(request.id, *self.blockers) is not None:
            raise Refused(self.not_deletable.format(id=request.id))
        known_to_us = replace(
            request, inputs=request.inputs or record.inputs, outputs=request.outputs or record.outputs
        )
        self.dispose(self.request(known_to_us, record.generation))
        self.registry.remove(record)

    # What subclasses use.

    def request(self, request: Request, generation: int, *, resumed: bool = False) -> AwsRequest:
        """The request, with what AWS makes up for its resource."""
        region = given(request.inputs, "region", request.configuration.get("region") or REGION)
        return AwsRequest(**vars(request), generation=generation, region=region, resumed=resumed)

    def outputs(self, request: AwsRequest) -> dict[str, Any]:
        """Inputs, what AWS chooses, and what is computed."""
        outputs = {name: value for name, value in request.inputs.items() if name != DEFAULTS}
        outputs.setdefault("region", request.region)
        if self.name_property is not None:
            outputs[self.name_property] = self.physical_name(request)
        for name, default in self.output_defaults.items():
            if outputs.get(name) is None:
                outputs[name] = default
        if self.arn_format is not None:
            service, path = self.arn_format
            arn = request.arn(service, UNKNOWN if request.id is UNKNOWN else path.format(id=request.id))
            outputs["arn"] = arn
        if self.taggable:
            defaults = (request.configuration.get("defaultTags") or {}).get("tags") or {}
            tags = given(request.inputs, "tags", {})
            outputs["tagsAll"] = {**defaults, **tags} if known(tags) else UNKNOWN
        return {**outputs, **self.computed(request)}

    def _storable(self, values: Properties) -> dict[str, Any]:
        return {
            name: {"sha256": hashlib.sha256(str(value).encode()).hexdigest()}
            if name in self.hidden
            else _plain(value)
            for name, value in values.items()
            if name != DEFAULTS
        }

    def physical_name(self, request: AwsRequest) -> Any:
        """The name: given, or made of a given prefix."""
        name = self.name_property
        if request.inputs.get(str(name)) is not None:
            return request.inputs[str(name)]
        prefix = request.inputs[f"{name}Prefix"]
        return text(prefix, request.digest("name")[: max(self.name_maximum - len(str(prefix)), 0)][:26])

    def others(self, request: AwsRequest) -> Iterable[Record]:
        """The other resources of this type."""
        return (record for record in self.registry.of_type(self.token) if record.id != request.id)

    def running(self, kind: type[_Service]) -> _Service | None:
        """A service, or None in a provider that only previews."""
        return next((service for service in self._services if isinstance(service, kind)), None)

    def service(self, kind: type[_Service]) -> _Service:
        """A service.

        Raises:
            Refused: This provider only previews.
        """
        found = self.running(kind)
        if found is None:
            raise Refused(f"{self.token} needs a running sandbox; this provider only previews")
        return found

    def taken(self, request: AwsRequest) -> bool:
        """Whether another resource has this id, which comes from a name."""
        found = self.registry.get(self.token, request.id)
        return found is not None and (found.confirmed or found.urn != request.urn)

    def existing(self, token: str | Sequence[str], resource_id: Any, refusal: str) -> Record:
        """Another resource, by its id; several tokens where AWS has one kind of what Pulumi has several.

        Raises:
            Refused: There is none; `refusal` are AWS's words, with `{id}`.
        """
        for each in [token] if isinstance(token, str) else token:
            found = self.registry.get(each, resource_id)
            if found is not None:
                return found
        raise Refused(refusal.format(id=resource_id))


def _plain(value: Any) -> Any:
    match value:
        case Asset() | Archive():
            return {"hash": value.hash}
        case Mapping():
            return {name: _plain(item) for name, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return value


def given(inputs: Properties, name: str, default: Any) -> Any:
    """An input, or what AWS takes where it is absent. It may be `UNKNOWN`."""
    value = inputs.get(name)
    return default if value is None else value
