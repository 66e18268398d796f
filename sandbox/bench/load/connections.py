"""A new token and a new connection for every request, as in many examples."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import boto3
import psycopg

from sandbox.bench.load.messages import Load, LoadResult, print_result

if TYPE_CHECKING:
    from mypy_boto3_rds import RDSClient


def _client(load: Load, client: RDSClient, until: float) -> int:
    count = 0
    while time.monotonic() < until:
        token = client.generate_db_auth_token(
            DBHostname=load.host, Port=load.port, DBUsername=load.user, Region=load.region
        )
        with psycopg.connect(**load.keywords, password=token) as connection:
            connection.execute(load.query.encode()).fetchone()
        count += 1
    return count


if __name__ == "__main__":
    wanted = Load.model_validate_json(sys.stdin.read())
    # Clients of boto3 may be shared between threads, and take a second to create.
    signer = boto3.Session().client("rds", region_name=wanted.region)
    with ThreadPoolExecutor(wanted.clients) as threads:
        begin = time.monotonic()
        counts = list(
            threads.map(lambda _: _client(wanted, signer, begin + wanted.seconds), range(wanted.clients))
        )
        result = LoadResult(count=sum(counts), errors=0, seconds=time.monotonic() - begin)
    print_result(result)
