"""The targets of a listener: which are healthy, whose turn it is, and how one that is taken away ends."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import h11

from emulator.elb.data_plane.upstream import CONNECT_SECONDS, Upstream, UpstreamFailed
from emulator.elb.model import HealthCheck, ListenerConfiguration, Target, TargetGroup, matched_statuses

Health: TypeAlias = Literal["initial", "healthy", "unhealthy", "draining"]

MOST_IDLE = 32
"""Connections that are kept open to a target while nothing is asked of it."""

_log = logging.getLogger("emulator.elb.data_plane")


@dataclass(eq=False, kw_only=True)
class Member:
    """A target and what is going on with it.

    Attributes:
        streak: Checks in a row that contradict `health`.
        busy: Connections with a request under way.
        idle: Connections without, and since when by the loop's clock; the latest is last.
    """

    target: Target
    health: Health = "initial"
    streak: int = 0
    busy: set[Upstream] = field(default_factory=set)
    idle: deque[tuple[Upstream, float]] = field(default_factory=deque)

    def judge(self, *, healthy: bool, check: HealthCheck) -> None:
        """Takes the result of a health check."""
        if self.health == "draining":
            return
        if self.health == ("healthy" if healthy else "unhealthy"):
            self.streak = 0
            return
        self.streak += 1
        if healthy:
            needed = 1 if self.health == "initial" else check.healthy_threshold
        else:
            needed = check.unhealthy_threshold
        if self.streak >= needed:
            self.health = "healthy" if healthy else "unhealthy"
            self.streak = 0


class Targets:
    """A target group at work. All of it runs in one event loop."""

    def __init__(self) -> None:
        self._group = TargetGroup(arn="-")
        self._members: list[Member] = []
        self._checks: dict[Member, asyncio.Task[None]] = {}
        self._ends: dict[Member, asyncio.TimerHandle] = {}
        self._turn = 0

    @property
    def arn(self) -> str:
        """Of the target group."""
        return self._group.arn

    def update(self, configuration: ListenerConfiguration) -> None:
        """Registers and deregisters."""
        group, targets = configuration.target_group, configuration.targets
        changed = group.health_check != self._group.health_check
        self._group = group
        loop = asyncio.get_running_loop()
        kept: set[Target] = set()
        for member in list(self._members):
            if member.health == "draining":
                continue
            if member.target in targets:
                kept.add(member.target)
                if changed:
                    self._checks[member].cancel()
                    self._checks[member] = loop.create_task(self._watch(member))
            else:
                self._deregister(member)
        for target in sorted(targets):
            if target not in kept:
                member = Member(target=target)
                self._members.append(member)
                self._checks[member] = loop.create_task(self._watch(member))

    def close(self) -> None:
        """Ends everything at once."""
        for check in self._checks.values():
            check.cancel()
        for end in self._ends.values():
            end.cancel()
        for member in self._members:
            for upstream in (*(idle for idle, _ in member.idle), *member.busy):
                upstream.abort()
        self._members, self._checks, self._ends = [], {}, {}

    def health(self) -> dict[Target, Health]:
        """Of each target; one that was registered again while it still drains has its new state."""
        ordered = sorted(self._members, key=lambda member: member.health != "draining")
        return {member.target: member.health for member in ordered}

    def choose(self, tried: Collection[Member]) -> Member | None:
        """Whose turn it is.

        As by ALB, requests go to all targets when none is healthy, except to those that no check has decided
        about.

        Args:
            tried: Those that refused the connection for the same request.

        Returns:
            None when there is nobody left.
        """
        for health in ("healthy", "unhealthy"):
            members = [member for member in self._members if member.health == health]
            if members:
                self._turn += 1
                ordered = [members[(self._turn + offset) % len(members)] for offset in range(len(members))]
                return next((member for member in ordered if member not in tried), None)
        return None

    async def connect(self, member: Member, idle_seconds: float) -> Upstream:
        """A connection for one request, an idle one if there is any.

        Args:
            member: As `choose` said.
            idle_seconds: How long one that is used again may have been idle.

        Raises:
            OSError: The target takes none.
        """
        oldest = asyncio.get_running_loop().time() - idle_seconds
        while member.idle:
            upstream, since = member.idle.pop()
            if upstream.usable and since > oldest:
                break
            upstream.abort()
        else:
            upstream = await Upstream.open(member.target, CONNECT_SECONDS)
        member.busy.add(upstream)
        return upstream

    def release(self, member: Member, upstream: Upstream) -> None:
        """Takes back what `connect` gave."""
        member.busy.discard(upstream)
        reusable = upstream.recycle() and member.health != "draining" and len(member.idle) < MOST_IDLE
        if reusable and member in self._members:
            member.idle.append((upstream, asyncio.get_running_loop().time()))
        else:
            upstream.abort()
        if member.health == "draining" and not member.busy:
            self._forget(member)

    def _deregister(self, member: Member) -> None:
        self._checks.pop(member).cancel()
        member.health = "draining"
        while member.idle:
            member.idle.pop()[0].abort()
        if member.busy:
            loop = asyncio.get_running_loop()
            delay = self._group.deregistration_delay
            self._ends[member] = loop.call_later(delay, self._forget, member)
        else:
            self._forget(member)

    def _forget(self, member: Member) -> None:
        if member in self._members:
            self._members.remove(member)
        end = self._ends.pop(member, None)
        if end is not None:
            end.cancel()
        for upstream in member.busy:
            upstream.abort()

    async def _watch(self, member: Member) -> None:
        loop = asyncio.get_running_loop()
        while True:
            check = self._group.health_check
            due = loop.time() + check.interval
            healthy = await passes(member.target, check)
            before = member.health
            member.judge(healthy=healthy, check=check)
            if member.health != before:
                _log.info("target %s is %s, was %s", member.target, member.health, before)
            await asyncio.sleep(max(0.0, due - loop.time()))


async def passes(target: Target, check: HealthCheck) -> bool:
    """Whether a target answers a health check as it should, in time."""
    request = h11.Request(
        method="GET",
        target=check.path,
        headers=[("Host", str(target)), ("User-Agent", "ELB-HealthChecker/2.0"), ("Connection", "close")],
    )
    upstream = None
    try:
        async with asyncio.timeout(check.timeout):
            upstream = await Upstream.open(target, check.timeout)
            await upstream.send(request)
            await upstream.send(h11.EndOfMessage())
            while isinstance(answer := await upstream.receive(), h11.InformationalResponse):
                continue
    except (OSError, UpstreamFailed):
        return False
    finally:
        if upstream is not None:
            upstream.abort()
    return isinstance(answer, h11.Response) and answer.status_code in matched_statuses(check.matcher)
