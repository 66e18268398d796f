"""Passes bytes between a client and the server, unchanged, both ways, each as fast as the slower side."""

from __future__ import annotations

import asyncio

from emulator.rds.data_plane.channel import Channel, Closed


async def relay(client: Channel, server: Channel) -> None:
    """Returns when there is nothing left to pass on.

    A client that ends its sending still gets the answers. A server that ends, or a client that breaks off,
    ends both ways.
    """
    to_server = asyncio.create_task(_pass_on(client, server))
    to_client = asyncio.create_task(_pass_on(server, client))
    try:
        await asyncio.wait((to_server, to_client), return_when=asyncio.FIRST_COMPLETED)
        if not client.broken:
            await to_client
    finally:
        to_server.cancel()
        to_client.cancel()
        await asyncio.gather(to_server, to_client, return_exceptions=True)


async def _pass_on(source: Channel, target: Channel) -> None:
    try:
        while data := await source.read():
            target.write(data)
            await target.drain()
        target.finish()
    except Closed:
        return
