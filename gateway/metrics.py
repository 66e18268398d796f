"""Prometheus metrics of the gateway."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from gateway.client_lives import ClientLives
from gateway.refusals import RefusalCode

PREFIX = "pgpasswordless_gateway"


class Metrics:
    """Counters of one process in a registry of their own."""

    def __init__(self) -> None:
        """Start every refusal code at zero, so that alarms see it rise."""
        self.registry = CollectorRegistry()
        self.client_lives = ClientLives()
        """Of the clients that were admitted."""
        self._requests = Counter(
            f"{PREFIX}_requests", "Requests by status class", ["status"], registry=self.registry
        )
        self._statuses = {digit: self._requests.labels(f"{digit}xx") for digit in range(1, 6)}
        self._seconds = Histogram(
            f"{PREFIX}_request_seconds",
            "Time of a request in the gateway and its application",
            registry=self.registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
        )
        self._refusals = Counter(
            f"{PREFIX}_refusals",
            "Requests that were refused for their certificate",
            ["code"],
            registry=self.registry,
        )
        self._refused = {code: self._refusals.labels(code.value) for code in RefusalCode}
        self._turned_away = Counter(
            f"{PREFIX}_turned_away",
            "Requests that met a limit: the caller's, that of all, or the time of a body",
            ["limit"],
            registry=self.registry,
        )
        for limit in ("caller", "all", "body"):
            self._turned_away.labels(limit)
        self._documents = Counter(
            f"{PREFIX}_documents",
            "Documents that were adopted or refused",
            ["outcome"],
            registry=self.registry,
        )
        self._adopted, self._not_adopted = (
            self._documents.labels("adopted"),
            self._documents.labels("refused"),
        )
        self._adopted_at = Gauge(
            f"{PREFIX}_document_adopted_timestamp_seconds",
            "When the document was adopted",
            registry=self.registry,
        )
        self._current = Gauge(
            f"{PREFIX}_document_is_current",
            "1 while the newest document is in effect, 0 after one could not be fetched or is invalid",
            registry=self.registry,
        )
        self._worker_ends = Counter(
            f"{PREFIX}_worker_ends", "Workers that have ended and were started again", registry=self.registry
        )
        self._logins = Counter(
            f"{PREFIX}_database_logins", "Logins to the database", ["role", "outcome"], registry=self.registry
        )

    def request(self, status: int, seconds: float) -> None:
        """A request was answered."""
        counter = self._statuses.get(status // 100)
        if counter is not None:
            counter.inc()
        self._seconds.observe(seconds)

    def refusal(self, code: RefusalCode) -> None:
        """A request was refused."""
        self._refused[code].inc()

    def turned_away(self, limit: Literal["caller", "all", "body"]) -> None:
        """A request met a limit."""
        self._turned_away.labels(limit).inc()

    def document_adopted(self) -> None:
        """A new document took effect."""
        self._adopted.inc()
        self._adopted_at.set_to_current_time()
        self._current.set(1)

    def document_is_current(self, current: bool) -> None:
        """Whether the newest document is in effect."""
        self._current.set(1 if current else 0)

    def document_refused(self) -> None:
        """A document could not be fetched, or is invalid."""
        self._not_adopted.inc()
        self._current.set(0)

    def worker_ended(self) -> None:
        """A worker has ended by itself."""
        self._worker_ends.inc()

    def login(self, role: str, *, succeeded: bool) -> None:
        """A login to the database was tried."""
        self._logins.labels(role, "succeeded" if succeeded else "failed").inc()

    def observe_pools(self, states: Callable[[], Mapping[str, Mapping[str, int]]]) -> None:
        """Export the pools too; `states` returns psycopg_pool's `get_stats` by role."""
        self.registry.register(_Pools(states))


class _Pools(Collector):
    def __init__(self, states: Callable[[], Mapping[str, Mapping[str, int]]]) -> None:
        self._states = states

    def collect(self) -> Iterable[GaugeMetricFamily]:
        connections = GaugeMetricFamily(
            f"{PREFIX}_database_connections", "Connections of a role's pool", labels=["role", "state"]
        )
        waiting = GaugeMetricFamily(
            f"{PREFIX}_database_waiting", "Requests that wait for a connection", labels=["role"]
        )
        for role, state in self._states().items():
            size, available = state.get("pool_size", 0), state.get("pool_available", 0)
            connections.add_metric([role, "idle"], available)
            connections.add_metric([role, "used"], size - available)
            waiting.add_metric([role], state.get("requests_waiting", 0))
        return [connections, waiting]
