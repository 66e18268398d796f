"""One set of metrics of several processes: samples of the same name and labels are added up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

_LASTING = ("counter", "histogram")


def snapshot(registry: CollectorRegistry) -> list[Any]:
    """All samples of a process, as JSON has them."""
    return [
        [
            family.name,
            family.documentation,
            family.type,
            [[sample.name, sample.labels, sample.value] for sample in family.samples],
        ]
        for family in registry.collect()
    ]


def metrics(found: list[Any]) -> list[Metric]:
    """What `snapshot` found."""
    families = []
    for name, documentation, kind, samples in found:
        family = Metric(name, documentation, kind)
        for sample in samples:
            family.add_sample(*sample)
        families.append(family)
    return families


def summed(processes: Iterable[Iterable[Metric]]) -> list[Metric]:
    """The metrics of all processes together; a time of creation is the first one's."""
    families: dict[str, Metric] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for family in (family for process in processes for family in process):
        families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
        known = values.setdefault(family.name, {})
        for sample in family.samples:
            key = (sample.name, tuple(sample.labels.items()))
            if sample.name.endswith("_created"):
                known[key] = min(known.get(key, sample.value), sample.value)
            else:
                known[key] = known.get(key, 0.0) + sample.value
    for name, family in families.items():
        for (sample_name, labels), value in values[name].items():
            family.add_sample(sample_name, dict(labels), value)
    return list(families.values())


def lasting(process: Iterable[Metric]) -> list[Metric]:
    """What still counts of a process that has ended: a counter must never fall."""
    return [family for family in process if family.type in _LASTING]
