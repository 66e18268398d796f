"""What a load program is told and what it answers; a token or key goes by pipe, never by argument."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Load(BaseModel):
    """What to do, and for how long.

    Attributes:
        seconds: How long.
        clients: How many at the same time.
        query: What each asks of the database.
        host: Of the database.
        port: Of the database.
        database: Name of the database.
        user: Database role.
        region: AWS region of the tokens.
        root_certificate: File of the authorities of the database.
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
    """Requests to one address.

    Attributes:
        seconds: How long.
        clients: Connections, each with one request at a time.
        port: On localhost, with TLS that nobody verifies, as a load balancer does to its targets.
        path: What is asked for.
        headers: Of each request; secret.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: float
    clients: int
    port: int
    path: str
    headers: dict[str, str] = Field(repr=False)


class Done(BaseModel):
    """What came of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int
    errors: int
    seconds: float

    @property
    def rate(self) -> float:
        """Successes per second."""
        return self.count / self.seconds


def told() -> Any:
    """The document on standard input."""
    return json.load(sys.stdin)


def answer(done: Done) -> None:
    """Put the answer to standard output."""
    sys.stdout.write(done.model_dump_json() + "\n")
