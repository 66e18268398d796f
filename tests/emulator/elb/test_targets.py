"""Which connection to a target a request gets, and which target."""

from __future__ import annotations

import asyncio

import h11

from emulator.elb.data_plane.configuration import HealthCheck, Target, TargetGroup
from emulator.elb.data_plane.targets import Member, Targets
from emulator.elb.data_plane.upstream import Upstream

LONG = 3600.0


class _Server:
    """Answers each request; a path of `/last` is followed by the end of the connection."""

    async def __aenter__(self) -> TargetGroup:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        target = Target(host="127.0.0.1", port=self._server.sockets[0].getsockname()[1])
        return TargetGroup(
            targets=(target,), protocol="HTTP", health_check=HealthCheck(interval_seconds=LONG)
        )

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        last = False
        while not last and (line := await reader.readline()):
            last = b"/last" in line
            while (await reader.readline()).strip():
                continue
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()


async def _ask(upstream: Upstream, path: str = "/") -> None:
    await upstream.send(h11.Request(method="GET", target=path, headers=[("Host", "a")]))
    await upstream.send(h11.EndOfMessage())
    while not isinstance(await upstream.receive(), h11.EndOfMessage):
        continue


async def _healthy(targets: Targets) -> Member:
    while (member := targets.choose(())) is None:
        await asyncio.sleep(0.01)
    return member


def test_an_idle_connection_is_used_again_unless_the_target_ended_it_or_it_is_too_old() -> None:
    async def scenario() -> None:
        targets = Targets()
        async with _Server() as group:
            targets.update(group)
            member = await _healthy(targets)
            first = await targets.connect(member, LONG)
            await _ask(first)
            targets.release(member, first)
            second = await targets.connect(member, LONG)
            assert second is first
            await _ask(second)
            targets.release(member, second)
            third = await targets.connect(member, 0.0)
            assert third is not first
            await _ask(third, "/last")
            targets.release(member, third)
            while third.usable:
                await asyncio.sleep(0.01)
            fourth = await targets.connect(member, LONG)
            assert fourth is not third
            await _ask(fourth)
            targets.release(member, fourth)
            targets.close()

    asyncio.run(scenario())


def test_a_connection_with_half_an_answer_is_never_used_again() -> None:
    async def scenario() -> None:
        targets = Targets()
        async with _Server() as group:
            targets.update(group)
            member = await _healthy(targets)
            first = await targets.connect(member, LONG)
            await first.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
            targets.release(member, first)
            second = await targets.connect(member, LONG)
            assert second is not first
            await _ask(second)
            targets.close()

    asyncio.run(scenario())


def test_all_targets_are_asked_when_none_is_healthy_but_none_before_its_first_verdict() -> None:
    async def scenario() -> None:
        targets = Targets()
        nowhere = Target(host="127.0.0.1", port=1)
        check = HealthCheck(interval_seconds=0.01, unhealthy_threshold=2)
        targets.update(TargetGroup(targets=(nowhere,), protocol="HTTP", health_check=check))
        assert targets.health() == {nowhere: "initial"}
        assert targets.choose(()) is None
        member = await _healthy(targets)
        assert (member.target, member.health) == (nowhere, "unhealthy")
        assert targets.choose((member,)) is None
        targets.close()

    asyncio.run(scenario())


def test_one_that_is_taken_away_and_given_back_begins_anew_while_it_still_drains() -> None:
    async def scenario() -> None:
        targets = Targets()
        async with _Server() as group:
            targets.update(group)
            member = await _healthy(targets)
            upstream = await targets.connect(member, LONG)
            targets.update(TargetGroup())
            assert targets.health() == {member.target: "draining"}
            assert targets.choose(()) is None
            targets.update(group)
            assert targets.health()[member.target] in {"initial", "healthy"}
            again = await _healthy(targets)
            assert again is not member
            await _ask(upstream)
            targets.release(member, upstream)
            assert targets.choose(()) is again
            targets.close()

    asyncio.run(scenario())


def test_one_that_drains_for_too_long_is_cut_off() -> None:
    async def scenario() -> None:
        targets = Targets()
        async with _Server() as group:
            targets.update(group)
            member = await _healthy(targets)
            upstream = await targets.connect(member, LONG)
            targets.update(TargetGroup(deregistration_delay_seconds=0.01))
            while targets.health():
                await asyncio.sleep(0.01)
            assert not upstream.usable
            targets.close()

    asyncio.run(scenario())
