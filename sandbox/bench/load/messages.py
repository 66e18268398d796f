"""Input and result of a load program; they go through pipes, since an argument must not hold a token."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Load(BaseModel):
    """A load on the database.

    Attributes:
        seconds: Duration.
        clients: Number of concurrent clients.
        query: The query of each client.
        host: Host of the database.
        port: Port of the database.
        database: Name of the database.
        user: Database role.
        region: AWS region of the tokens.
        root_certificate: File with the authorities of the database.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: float
    clients: int
    query: str
    host: str
    port: int
    database: str
    user: str
    region: str
    root_certificate: Path

    @property
    def keywords(self) -> dict[str, Any]:
        """Connection parameters without a token."""
        return {
            "host": self.host,
            "port": self.port,
            "dbname": self.database,
            "user": self.user,
            "sslmode": "verify-full",
            "sslrootcert": str(self.root_certificate),
            "gssencmode": "disable",
            "autocommit": True,
        }


class HttpLoad(BaseModel):
    """HTTPS requests to one address.

    Attributes:
        seconds: Duration.
        clients: Connections, each with one request at a time.
        port: Port on localhost; its certificate is not verified, as a load balancer does with its targets.
        path: Path of each request.
        headers: Headers of each request; secret.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: float
    clients: int
    port: int
    path: str
    headers: dict[str, str] = Field(repr=False)


class LoadResult(BaseModel):
    """How much a load program has done."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int
    errors: int
    seconds: float

    @property
    def rate(self) -> float:
        """Successes per second."""
        return self.count / self.seconds


def print_result(result: LoadResult) -> None:
    """Print the result to standard output."""
    sys.stdout.write(result.model_dump_json() + "\n")
