"""Which connection to a target a request gets, and which target."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import h11
import pytest

from emulator.elb.data_plane.targets import Member, Targets
from emulator.elb.data_plane.upstream import Upstream
from emulator.elb.model import HealthCheck, ListenerConfiguration, Target
from tests.emulator.elb.conftest import Sandbox

LONG = 3600.0


@pytest.fixture
def sandbox(certificates: Any, tmp_path: Path) -> Sandbox:
    """Without the usual look at the log: asyncio complains there of the end of the server below."""
    return Sandbox(certificates, tmp_path)


class _Server:
    """Answers each request; a path of `/last` is followed by the end of the connection."""

    def __init__(self, sandbox: Any) -> None:
        self._sandbox = sandbox

    async def __aenter__(self) -> ListenerConfiguration:
        context = self._sandbox.server_context()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        target = Target(host="127.0.0.1", port=self._server.sockets[0].getsockname()[1])
        return self._sandbox.configuration(target, health_check=HealthCheck(interval=300))

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


def test_an_idle_connection_is_used_again_unless_the_target_ended_it_or_it_is_too_old(sandbox: Any) -> None:
    async def scenario() -> None:
        targets = Targets()
        async with _Server(sandbox) as configuration:
            targets.update(configuration)
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


def test_a_connection_with_half_an_answer_is_never_used_again(sandbox: Any) -> None:
    async def scenario() -> None:
        targets = Targets()
        async with _Server(sandbox) as configuration:
            targets.update(configuration)
            member = await _healthy(targets)
            first = await targets.connect(member, LONG)
            await first.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
            targets.release(member, first)
            second = await targets.connect(member, LONG)
            assert second is not first
            await _ask(second)
            targets.close()

    asyncio.run(scenario())


def test_all_targets_are_asked_when_none_is_healthy_but_none_before_its_first_verdict(sandbox: Any) -> None:
    async def scenario() -> None:
        targets = Targets()
        nowhere = Target(host="127.0.0.1", port=1)
        targets.update(sandbox.configuration(nowhere))
        assert targets.health() == {nowhere: "initial"}
        assert targets.choose(()) is None
        member = await _healthy(targets)
        assert (member.target, member.health) == (nowhere, "unhealthy")
        assert targets.choose((member,)) is None
        targets.close()

    asyncio.run(scenario())


def test_one_that_is_taken_away_and_given_back_begins_anew_while_it_still_drains(sandbox: Any) -> None:
    async def scenario() -> None:
        targets = Targets()
        async with _Server(sandbox) as configuration:
            targets.update(configuration)
            member = await _healthy(targets)
            upstream = await targets.connect(member, LONG)
            targets.update(sandbox.configuration())
            assert targets.health() == {member.target: "draining"}
            assert targets.choose(()) is None
            targets.update(configuration)
            assert targets.health()[member.target] in {"initial", "healthy"}
            again = await _healthy(targets)
            assert again is not member
            await _ask(upstream)
            targets.release(member, upstream)
            assert targets.choose(()) is again
            targets.close()

    asyncio.run(scenario())


def test_one_that_drains_for_too_long_is_cut_off(sandbox: Any) -> None:
    async def scenario() -> None:
        targets = Targets()
        async with _Server(sandbox) as configuration:
            targets.update(configuration)
            member = await _healthy(targets)
            upstream = await targets.connect(member, LONG)
            targets.update(sandbox.configuration(deregistration_delay=0.01))
            while targets.health():
                await asyncio.sleep(0.01)
            assert not upstream.usable
            targets.close()

    asyncio.run(scenario())
