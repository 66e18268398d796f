"""What all types of the aws stand-in have in common.

A *recorded* type exists in the registry alone; a type that something reads at run time overrides `provision`,
`renew`, `observe` and `dispose` to keep the endpoint in step.
Immutable properties (`replace_on`) are those with ForceNew or RequiresReplace in terraform-provider-aws 6,
the provider that pulumi-aws 7 bridges: internal/service/<service>/<resource>.go.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from emulator.acm.certificates import Certificates
from emulator.autoscaling.groups import Groups
from emulator.core.autonaming import automatic_name
from emulator.core.credentials import ACCOUNT, REGION
from emulator.core.endpoint import AwsEndpoint
from emulator.core.properties import UNKNOWN, Archive, Asset, contains_unknown
from emulator.core.registry import Record, Registry
from emulator.core.resource_type import Call, Diff, Failure, Properties, Refused, ResourceType, State
from emulator.ec2.machines import Machines
from emulator.elb.service import LoadBalancers
from emulator.lambda_.functions import Functions
from emulator.rds.databases import Databases

DEFAULTS = "__defaults"


@dataclass(frozen=True)
class Surroundings:
    """What types act on."""

    endpoint: AwsEndpoint
    machines: Machines
    registry: Registry
    databases: Databases | None = None
    functions: Functions | None = None
    certificates: Certificates | None = None
    load_balancers: LoadBalancers | None = None
    groups: Groups | None = None


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One resource to be, with everything that is made up for it: the same for the same URN and generation.

    Attributes:
        call: The call it is for.
        generation: How many resources the URN had before it.
        region: Where it is.
        resumed: Whether a kill interrupted its creation, so that parts may be there.
    """

    call: Call
    generation: int
    region: str
    resumed: bool = False

    def digest(self, purpose: str = "") -> str:
        """64 hexadecimal digits."""
        return hashlib.sha256(f"{self.call.urn}\0{self.generation}\0{purpose}".encode()).hexdigest()

    def id(self, prefix: str, purpose: str = "") -> str:
        """An id in EC2's form, such as `vpc-0a1b2c3d4e5f60718`."""
        return f"{prefix}-0{self.digest(purpose or prefix)[:16]}"

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

    Attributes:
        required: Inputs that must be given.
        defaults: Inputs that the provider fills in.
        name_property: Input that is named automatically, or None.
        name_maximum: Length of such a name.
        hidden: Inputs whose value the registry must not hold.
        blockers: Types that hinder deletion while one of them holds this id.
        not_deletable: AWS's words for that; `{id}` is replaced.
        taggable: Whether there are `tags` and `tagsAll`.
    """

    required: ClassVar[Sequence[str]] = ()
    defaults: ClassVar[Mapping[str, Any]] = {}
    name_property: ClassVar[str | None] = None
    name_maximum: ClassVar[int] = 255
    hidden: ClassVar[frozenset[str]] = frozenset()
    blockers: ClassVar[Sequence[str]] = ()
    not_deletable: ClassVar[str] = "DependencyViolation: resource {id} has a dependent object"
    taggable: ClassVar[bool] = True

    def __init__(self, surroundings: Surroundings) -> None:
        """See the class."""
        self.endpoint = surroundings.endpoint
        self.machines = surroundings.machines
        self.registry = surroundings.registry
        self.functions = surroundings.functions
        self.databases = surroundings.databases
        self.certificates = surroundings.certificates
        self.load_balancers = surroundings.load_balancers
        self.groups = surroundings.groups

    # What subclasses say.

    def resource_id(self, resource: Resource, inputs: Properties) -> Any:
        """The physical id, `UNKNOWN` while an input that it is made of is."""
        raise NotImplementedError

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """What the provider refuses in a preview already. Values may be `UNKNOWN`."""
        del inputs
        return ()

    def refuse(self, resource: Resource, resource_id: str, inputs: Properties) -> None:
        """Raises what AWS refuses. All values are known; the registry is locked."""

    def computed(self, resource: Resource, resource_id: Any, inputs: Properties) -> Properties:
        """Outputs that are no inputs. Values may be `UNKNOWN`."""
        del resource, resource_id, inputs
        return {}

    def provision(self, resource: Resource, resource_id: str, inputs: Properties) -> Properties:
        """Brings the resource about, or finishes what a kill interrupted; returns outputs to add."""
        del resource, resource_id, inputs
        return {}

    def renew(
        self,
        resource: Resource,
        resource_id: str,
        old_inputs: Properties,
        inputs: Properties,
        outputs: Properties,
    ) -> Properties:
        """Changes the resource; returns outputs to add."""
        del resource, resource_id, old_inputs, inputs, outputs
        return {}

    def preview_renewal(self, old_inputs: Properties, inputs: Properties) -> Iterable[str]:
        """Outputs that an update changes in a way that a preview cannot know."""
        del old_inputs, inputs
        return ()

    def observe(self, resource_id: str, record: Record) -> Properties | None:
        """Outputs as the endpoint has them now, or None when it has no such resource."""
        del resource_id, record
        return {}

    def dispose(self, resource_id: str, inputs: Properties, outputs: Properties) -> None:
        """Deletes; what is gone already is no error."""

    # What the protocol asks.

    def check(self, call: Call, inputs: Properties, olds: Properties) -> tuple[Properties, Sequence[Failure]]:
        """Completes and validates, as the bridge does."""
        filled = {**{name: value for name, value in self.defaults.items() if name not in inputs}, **inputs}
        filled.pop(DEFAULTS, None)
        failures = [
            Failure(
                name,
                f'Missing required argument. The argument "{name}" is required, but no definition was found.',
            )
            for name in self.required
            if filled.get(name) is None
        ]
        name = self.name_property
        if name is not None and filled.get(name) is None and filled.get(f"{name}Prefix") is None:
            filled[name] = self._automatic_name(call, olds, name)
            filled[DEFAULTS] = [name]
        if not failures:
            failures += self.problems(filled)
        return filled, failures

    def _automatic_name(self, call: Call, olds: Properties, name: str) -> str:
        if name in olds.get(DEFAULTS, ()):
            return olds[name]
        # The engine's seed differs from run to run; after a kill the second run must find the first one's
        # resource.
        seed = f"{call.urn}\0{self.registry.next_generation(call.urn)}".encode()
        try:
            return self.form_name(
                automatic_name(call.name, seed, autonaming=call.autonaming, maximum=self.name_maximum)
            )
        except ValueError as error:
            raise Refused(str(error)) from error

    def form_name(self, name: str) -> str:
        """An automatic name in the form that AWS takes for this type."""
        return name

    def diff(
        self,
        call: Call,
        resource_id: str,
        old_inputs: Properties,
        old_outputs: Properties,
        inputs: Properties,
    ) -> Diff:
        """Compares; a replacement deletes first where the user chose the name, as the bridge does."""
        self.registry.confirm(self.token, resource_id, call.urn)
        found = super().diff(call, resource_id, old_inputs, old_outputs, inputs)
        replaces = [*found.replaces, *self.further_replaces(old_inputs, inputs, found.changes)]
        name = self.name_property
        keeps_name = (
            name is not None
            and name not in inputs.get(DEFAULTS, ())
            and inputs.get(name) == old_inputs.get(name)
        )
        return Diff(
            changes=found.changes,
            replaces=sorted(set(replaces)),
            delete_before_replace=bool(replaces) and (found.delete_before_replace or keeps_name),
        )

    def further_replaces(self, old: Properties, new: Properties, changes: Sequence[str]) -> Iterable[str]:
        """Changes that replace the resource only sometimes, or only in a part of a property."""
        del old, new, changes
        return ()

    def create(self, call: Call, inputs: Properties) -> tuple[str, Properties]:
        """Creates, or takes over what the same URN had begun before a kill."""
        pending = self.registry.unconfirmed(call.urn)
        resource = self._resource(
            call, inputs, self.registry.next_generation(call.urn), resumed=pending is not None
        )
        resource_id = self.resource_id(resource, inputs)
        if call.preview:
            outputs = {**self._outputs(resource, resource_id, inputs), **self.unknown_outputs(inputs)}
            return "" if resource_id is UNKNOWN else resource_id, outputs
        self._drop_what_differs(call, resource_id, inputs)
        record = Record(
            type=self.token,
            id=resource_id,
            urn=call.urn,
            generation=resource.generation,
            confirmed=False,
            inputs=self._storable(inputs),
            outputs={},
        )
        with self.registry.lock:
            self.refuse(resource, resource_id, inputs)
            self.registry.put(record)
        try:
            added = self.provision(resource, resource_id, inputs)
        except Refused:
            self.registry.remove(record)
            raise
        with self.registry.lock:
            outputs = {**self._outputs(resource, resource_id, inputs), **added}
            self.registry.put(_with_outputs(record, self._storable(outputs)))
        return resource_id, outputs

    def unknown_outputs(self, inputs: Properties) -> Properties:
        """Outputs that only a real creation can know, as `UNKNOWN`."""
        del inputs
        return {}

    def _drop_what_differs(self, call: Call, resource_id: str, inputs: Properties) -> None:
        pending = self.registry.unconfirmed(call.urn)
        if pending is None:
            return
        wanted = self._storable(inputs)
        immutable = self.replace_on | {"region"}
        if pending.id != resource_id or any(
            wanted.get(name) != pending.inputs.get(name) for name in immutable
        ):
            self.dispose(pending.id, pending.inputs, pending.outputs)
            self.registry.remove(pending)

    def read(self, call: Call, resource_id: str, inputs: Properties, outputs: Properties) -> State | None:
        """What exists now."""
        self.registry.confirm(self.token, resource_id, call.urn)
        record = self.registry.get(self.token, resource_id)
        found = self.observe(resource_id, record) if record is not None else None
        if record is None or found is None:
            return None
        if not inputs:
            return State(id=resource_id, inputs=record.inputs, outputs={**record.outputs, **found})
        return State(id=resource_id, inputs=inputs, outputs={**outputs, **found})

    def update(
        self,
        call: Call,
        resource_id: str,
        old_inputs: Properties,
        old_outputs: Properties,
        inputs: Properties,
    ) -> Properties:
        """Changes in place."""
        record = self.registry.get(self.token, resource_id)
        generation = record.generation if record is not None else 0
        resource = self._resource(call, inputs, generation)
        outputs = {**self._kept(old_inputs, old_outputs), **self._outputs(resource, resource_id, inputs)}
        outputs |= {name: old_outputs[name] for name in self.unknown_outputs(inputs) if name in old_outputs}
        if call.preview:
            return {**outputs, **dict.fromkeys(self.preview_renewal(old_inputs, inputs), UNKNOWN)}
        if record is None:
            raise Refused(
                f"{self.token} {resource_id} does not exist; run 'pulumi refresh' to see what is left"
            )
        self.registry.confirm(self.token, resource_id, call.urn)
        outputs |= self.renew(resource, resource_id, old_inputs, inputs, old_outputs)
        self.registry.put(
            Record(
                type=self.token,
                id=resource_id,
                urn=call.urn,
                generation=generation,
                confirmed=True,
                inputs=self._storable(inputs),
                outputs=self._storable(outputs),
            )
        )
        return outputs

    def delete(self, call: Call, resource_id: str, inputs: Properties, outputs: Properties) -> None:
        """Deletes."""
        del call
        record = self.registry.get(self.token, resource_id)
        if record is None:
            self.dispose(resource_id, inputs, outputs)
            return
        if self.blockers and self.registry.holding(resource_id, *self.blockers) is not None:
            raise Refused(self.not_deletable.format(id=resource_id))
        self.dispose(resource_id, inputs or record.inputs, outputs or record.outputs)
        self.registry.remove(record)

    # What subclasses use.

    def _resource(
        self, call: Call, inputs: Properties, generation: int, *, resumed: bool = False
    ) -> Resource:
        region = given(inputs, "region", call.configuration.get("region") or REGION)
        return Resource(call=call, generation=generation, region=region, resumed=resumed)

    def _outputs(self, resource: Resource, resource_id: Any, inputs: Properties) -> dict[str, Any]:
        outputs = {name: value for name, value in inputs.items() if name != DEFAULTS}
        outputs.setdefault("region", resource.region)
        if self.taggable:
            defaults = (resource.call.configuration.get("defaultTags") or {}).get("tags") or {}
            outputs["tagsAll"] = (
                {**defaults, **given(inputs, "tags", {})} if known(given(inputs, "tags", {})) else UNKNOWN
            )
        return {**outputs, **self.computed(resource, resource_id, inputs)}

    def _kept(self, old_inputs: Properties, old_outputs: Properties) -> dict[str, Any]:
        return {name: value for name, value in old_outputs.items() if name not in old_inputs}

    def _storable(self, values: Properties) -> dict[str, Any]:
        return {
            name: {"sha256": hashlib.sha256(str(value).encode()).hexdigest()}
            if name in self.hidden
            else _plain(value)
            for name, value in values.items()
            if name != DEFAULTS
        }

    def taken(self, resource: Resource, resource_id: str) -> bool:
        """Whether an id that comes from a name belongs to something else than an interrupted creation of "
        "this URN."""
        found = self.registry.get(self.token, resource_id)
        return found is not None and (found.confirmed or found.urn != resource.call.urn)

    def existing(self, token: str, resource_id: Any, refusal: str) -> Record:
        """Another resource, by its id.

        Raises:
            Refused: There is none; `refusal` are AWS's words, with `{id}`.
        """
        found = self.registry.get(token, resource_id)
        if found is None:
            raise Refused(refusal.format(id=resource_id))
        return found


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


def _with_outputs(record: Record, outputs: Mapping[str, Any]) -> Record:
    return Record(
        type=record.type,
        id=record.id,
        urn=record.urn,
        generation=record.generation,
        confirmed=record.confirmed,
        inputs=record.inputs,
        outputs=outputs,
    )


def given(inputs: Properties, name: str, default: Any) -> Any:
    """An input, or what AWS takes where it is absent. It may be `UNKNOWN`."""
    value = inputs.get(name)
    return default if value is None else value


def known(value: Any) -> bool:
    """Whether a value is given and has nothing unknown in it."""
    return value is not None and not contains_unknown(value)


def pattern_problem(inputs: Properties, name: str, pattern: str, reason: str) -> Iterable[Failure]:
    """A failure when a known text does not match all of `pattern`."""
    value = inputs.get(name)
    if known(value) and not re.fullmatch(pattern, str(value)):
        yield Failure(name, f"{name} {value!r}: {reason}")


def choice_problem(inputs: Properties, name: str, allowed: Sequence[Any]) -> Iterable[Failure]:
    """A failure when a known value is none of `allowed`."""
    value = inputs.get(name)
    if known(value) and value not in allowed:
        yield Failure(name, f"expected {name} to be one of {list(allowed)!r}, got {value}")
