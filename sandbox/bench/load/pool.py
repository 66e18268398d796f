"""The query on a bare psycopg pool in one process."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import uvloop
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from pgpasswordless.tokens import TokenSource
from sandbox.bench.load.messages import Load, LoadResult, print_result


async def _client(pool: AsyncConnectionPool[Any], load: Load, until: float) -> int:
    count = 0
    while time.monotonic() < until:
        async with pool.connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(load.query.encode(), prepare=True)
            await cursor.fetchone()
        count += 1
    return count


async def _run(load: Load, size: int) -> LoadResult:
    source = TokenSource(
        host=load.host, port=load.port, user=load.user, region=load.region, known_endpoint=True
    )
    keywords = source.keywords(**load.keywords)
    async with AsyncConnectionPool(
        kwargs=keywords,  # type: ignore[arg-type]
        min_size=size,
        max_size=size,
        open=False,
    ) as pool:
        await pool.wait()
        start = time.monotonic()
        counts = await asyncio.gather(
            *(_client(pool, load, start + load.seconds) for _ in range(load.clients))
        )
        return LoadResult(count=sum(counts), errors=0, seconds=time.monotonic() - start)


if __name__ == "__main__":
    document = json.load(sys.stdin)
    pool_size = document.pop("pool_size")
    print_result(uvloop.run(_run(Load.model_validate(document), pool_size)))
